
# Copyright (c) 2026, roleferry authors

# Fault row 42: a quota while the server is killed again and again. Sixteen
# sessions enqueue and ask without a pause; whatever is lost with a process, the
# provider never counts one request too many in any window. With RF_LONG two
# minutes of it, else a quarter of one.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

my $sessions = 16;
my ($max, $per, $every, $long) =
  $ENV{RF_LONG} ? (100, 20, 5, 120) : (25, 4, 3, 15);
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
max_connections = 60
roleferry.search_fresh = 0
roleferry.search_stale = 0
});

$node->sql(
	sprintf q{
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%s');
GRANT USAGE ON FOREIGN SERVER apollo TO app;
INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('sendgrid', %d, '%d s'), ('apollo', %d, '%d s');
}, $simulator->url('apollo'), $max, $per, $max, $per);
$node->wait_dispatcher(30);

# Every other session sends mails, the others ask for people, as jobs and while
# they wait; a server that is down is no error.
sub work
{
	my ($session, $end) = @_;
	my $n = 0;

	while (time < $end)
	{
		$n++;
		my $call = $session % 2
		  ? q{roleferry.enqueue_email(from_addr => 'a@mg.example.com', to_addr => 'b@example.net', subject => 's',
	body_text => 'b', accounts => '{sendgrid}', expires_at => now() + interval '10 s') FROM generate_series(1, 10)}
		  : $n % 2
		  ? qq{roleferry.enqueue_apollo_search('p$session-$n-' || g || '.example', ARRAY['CTO'], enrich => false,
	expires_at => now() + interval '10 s') FROM generate_series(1, 5) AS g}
		  : qq{count(*) FROM roleferry.apollo_search('q$session-$n.example', ARRAY['CTO'], enrich => false)};

		eval {
			$node->psql(
				'postgres', "SET ROLE app; SELECT $call",
				stdout => \my $out,
				stderr => \my $err);
		};
		usleep(300_000);
	}
	POSIX::_exit(0);
}

my $end = time + $long;
my @children;
foreach my $session (1 .. $sessions)
{
	my $pid = fork() // die "cannot fork: $!";

	work($session, $end) if $pid == 0;
	push @children, $pid;
}

my $kills = 0;
while (time + $every < $end)
{
	my $next = time + $every;

	usleep(50_000) while time < $next;
	my $pid = eval { $node->dispatcher_pid } or next;
	eval { $node->kill_process($pid); $kills++; $node->crash_wait; 1 }
	  or diag($@);
}
waitpid $_, 0 foreach @children;
$node->wait_drained(120);

cmp_ok($kills, '>=', int($long / $every / 2), "there were $kills crashes");
foreach my $provider (qw(sendgrid apollo))
{
	my @moments = $simulator->moments($provider);
	my $most = $simulator->most_within($per, @moments);

	cmp_ok($most, '<=', $max,
		scalar(@moments)
		  . " requests to $provider, and no $per s with more than $max");
	cmp_ok(scalar @moments, '>', $max, 'they went on');
}
is( $node->sql(
		q{SELECT count(*) FROM roleferry.attempts WHERE http_status = 429}),
	'0',
	'nor did a provider say so');

$node->stop;
done_testing();

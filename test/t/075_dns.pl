
# Copyright (c) 2026, roleferry authors

# Fault rows 19 and 20: name servers that are silent, that deny, that change
# their mind, or that point into the private network. Nobody waits for them but
# the mails of their account, and nothing is sent where it must not go.

use strict;
use warnings;

use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryDns;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my $dead_accounts = 18;

# Since 8.20 libcurl looks a name up in two threads at once, one a family.
my $libcurl = (`curl-config --vernum` || '') =~ /^(\w+)/ ? hex $1 : 0;
my $most_resolvers = $libcurl >= 0x081400 ? 64 : 32;
my $connect_timeout = 2;

my $dns = RoleferryDns->start(PostgreSQL::Test::Utils::tempdir . '/dns');
plan skip_all => RoleferryDns->why_not unless $dns;

# 127.0.0.1 alone stands for the public network.
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.databases = 'postgres, bystander'
roleferry.allow_private_addresses = '127.0.0.1/32'
roleferry.connect_timeout = '2s'
roleferry.breaker_failures = 1000
roleferry.shutdown_grace = '2s'
});

# Accounts by the names of their hosts, behind which is the simulator's SendGrid.
sub make_accounts
{
	my (%hosts) = @_;
	my $sql = '';

	foreach my $name (sort keys %hosts)
	{
		my $url = $simulator->url('sendgrid') =~
		  s/127\.0\.0\.1|localhost/$hosts{$name}/r;

		$sql .= qq{
CREATE SERVER $name FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '$url');
GRANT USAGE ON FOREIGN SERVER $name TO app;};
	}
	$node->sql($sql);
	return;
}

sub restart_asking_us
{
	local %ENV = $dns->environment;
	$node->restart;
	return $node->wait_dispatcher(30);
}

sub new_dispatcher
{
	my $pid = $node->wait_dispatcher(30);

	$node->sql("SELECT pg_terminate_backend($pid)");
	return $node->wait_dispatcher(30, $pid);
}

sub resolvers
{
	my ($pid) = @_;

	return @{ [ glob "/proc/$pid/task/*" ] } - 1;
}

# Dies with the history of the first that is not sent in time.
sub wait_sent
{
	my ($timeout, @ids) = @_;

	return 1 if eval {
		$node->wait_until(
			'mails are not sent',
			$timeout,
			sub {
				!grep { $node->job_state($_) ne 'sent' } @ids;
			});
	};
	my ($first) = grep { $node->job_state($_) ne 'sent' } @ids;
	die "job $first is not sent within $timeout s:\n"
	  . $node->sql(
		"SELECT event, account, outcome, detail FROM roleferry.job_report($first)"
	  ) . "\n";
}

# The last attempt of a job; waits for the first.
sub reason_of
{
	my ($id, $pattern) = @_;

	return $node->wait_until(
		"job $id has no such attempt",
		20,
		sub {
			my $reason = $node->sql(
				qq{
SELECT outcome || ': ' || reason FROM roleferry.attempts
WHERE job_id = $id ORDER BY started_at DESC LIMIT 1});

			return $reason =~ $pattern ? $reason : undef;
		});
}

# What cannot be sent is not to be tried for the rest of this test.
sub drop_waiting
{
	$node->disown(
		split /\n/,
		$node->sql(
			'DELETE FROM roleferry.outbox WHERE worker IS NULL RETURNING id')
	);
	return;
}

sub timed
{
	my ($action) = @_;
	my $started = time();

	$action->();
	return time() - $started;
}

$node->sql('CREATE DATABASE bystander');

#
# Row 19: nobody answers.
#

$dns->names(
	'.dead.test' => { silent => 1 },
	'good.provider.test' => { a => ['127.0.0.1'] });
make_accounts(
	(map { ("dead$_" => "host$_.dead.test") } 1 .. $dead_accounts),
	good => 'good.provider.test',
	numeric => '127.0.0.1',
	fresh => 'fresh.dead.test');
my $pid = restart_asking_us();

my @dead =
  map { ($node->enqueue(3, accounts => ["dead$_"]))[0] } 1 .. $dead_accounts;
$node->wait_until('no resolver is stuck', 20, sub { resolvers($pid) >= 10 });
my $numeric = timed(
	sub {
		my ($id) = $node->enqueue(1, accounts => ['numeric']);
		wait_sent(20, $id);
	});
cmp_ok($numeric, '<', $node->patient(5),
	'while names are not answered, an account with an address is served at once'
);
my $named = timed(
	sub {
		my ($id) = $node->enqueue(1, accounts => ['good']);
		wait_sent(30, $id);
	});
cmp_ok($named, '<', $node->patient(5), 'and so is one whose name is answered');
like(
	reason_of($dead[0], qr/./),
	qr/^transient: no connection within the connect timeout$/,
	'the mails of a silent name are not sent');
cmp_ok(
	$node->sql(
		qq{SELECT max(extract(epoch FROM took)) FROM roleferry.attempts WHERE account LIKE 'dead%'}
	),
	'<',
	$node->patient($connect_timeout + 0.5),
	'which is known within the connect timeout');

my ($fallen) = $node->enqueue(1, accounts => [ 'fresh', 'mailgun' ]);
my $most = 0;
my $until = time() + 4;
$node->wait_until(
	'time does not pass',
	20,
	sub {
		$most = resolvers($pid) if resolvers($pid) > $most;
		return time() > $until;
	});
cmp_ok($most, '<=', $most_resolvers,
	"no more than $most_resolvers threads are stuck ($most)");

wait_sent(30, $fallen);
pass('a mail goes out by its next account');

$node->sql("ALTER SYSTEM SET roleferry.databases = 'postgres'");
cmp_ok(timed(sub { $node->sql('DROP DATABASE bystander') }),
	'<', $node->patient(3), 'DROP DATABASE does not wait for a name server');
cmp_ok(
	timed(sub { $pid = new_dispatcher() }),
	'<',
	$node->patient(2 + 1 + 2),
	'nor does the end of a dispatcher');
$node->wait_until('no resolver is stuck', 20, sub { resolvers($pid) >= 3 });
cmp_ok(timed(sub { $node->stop('fast') }), '<', $node->patient(2 + 2),
	'nor does a fast stop');
$node->start;
drop_waiting();

#
# Row 20: a name that does not exist, and one that is there every other time.
#

$dns->names('flap.provider.test' =>
	  { turns => [ { rcode => 2 }, { a => ['127.0.0.1'] } ] });
make_accounts(nobody => 'nobody.provider.test', flap => 'flap.provider.test');
restart_asking_us();
my ($denied) = $node->enqueue(1, accounts => ['nobody']);
like(
	reason_of($denied, qr/./),
	qr/^transient: the host's name could not be resolved$/,
	'a name that does not exist is no end of a mail');
wait_sent(60, $node->enqueue(20, accounts => ['flap']));
new_dispatcher();
wait_sent(60, $node->enqueue(20, accounts => ['flap']));
cmp_ok($dns->queries('flap.provider.test'),
	'>=', 4, 'a flapping name was asked for again');
pass('and all its mails are sent');

#
# Row 20: a name that comes to point at us.
#

my $inside = IO::Socket::INET->new(
	LocalAddr => '127.0.0.2',
	LocalPort => $simulator->port('sendgrid'),
	Listen => 5,
	ReuseAddr => 1) or die "no listener: $!";
$inside->blocking(0);
my %inside = (
	'a loopback address' => { a => ['127.0.0.2'] },
	'a private address' => { a => ['10.1.2.3'] },
	'the address of cloud metadata' => { a => ['169.254.169.254'] },
	'loopback in IPv6' => { aaaa => ['::1'] },
	'loopback dressed as IPv6' => { aaaa => ['::ffff:127.0.0.2'] },
	'the unspecified address' => { a => ['0.0.0.0'] },
	'several of these' =>
	  { a => [ '127.0.0.2', '192.168.0.1' ], aaaa => ['fd00::1'] });
my @cases = sort keys %inside;
my %host = map { $cases[$_] => "rebound$_.provider.test" } 0 .. $#cases;

# First good, so that the account is in use; then, after a restart has emptied
# the cache, another address.
$dns->names(map { $_ => { a => ['127.0.0.1'] } } values %host);
make_accounts(map { ($host{$_} =~ s/\..*//r => $host{$_}) } @cases);
wait_sent(30,
	map { $node->enqueue(1, accounts => [ $host{$_} =~ s/\..*//r ]) } @cases);
$dns->names(map { $host{$_} => $inside{$_} } @cases);
new_dispatcher();
my $before = $simulator->stats('sendgrid')->{connections};
my %id =
  map { $_ => ($node->enqueue(1, accounts => [ $host{$_} =~ s/\..*//r ]))[0] }
  @cases;
like(
	reason_of($id{$_}, qr/./),
	qr/^transient: address of the host is private$/,
	"a name that comes to point at $_ is refused") foreach @cases;
is($simulator->stats('sendgrid')->{connections},
	$before, 'nobody is spoken to');
is($inside->accept, undef, 'nobody knocked at the address inside');
drop_waiting();

$dns->names('mixed.provider.test' => { a => [ '127.0.0.2', '127.0.0.1' ] });
make_accounts(mixed => 'mixed.provider.test');
wait_sent(20, $node->enqueue(1, accounts => ['mixed']));
is($inside->accept, undef,
	'of several addresses only those outside are used');

$node->assert_invariants('nothing is lost or sent twice');
$node->stop;
done_testing();

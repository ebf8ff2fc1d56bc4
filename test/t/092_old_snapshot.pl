
# Copyright (c) 2026, roleferry authors

# Somebody keeps a transaction open for hours, so that no dead row of the outbox
# can go: claims read no more for that, doctor() says who it is, and the
# dispatcher itself keeps nobody's rows, since it holds no snapshot while it
# waits.  Row 34 of the fault matrix; with RF_LONG half a million mails go by.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryClock;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(sleep);

my $churn = $ENV{RF_LONG} ? 500_000 : 10_000;
my $measured = 500;
my $enqueued = 0;

# Sweeps do read what is dead, which their interval follows: here it is about
# claims, so there are none.
my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	simulator => [ '--no-fsync', '--lifetime', 7200 ],
	conf =>
	  "fsync = off\nmax_wal_size = 8GB\nroleferry.sweep_interval = '10min'");
my $clock = RoleferryClock->new(PostgreSQL::Test::Utils::tempdir . '/clock');

if ($clock)
{
	local %ENV = $clock->environment;
	$node->restart;
}
$node->wait_dispatcher(30);

sub send_mails
{
	my ($count) = @_;

	for (my $left = $count; $left > 0; $left -= 5000)
	{
		$node->enqueue(
			$left < 5000 ? $left : 5000,
			accounts => ['sendgrid'],
			queue => 'sequences');
	}
	$enqueued += $count;
	$node->wait_until(
		'the mails are not sent',
		30 + $count / 100,
		sub {
			$node->sql('SELECT count(*) FROM roleferry.message') == $enqueued;
		});
	return;
}

# Entries of the index of lanes that were walked over so far, once all that
# was sent is in the statistics: a process adds to them at most once a second,
# when it does something.
sub entries_read
{
	my $sent = $enqueued;

	$node->wait_until(
		'the dispatcher does not report what it read',
		60,
		sub {
			my $told = $node->sql(
				q{SELECT n_tup_del FROM pg_stat_all_tables WHERE relid = 'roleferry.outbox'::regclass}
			) >= $sent;

			$told or send_mails(1);
			return $told;
		});
	return $node->sql(
		q{SELECT idx_tup_read FROM pg_stat_all_indexes WHERE indexrelname = 'outbox_lane_idx'}
	);
}

sub entries_to_send
{
	my $before = entries_read();

	send_mails($measured);
	return entries_read() - $before;
}

sub findings
{
	return $node->sql(
		q{SELECT finding, what_to_do FROM roleferry.doctor() WHERE finding LIKE '%held a snapshot%'}
	);
}

#
# What claims read, before and after
#

send_mails(100);
$node->sql('VACUUM roleferry.outbox');
my $before = entries_to_send();

my $session = $node->background_psql('postgres');
$session->set_query_timer_restart;
my $pid = $session->query_safe(
	q{SET application_name = 'yearly report'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_backend_pid()}
);
send_mails($churn);
$node->sql('VACUUM roleferry.outbox');
is( $node->sql(
		q{SELECT count(*) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND application_name = 'yearly report'}
	),
	'1',
	'the session still holds its snapshot');

my $after = entries_to_send();
cmp_ok($after, '<', 2 * $before + 200,
	"$measured mails behind $churn dead ones: $after entries read, before $before"
);

#
# Whose rows stay because of the dispatcher: nobody's
#

{
	my $clean = 0;

	$simulator->rule(
		{
			name => 'held',
			match => { subject => '^held$' },
			action => { hold => 'held' }
		});
	$node->enqueue(20, subject => 'held', accounts => ['sendgrid']);
	$enqueued += 20;
	$node->wait_until('the mails are not under way',
		20, sub { $simulator->held('held') == 20 });
	$node->wait_until('the dispatcher does not wait',
		20, sub { $node->activity =~ /^20 requests under way/ });
	foreach (1 .. 20)
	{
		$clean += $node->sql(
			q{SELECT count(*) FROM pg_stat_activity a
WHERE backend_type = 'roleferry dispatcher' AND backend_xid IS NULL AND backend_xmin IS NULL AND xact_start IS NULL
  AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid)});
		sleep 0.05;
	}

	# Once a minute it tidies up.
	cmp_ok($clean, '>=', 18,
		'with requests under way the dispatcher holds no snapshot, transaction or lock'
	);
	$simulator->release('held');
	$simulator->clear_rules;
}

#
# doctor() names who it is
#

is(findings(), '', 'a transaction of a moment is nothing to tell');
SKIP:
{
	skip(RoleferryClock->why_not, 1) unless $clock;
	$clock->set(600);
	like(
		findings(),
		qr/^process \Q$pid\E \(\w+, yearly report\) has held a snapshot since .*\|End its transaction, or SELECT pg_terminate_backend\(\Q$pid\E\);$/,
		'after some minutes doctor() says who holds the snapshot, and how to end it'
	);
}

$session->query_safe('COMMIT');
$session->quit;
is(findings(), '', 'and nothing more when it is gone');
$node->sql('VACUUM roleferry.outbox');

#
# Each mail once
#

$node->wait_drained(60);
my %accepted = $simulator->accepted_counts;

is(scalar(keys %accepted), $enqueued, 'all mails were sent');
is(scalar(grep { $_ != 1 } values %accepted), 0, 'each of them once');

$node->stop;
done_testing();

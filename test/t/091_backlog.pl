
# Copyright (c) 2026, roleferry authors

# A backlog costs nothing but its room: mails that are due pass by mails that
# wait for tomorrow or for a closed account, in the lanes of thousands of
# tenants, and a dispatcher that has nothing to send stays idle.  With RF_LONG
# there are a million of each.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time sleep);

my $backlog = $ENV{RF_LONG} ? 1_000_000 : 20_000;
my $tenants = $ENV{RF_LONG} ? 10_000 : 2_000;
my $mails = 300;
my $megabytes = 32;

# So many lanes at once are more than a transaction can name: its mails wait
# for a look around, which may have to wait for the end of another.
my $look = $ENV{RF_LONG} ? 8 : 2;

my ($node, $simulator) = RoleferryNode->start_pair('main',
	conf => "fsync = off\nmax_wal_size = 8GB");

$node->safe_psql(
	'postgres', q{
CREATE SERVER closed FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'no_such_file');
GRANT USAGE ON FOREIGN SERVER closed TO app});

# Mails of as many tenants, from their commit until the last is settled.
sub seconds_to_send
{
	my ($first) = @_;
	my $last = $first + $mails - 1;
	my $started = time();

	$node->safe_psql(
		'postgres', qq{
SELECT roleferry.enqueue_email('sender\@mg.example.com', 'user' || n || '\@example.net', 'due ' || n,
	body_text => 'x', accounts => ARRAY['sendgrid'], tenant_key => 't' || n % $tenants)
FROM generate_series($first, $last) n});
	$node->wait_until(
		'due mails are not sent',
		120,
		sub {
			$node->sql('SELECT count(*) FROM roleferry.messages') >= $last;
		});
	return time() - $started;
}

sub idle_marks
{
	return $node->sql(
		'SELECT pg_snapshot_xmax(pg_current_snapshot()), pg_current_wal_insert_lsn()'
	);
}

sub private_kilobytes
{
	my $status = slurp_file('/proc/' . $node->dispatcher_pid . '/status');

	return $status =~ /^RssAnon:\s+(\d+) kB/m ? $1 : undef;
}

seconds_to_send(1);
my $before = seconds_to_send($mails + 1);

# Half of them due, and of an account without a key; half of them tomorrow's.
$node->safe_psql(
	'postgres', qq{
SELECT count(roleferry.enqueue_email('sender\@mg.example.com', 'user' || n || '\@example.net', 'later ' || n,
	body_text => 'x', tenant_key => 't' || n % $tenants,
	accounts => ARRAY[CASE WHEN n <= $backlog THEN 'closed' ELSE 'sendgrid' END],
	run_at => CASE WHEN n > $backlog THEN now() + '1 day' END))
FROM generate_series(1, 2 * $backlog) n}, timeout => 600);
$node->wait_until(
	'the account without a key is not closed',
	60,
	sub {
		$node->sql(
			q{SELECT state FROM roleferry.account_gates() WHERE account = 'closed'}
		) eq 'unusable';
	});

my $behind = seconds_to_send(2 * $mails + 1);
cmp_ok(
	$behind, '<',
	3 * $before + $look,
	sprintf 'with a backlog of %d, %d mails take %.1f s, without %.1f s',
	2 * $backlog,
	$mails, $behind, $before);
is( $node->sql('SELECT count(*) FROM roleferry.outbox'),
	2 * $backlog,
	'and the backlog waits');

$node->safe_psql('postgres', 'CHECKPOINT');
ok( $node->wait_until(
		'the dispatcher writes though there is nothing to send',
		90,
		sub {
			my $marks = idle_marks();

			sleep(3);
			return $marks eq idle_marks();
		}),
	'a dispatcher with a backlog it cannot send writes nothing and takes no xid'
);

my $private = private_kilobytes();
cmp_ok($private, '<', $megabytes * 1024, "and holds $private kB")
  if defined $private;

$node->stop;
done_testing();

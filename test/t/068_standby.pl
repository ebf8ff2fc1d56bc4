
# Copyright (c) 2026, roleferry authors

# A synchronous standby that is there, away for a while, or always slow: mails
# wait for it as claim_synchronous_commit says, and all of them get through.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	conf => q{
wal_level = replica
max_wal_senders = 4
max_connections = 30
roleferry.claim_synchronous_commit = remote_apply
});
my $standby = PostgreSQL::Test::Cluster->new('standby');

sub state_of
{
	return $node->sql(
		'SELECT string_agg(DISTINCT state, $$,$$) FROM roleferry.jobs WHERE id IN ('
		  . join(',', @_)
		  . ')');
}

sub wait_sent
{
	my ($name, @ids) = @_;

	return ok(
		$node->wait_until(
			"not sent: $name",
			40, sub { state_of(@ids) eq 'sent' }),
		$name);
}

sub cancels
{
	my $text = slurp_file($node->logfile);

	return
	  scalar(() = $text =~ /canceling wait for synchronous replication/g);
}

$node->wait_dispatcher(30);
$node->backup('copy');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->sql($_)
  foreach 'ALTER ROLE app SET synchronous_commit = local',
  'ALTER SYSTEM SET synchronous_commit = local',
  q{ALTER SYSTEM SET synchronous_standby_names = '*'};
$node->reload;
$node->wait_until(
	'the standby is not synchronous',
	30,
	sub {
		$node->sql('SELECT sync_state FROM pg_stat_replication') eq 'sync';
	});

wait_sent('mails go out with a synchronous standby', $node->enqueue(20));
is( $standby->safe_psql(
		'postgres',
		q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'roleferry%'}
	),
	'0',
	'no worker runs on the standby');

# Away for a while
{
	my @ids;

	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	@ids = $node->enqueue(5, subject => 'paused');
	$node->wait_activity(qr/^waiting for a synchronous standby$/);
	is( scalar(
			() = $simulator->journal(phase => 'body', subject => 'paused')),
		0,
		'nothing is sent that the standby does not know of');
	usleep(1_000_000);
	is(cancels(), 1, 'the log has one line about it');
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	wait_sent('mails go out when it has come as far', @ids);
}

# Always slower than our patience
{
	my (@ids, $before);

	$standby->append_conf('postgresql.conf',
		q{recovery_min_apply_delay = '2s'});
	$standby->reload;
	@ids = $node->enqueue(5, subject => 'slow');
	wait_sent('mails get through to a standby that always takes long', @ids);
	$before = cancels();
	@ids = $node->enqueue(5, subject => 'slow again');
	wait_sent('again and again', @ids);
	is(cancels(), $before, 'nobody is impatient with it a second time');
}

is($node->sql('SELECT max(attempts) FROM roleferry.message'),
	'1', 'a claim that was given up is no attempt');
unlike(slurp_file($node->logfile), qr/PANIC|by signal/, 'nothing crashed');
$node->assert_invariants('nothing is lost or sent twice');

# A slot that holds a snapshot for a standby that is gone
$node->sql(q{SELECT pg_create_physical_replication_slot('left_behind')});
$standby->append_conf(
	'postgresql.conf', q{
primary_slot_name = 'left_behind'
hot_standby_feedback = on
wal_receiver_status_interval = '1s'
});
$standby->restart;
$node->wait_until(
	'the standby does not hold a snapshot',
	60,
	sub {
		$node->sql('SELECT xmin IS NOT NULL FROM pg_replication_slots') eq 't';
	});
$standby->stop;
$node->wait_until('the slot is in use',
	60, sub { $node->sql('SELECT active FROM pg_replication_slots') eq 'f' });
is( $node->sql(
		q{SELECT severity, finding, what_to_do FROM roleferry.doctor() WHERE finding LIKE 'replication slot%'}
	),
	q{warning|replication slot "left_behind" holds a snapshot, and nobody uses it: dead rows of the outbox stay|}
	  . q{SELECT pg_drop_replication_slot('left_behind'); if nobody will come back for it.},
	'doctor() finds a slot that nobody uses, and that holds dead rows');

$node->stop;
done_testing();

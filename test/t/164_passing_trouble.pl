
# Copyright (c) 2026, roleferry authors

# A lock that passes costs no job and no result; a task's time is over when its
# commit begins.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(usleep);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	conf => q{
wal_level = replica
max_wal_senders = 2
max_worker_processes = 16
roleferry.sweep_interval = '200ms'
roleferry.claim_synchronous_commit = local
});

$node->sql(q{
CREATE SCHEMA app AUTHORIZATION app;
CREATE TABLE app.effect (what text);
GRANT ALL ON app.effect TO app;
CREATE FUNCTION app.done(receipt jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO app.effect VALUES ('told ' || (receipt ->> 'status')) $$;
CREATE FUNCTION app.work(what text) RETURNS text LANGUAGE sql AS $$ INSERT INTO app.effect VALUES (what) RETURNING what $$;
CREATE FUNCTION app.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE FUNCTION app.linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.what = 'slow' THEN PERFORM pg_sleep(10); END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON app.effect DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.linger();
SELECT roleferry.register_task('done', 'app.done(jsonb)');
SELECT roleferry.register_task('work', 'app.work(text)', timeout => '1 s', max_attempts => 1);
SELECT roleferry.register_task('fail', 'app.fail()');
UPDATE roleferry.task SET retry_base = '20000000 years', retry_cap = '20000000 years' WHERE name = 'fail';
GRANT USAGE ON SCHEMA app TO PUBLIC;
});
$node->wait_dispatcher(30);

sub state_of
{
	my ($id) = @_;

	return $node->sql("SELECT state FROM roleferry.jobs WHERE id = $id");
}

sub work
{
	my ($what) = @_;

	return $node->sql(qq{SELECT roleferry.enqueue('work', '{"what": "$what"}')});
}

sub wait_state
{
	my ($id, $state) = @_;

	return $node->wait_until("job $id is not $state", 30, sub { state_of($id) eq $state });
}

sub restart_dispatcher
{
	my $pid = $node->dispatcher_pid;

	$node->sql("SELECT pg_terminate_backend($pid)");
	return $node->wait_dispatcher(30, $pid);
}

#
# A task that cannot be looked up when it is to be told
#

{
	my $session = $node->background_psql('postgres');

	$node->hold_mail(1);
	my ($id) = $node->enqueue(1, first => 1, on_done => 'done');
	$node->wait_mail_held(1);
	$session->query_safe('BEGIN; LOCK TABLE roleferry.task IN ACCESS EXCLUSIVE MODE;');
	$node->release_mail(1);
	usleep(2_500_000);
	$session->query_safe('COMMIT');
	$session->quit;
	wait_state($id, 'sent');
	$node->wait_drained(30);
	is($node->sql('SELECT string_agg(what, $$, $$) FROM app.effect'), 'told sent', 'who is to be told is told when the lock is gone');
	is($node->sql('SELECT count(*) FROM roleferry.dead_letters'), '0', 'and nothing has failed');
}

#
# Tidying up that fails when the results have taken their turn
#

{
	my $session = $node->background_psql('postgres');
	my $offset = -s $node->logfile;
	my $id;

	$session->query_safe('BEGIN; LOCK TABLE roleferry.job_action IN ACCESS EXCLUSIVE MODE;');
	$node->sql(q{UPDATE roleferry.result_rotation SET rotated_at = now() - interval '10 days'});
	restart_dispatcher();
	$node->wait_for_log(qr/failed while tidying up/, $offset);
	$id = work('result');
	wait_state($id, 'done');
	$session->query_safe('COMMIT');
	$session->quit;
	is($node->sql("SELECT roleferry.result($id)"), '"result"', 'a result is kept');
	restart_dispatcher();
	$node->wait_until('the tables do not take their turn', 30, sub {
		$node->sql(q{SELECT rotated_at > now() - interval '1 day' FROM roleferry.result_rotation}) eq 't';
	});
	is($node->sql("SELECT roleferry.result($id)"), '"result"', 'and still is when the tables have taken their turn');
}

#
# Pauses that no number holds
#

{
	my $id = $node->sql(q{SELECT roleferry.enqueue('fail', '{}')});

	$node->wait_until('the task does not fail', 20, sub { $node->sql("SELECT failures FROM roleferry.outbox WHERE id = $id") eq '1' });
	is($node->sql("SELECT run_at BETWEEN now() + interval '1 hour' AND now() + interval '1001 years' FROM roleferry.outbox WHERE id = $id"),
		't', 'a pause of millions of years is as long as there are');
	$node->sql("SELECT roleferry.cancel($id)");
}

#
# The time of a task
#

{
	my $slow = work('slow');

	wait_state($slow, 'failed');
	like($node->sql("SELECT reason FROM roleferry.dead_letters WHERE job_id = $slow"), qr/57014/, 'a deferred trigger has its task\'s time');

	# The executor is there already: what it waits for is its commit.
	wait_state(work('before'), 'done');
	my $offset = -s $node->logfile;
	$node->sql(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
	$node->reload;
	usleep(500_000);
	$node->sql(q{SET synchronous_commit = local; SELECT roleferry.enqueue('work', '{"what": "waits"}')});
	$node->wait_until('the task is not at its commit', 20, sub {
		$node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}) eq '1';
	});
	usleep(2_500_000);
	is($node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}), '1', 'a commit waits for its standby as long as it takes');
	unlike(slurp_file($node->logfile, $offset), qr/canceling wait for synchronous replication/, 'and is not ended by the task\'s timeout');
	$node->sql('ALTER SYSTEM RESET synchronous_standby_names');
	$node->reload;
	$node->wait_drained(30);
	is($node->sql(q{SELECT count(*) FROM app.effect WHERE what = 'waits'}), '1', 'then it is done, once');
}

$node->assert_invariants;
done_testing();


# Copyright (c) 2026, roleferry authors

# SQL tasks run as the role of their job, in a session of that role, and their
# effects and the job's end are one commit.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my $node = RoleferryNode->start_pair('main', conf => q{
max_worker_processes = 16
roleferry.max_executors = 3
log_statement = none
});

$node->sql(q{
CREATE ROLE ops LOGIN;
CREATE ROLE payroll LOGIN;
CREATE ROLE mute NOLOGIN;
GRANT mute TO ops;
SELECT roleferry.grant_access('ops', 'operator');
SELECT roleferry.grant_access('mute', 'sender');
GRANT payroll TO ops;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE TABLE app.effect (id bigserial, who text, what text, n integer);
GRANT INSERT, SELECT ON app.effect TO PUBLIC;
GRANT USAGE ON SEQUENCE app.effect_id_seq TO PUBLIC;
CREATE TABLE app.secret (x integer);
GRANT ALL ON app.secret TO payroll;
CREATE FUNCTION app.note(what text, n integer DEFAULT 7) RETURNS text LANGUAGE sql
	AS $$ INSERT INTO app.effect (who, what, n) VALUES (current_user || '/' || session_user, what, n) RETURNING who $$;
CREATE FUNCTION app.whole(args jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('got', args) $$;
CREATE FUNCTION app.nothing(p integer) RETURNS void LANGUAGE sql AS $$ SELECT $$;
CREATE FUNCTION app.divide(a integer, b integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.effect (who, what) VALUES (current_user, 'divide');
	RETURN a / b;
EXCEPTION WHEN undefined_table THEN RETURN 0;
END $$;
CREATE FUNCTION app.fail(message text, state text DEFAULT 'P0001') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.effect (who, what) VALUES (current_user, 'fail');
	RAISE EXCEPTION USING MESSAGE = message, ERRCODE = state, DETAIL = 'the detail', HINT = 'the hint';
END $$;
CREATE FUNCTION app.pay() RETURNS bigint LANGUAGE sql AS $$ INSERT INTO app.secret VALUES (1); SELECT count(*) FROM app.secret $$;
CREATE FUNCTION app.slow(seconds float8) RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(seconds) $$;
CREATE FUNCTION app.climb() RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	said text[];
BEGIN
	BEGIN SET ROLE postgres; said := said || 'postgres'::text; EXCEPTION WHEN others THEN said := said || sqlstate::text; END;
	BEGIN RESET SESSION AUTHORIZATION; RESET ROLE; EXCEPTION WHEN others THEN said := said || sqlstate::text; END;
	BEGIN DELETE FROM roleferry.outbox; EXCEPTION WHEN others THEN said := said || sqlstate::text; END;
	RETURN said || current_user::text || session_user::text || current_setting('is_superuser');
END $$;
CREATE FUNCTION app.settings() RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', current_setting('work_mem'), current_setting('search_path'), current_setting('transaction_isolation')) $$;
CREATE FUNCTION app.leave_traces() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	SET work_mem = '1234kB';
	SET default_transaction_isolation = 'serializable';
	SET default_transaction_read_only = on;
	EXECUTE 'DECLARE left_open CURSOR WITH HOLD FOR SELECT 1';
	PERFORM pg_advisory_lock(77);
	CREATE TEMP TABLE IF NOT EXISTS trace (x integer);
	INSERT INTO trace VALUES (1);
	RETURN (SELECT count(*) FROM trace);
END $$;
GRANT TEMP ON DATABASE postgres TO app;
CREATE TABLE app.late (x integer, who text);
GRANT ALL ON app.late TO app;
CREATE FUNCTION app.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.x < 0 THEN RAISE EXCEPTION 'negative' USING ERRCODE = 'P0009'; END IF;
	UPDATE app.late SET who = current_user || '/' || session_user WHERE x = NEW.x;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON app.late DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION app.at_commit();
CREATE FUNCTION app.late(x integer) RETURNS void LANGUAGE sql AS $$ INSERT INTO app.late VALUES (x, 'nobody') $$;
ALTER ROLE app SET work_mem = '5MB';
SELECT roleferry.register_task('app.' || p, ('app.' || s)::regprocedure, retry_base => '0 s')
  FROM (VALUES ('note', 'note(text,int)'), ('whole', 'whole(jsonb)'), ('nothing', 'nothing(int)'), ('divide', 'divide(int,int)'),
	('climb', 'climb()'), ('settings', 'settings()'), ('leave_traces', 'leave_traces()'), ('late', 'late(int)')) t (p, s);
SELECT roleferry.register_task('app.slow', 'app.slow(float8)', timeout => '300 ms', max_attempts => 1);
SELECT roleferry.register_task('app.sleep', 'app.slow(float8)');
SELECT roleferry.register_task('app.fail', 'app.fail(text,text)', max_attempts => 3, retry_base => '0 s');
SELECT roleferry.register_task('app.pay', 'app.pay()', run_as => 'payroll');
});
$node->wait_dispatcher(30);

sub as_app
{
	my ($sql) = @_;

	return $node->sql("SET ROLE app; $sql");
}

# Enqueue and wait: "state|result".
sub run_task
{
	my ($task, $args, $options) = @_;
	my $id = as_app(sprintf "SELECT roleferry.enqueue('%s', '%s'%s)", $task, $args, $options ? ", $options" : '');

	return as_app("SELECT state, result, reason FROM roleferry.wait_for($id)");
}

is(run_task('app.note', '{"what": "first"}'), 'done|"app/app"|', 'a task runs in a session of its job\'s role');
is($node->sql(q{SELECT who, what, n FROM app.effect WHERE what = 'first'}), 'app/app|first|7', 'with the defaults of what is left out');
is(run_task('app.note', '{"what": "second", "n": 9}'), 'done|"app/app"|', 'or without');
is(run_task('app.whole', '{"a": [1, {"b": null}]}'), 'done|{"got": {"a": [1, {"b": null}]}}|', 'one jsonb parameter takes all of args');
is(run_task('app.nothing', '{"p": 1}'), 'done||', 'a function may return nothing');
is(run_task('app.divide', '{"a": 7, "b": 2}'), 'done|3|', 'what it returns is the result');

# By plain INSERT and COPY.
as_app(q{INSERT INTO roleferry.outbox (task, args) VALUES ('app.note', '{"what": "inserted"}')});
$node->wait_drained(30);
is($node->sql(q{SELECT count(*) FROM app.effect WHERE what = 'inserted'}), '1', 'a plain INSERT enqueues a task, too');

# The role's own settings apply, and nothing that an earlier task has left.
is(run_task('app.settings', '{}'), 'done|"5MB \"$user\", public read committed"|', 'the role\'s settings apply');
is(run_task('app.leave_traces', '{}'), 'done|"1"|', 'a task may change its session');
is(run_task('app.settings', '{}'), 'done|"5MB \"$user\", public read committed"|', 'and the next finds nothing of that');
is(run_task('app.leave_traces', '{}'), 'done|"1"|', 'no temporary table and no cursor');
is($node->sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), '1', 'and no lock but its own');
is(run_task('app.note', '{"what": "third"}', 'max_attempts => 1'), 'done|"app/app"|', 'nor is it kept from writing');

# No way up.
is(run_task('app.climb', '{}'), 'done|["42501", "42501", "app", "app", "off"]|', 'there is no way to a higher role, nor to the jobs of others');

# Deferred triggers are the role's, and before the end.
is(run_task('app.late', '{"x": 1}'), 'done||', 'a task may leave work to the commit');
is($node->sql('SELECT who FROM app.late WHERE x = 1'), 'app/app', 'which runs as the role as well');
like(run_task('app.late', '{"x": -1}', 'max_attempts => 1'), qr/^failed\|\|P0009: negative/, 'and fails the job when it fails');
is($node->sql('SELECT count(*) FROM app.late'), '1', 'with all its effects');

# Errors.
like(run_task('app.divide', '{"a": 7, "b": 0}'), qr/^failed\|\|22012: division by zero$/, 'bad data fail at once');
is($node->sql(q{SELECT count(*) FROM app.effect WHERE what = 'divide'}), '1', 'and leave nothing behind');
like(run_task('app.fail', '{"message": "again"}'), qr/^failed\|\|P0001: again$/, 'another error is tried again');
is($node->sql(q{SELECT d.attempts, d.failures, d.error ->> 'sqlstate', d.error ->> 'message', d.error ->> 'detail', d.error ->> 'hint',
	d.error ->> 'context' ~ 'app.fail' FROM roleferry.dead_letters d WHERE task = 'app.fail'}),
	'3|3|P0001|again|the detail|the hint|t', 'as often as the task says, and the error is kept whole');
is($node->sql(q{SELECT string_agg(attempt || ' ' || verdict || ' ' || outcome || ' ' || (error ->> 'sqlstate'), ', ' ORDER BY attempt)
	FROM roleferry.attempts a WHERE job_id = (SELECT job_id FROM roleferry.dead_letter WHERE task = 'app.fail')}),
	'1 retry transient P0001, 2 retry transient P0001, 3 failed transient P0001', 'and each attempt, too');
is($node->sql(q{SELECT count(*) FROM app.effect WHERE what = 'fail'}), '0', 'what fails has no effect');
{
	my $started = time();

	like(run_task('app.slow', '{"seconds": 30}'), qr/^failed\|\|57014: canceling statement due to statement timeout$/, 'a task has a time limit');
	cmp_ok(time() - $started, '<', $node->patient(10), 'that holds');
}

# Another role.
is(run_task('app.pay', '{}'), 'done|1|', 'a task may run as another role');
is($node->sql(q{SELECT role FROM roleferry.jobs WHERE task = 'app.pay'}), 'app', 'and is still the job of who enqueued it');

# Bad input is refused when it is enqueued.
foreach my $bad (
	[ q{roleferry.enqueue('app.no')}, qr/there is no task "app.no"/ ],
	[ q{roleferry.enqueue('app.note', '[1]')}, qr/"args" is not a JSON object/ ],
	[ q{roleferry.enqueue('app.note', '{"n": 1}')}, qr/"args" lacks the key "what"/ ],
	[ q{roleferry.enqueue('app.note', '{"what": "x", "m": 1}')}, qr/"args" has the key "m"/ ],
	[ q{roleferry.enqueue('app.note', '{"what": "x"}', priority => 11)}, qr/"priority" is not between 0 and 10/ ],
	[ q{roleferry.enqueue('app.note', '{"what": "x"}', run_at => 'infinity')}, qr/"run_at" is infinite/ ],
	[ q{roleferry.enqueue('app.note', '{"what": "x"}', delivery => 'at_most_once')}, qr/"delivery" has no meaning/ ],
	[ q{roleferry.enqueue('app.note', jsonb_build_object('what', repeat('x', 17000000)))}, qr/"args" is too large/ ])
{
	my ($out, $err);
	$node->psql('postgres', "SET ROLE app; SELECT $bad->[0]", stderr => \$err);
	like($err, $bad->[1], "refused: $bad->[0]");
}
SKIP: {
	skip 'a role needs no LOGIN from PostgreSQL 17 on', 1 if $node->pg_version >= 17;
	my $err;
	$node->psql('postgres', q{SET ROLE mute; SELECT roleferry.enqueue('app.note', '{"what": "x"}')}, stderr => \$err);
	like($err, qr/role "mute" may not log in/, 'a role that cannot run tasks is told so');
}
$node->sql(q{SET ROLE app; SELECT roleferry.enqueue('app.note', '{}', on_invalid => 'reject')});
is($node->sql(q{SELECT state, reason ~ 'lacks the key' FROM roleferry.dead_letter ORDER BY job_id DESC LIMIT 1}), 'failed|t', 'or kept as a dead letter, when asked');

# What goes wrong in between ends in dead letters, not in a stuck queue.
$node->sql(q{
CREATE ROLE short LOGIN;
SELECT roleferry.grant_access('short', 'sender');
SELECT roleferry.register_task('app.short', 'app.nothing(int)');
SELECT roleferry.register_task('app.gone', 'app.nothing(int)')});
my $soon = $node->sql(q{SET ROLE short; SELECT roleferry.enqueue('app.nothing', '{"p": 1}', run_at => now() + interval '2 s')});
my $gone = as_app(q{SELECT roleferry.enqueue('app.gone', '{"p": 1}', run_at => now() + interval '2 s')});
my $changed = as_app(q{SELECT roleferry.enqueue('app.short', '{"p": 1}', run_at => now() + interval '2 s')});
$node->sql(q{SELECT roleferry.revoke_access('short'); DROP ROLE short; SELECT roleferry.unregister_task('app.gone');
	SELECT roleferry.register_task('app.short', 'app.note(text,int)', retry_base => '0 s')});
is($node->sql("SELECT state, reason FROM roleferry.wait_for($soon)"), 'failed|its role "short" does not exist any more', 'a role that is gone');
is($node->sql("SELECT state, reason FROM roleferry.wait_for($gone)"), 'failed|there is no task "app.gone" any more', 'a task that is gone');
like($node->sql("SELECT state, reason FROM roleferry.wait_for($changed)"), qr/^failed\|22023: args do not fit/, 'a function that is another');
is($node->sql("SELECT count(*) FROM roleferry.outbox"), '0', 'nothing is stuck');

# Who may.
foreach my $bad (
	[ 'app', q{roleferry.register_task('x', 'app.nothing(int)')}, qr/permission denied/ ],
	[ 'ops', q{roleferry.register_task('app.note', 'app.nothing(int)')}, qr/was registered by another role/ ],
	[ 'ops', q{roleferry.unregister_task('app.note')}, qr/was registered by another role/ ],
	[ 'ops', q{roleferry.register_task('ops.x', 'app.nothing(int)', run_as => 'app')}, qr/you are no member of: "app"/ ],
	[ 'ops', q{roleferry.register_task('send_email', 'app.nothing(int)')}, qr/"name" is that of a task of roleferry's own/ ],
	[ 'ops', q{roleferry.register_task('ops.x', 'pg_catalog.generate_series(int,int)')}, qr/"function" returns a set/ ],
	[ 'ops', q{roleferry.register_task('ops.x', 'pg_catalog.sum(int)')}, qr/"function" is no plain function/ ],
	[ 'ops', q{roleferry.register_task('ops.x', 'pg_catalog.int4pl(int,int)')}, qr/"function" has a parameter without a name, number 1/ ],
	[ 'ops', q{roleferry.register_task('ops.x', 'app.nothing(int)', give_up_on => '{22,xx}')}, qr/"give_up_on" has "xx"/ ],
	[ 'ops', q{roleferry.register_task('ops.x', 'app.nothing(int)', timeout => '-1 s')}, qr/"timeout" is not positive/ ])
{
	my $err;
	$node->psql('postgres', "SET ROLE $bad->[0]; SELECT $bad->[1]", stderr => \$err);
	like($err, $bad->[2], "$bad->[0] may not: $bad->[1]");
}
is($node->sql(q{SET ROLE ops; SELECT roleferry.register_task('ops.pay', 'app.pay()', run_as => 'payroll')}), '', 'an operator registers for roles of his');
$node->sql(q{REVOKE EXECUTE ON FUNCTION app.pay() FROM PUBLIC; GRANT EXECUTE ON FUNCTION app.pay() TO payroll});
{
	my $err;
	$node->psql('postgres', q{SET ROLE app; SELECT roleferry.enqueue('ops.pay')}, stderr => \$err);
	like($err, qr/role "app" may not execute the function of task "ops.pay"/, 'who may not call a function may not have others call it');
}

# Executors come on demand, no more than may, and leave.
as_app(q{SELECT roleferry.enqueue('app.sleep', '{"seconds": 0.6}') FROM generate_series(1, 9)});
$node->wait_until('there are not three executors', 20,
	sub { $node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'roleferry executor' AND usename = 'app' AND state = 'active'}) eq '3' });
$node->wait_drained(30);
cmp_ok($node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'roleferry executor'}), '<=', 3, 'no more executors than may run');
# One role does not keep another from its turn.
as_app(q{SELECT roleferry.enqueue('app.sleep', '{"seconds": 0.2}') FROM generate_series(1, 60)});
$node->sql(q{GRANT EXECUTE ON FUNCTION app.pay() TO app});
my $other = as_app(q{SELECT roleferry.enqueue('app.pay')});
is($node->sql("SELECT state FROM roleferry.wait_for($other)"), 'done', 'a role whose jobs come later has its turn');
cmp_ok($node->sql('SELECT count(*) FROM roleferry.outbox'), '>', 5, 'while the first has more to do');
$node->wait_drained(60);
$node->append_conf('postgresql.conf', q{roleferry.executor_idle_timeout = '100ms'});
$node->reload;
$node->wait_until('executors stay', 20,
	sub { $node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'roleferry executor'}) eq '0' });
pass('executors leave when there is nothing to do');
is(run_task('app.nothing', '{"p": 1}'), 'done||', 'and come back');

# One that is ended by somebody is no crash; its job runs again.
my $ended = as_app(q{SELECT roleferry.enqueue('app.sleep', '{"seconds": 1.5}')});
my $pid = $node->wait_until('it does not run', 20,
	sub { $node->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'roleferry executor' AND query LIKE 'task app.sleep%' AND state = 'active'}) });
$node->sql("SELECT pg_terminate_backend($pid)");
is($node->sql("SELECT state, attempts FROM roleferry.wait_for($ended)"), 'done|2', 'an executor that is terminated has its job run again');

$node->stop;
done_testing();

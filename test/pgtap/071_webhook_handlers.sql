-- Handlers that are left to jobs: what their rows say, which jobs there can be
-- of them, and how an event tells what became of them.
\unset ECHO
\set QUIET 1
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP true
\pset format unaligned
\pset tuples_only true
\pset pager off

BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS roleferry;

SELECT plan(35);

CREATE ROLE regress_roleferry_app LOGIN;
CREATE ROLE regress_roleferry_other LOGIN;
CREATE ROLE regress_roleferry_operator;
GRANT regress_roleferry_app TO regress_roleferry_operator;
-- A membership that does not allow to act as the role is none, where there is such a thing.
DO $$ BEGIN
	IF current_setting('server_version_num')::integer >= 160000 THEN
		EXECUTE 'GRANT regress_roleferry_other TO regress_roleferry_operator WITH SET FALSE';
	END IF;
END $$;
SELECT roleferry.grant_access('regress_roleferry_app', 'sender'), roleferry.grant_access('regress_roleferry_other', 'sender'),
       roleferry.grant_access('regress_roleferry_operator', 'operator') \g /dev/null
CREATE FUNCTION public.regress_handler(text, jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION public.regress_task(argument text) RETURNS void LANGUAGE sql AS 'SELECT';
INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES ('regress', 'none', '{regress}');

-- rows
SET LOCAL ROLE regress_roleferry_operator;
SELECT lives_ok($$ INSERT INTO roleferry.webhook_handler (source, function, role, mode, max_attempts, retry_base, retry_cap)
	VALUES ('regress', 'public.regress_handler', 'regress_roleferry_app', 'queued', 3, '1 s', '1 min') $$, 'an operator makes a queued handler');
SELECT throws_ok($$ INSERT INTO roleferry.webhook_handler (source, function, role, mode)
	VALUES ('regress', 'public.regress_handler', 'regress_roleferry_other', 'queued') $$, '42501', NULL, 'but in no role that is not his');
SELECT throws_ok($$ SELECT roleferry.register_task('regress', 'public.regress_task(text)', run_as => 'regress_roleferry_other') $$,
	'42501', NULL, 'nor a task');
RESET ROLE;
SELECT throws_ok($$ INSERT INTO roleferry.webhook_handler (source, function, mode) VALUES ('regress', 'public.regress_handler', 'queued') $$,
	'42501', NULL, 'a superuser names another role');
SELECT throws_ok(format('UPDATE roleferry.webhook_handler SET %s', bad), '23514', NULL, bad || ' is refused')
  FROM unnest(ARRAY['mode = ''later''', 'max_attempts = 0', 'max_attempts = 1001', 'retry_base = ''-1 s''', 'retry_cap = ''1 year''']) bad;
SELECT results_eq($$ SELECT mode, max_attempts, retry_base, retry_cap FROM roleferry.webhook_handler $$,
	$$ VALUES ('queued', 3, interval '1 s', interval '1 min') $$, 'the row is as it was made');
SELECT throws_ok($$ SELECT roleferry.register_task('webhook_handler', 'public.regress_handler(text, jsonb)') $$, '22023', NULL,
	'no other task has the name of theirs');

-- jobs
SELECT id AS handler FROM roleferry.webhook_handler \gset
INSERT INTO roleferry.webhook_event (source, event_id, type, kind, status, applied, pending, raw)
	VALUES ('regress', 'e1', 't', 'other', 'queued', true, ARRAY[:handler], '{}') RETURNING id AS event \gset
SET LOCAL ROLE regress_roleferry_other;
SELECT throws_ok(format($$ SELECT roleferry.enqueue('webhook_handler', '%s') $$, args), '22023', NULL, 'refused: ' || args)
  FROM unnest(ARRAY['{}', '{"event": 1}', '{"event": "x", "handler": {}}', '{"event": 1e400, "handler": 1}', '{"event": 1.5, "handler": 1}',
                    '{"event": -1, "handler": -1}', '[1]', format('{"event": %s, "handler": %s}', :event, :handler)]) args;
SET LOCAL ROLE regress_roleferry_app;
SELECT throws_ok(format($$ SELECT roleferry.enqueue('webhook_handler', '{"event": %s.5, "handler": %s}') $$, :event, :handler), '22023',
	'there is no such handler to be run: its args name no event and handler', 'a fraction is the id of nothing');
RESET ROLE;
ALTER ROLE regress_roleferry_app SUPERUSER;
SET LOCAL ROLE regress_roleferry_app;
SELECT throws_ok(format($$ SELECT roleferry.enqueue('webhook_handler', '{"event": %s, "handler": %s}') $$, :event, :handler), '42501',
	'the handler''s role "regress_roleferry_app" is a superuser', 'nothing is run as a role that has become a superuser');
RESET ROLE;
ALTER ROLE regress_roleferry_app NOSUPERUSER;
UPDATE roleferry.webhook_event SET pending = NULL;
SET LOCAL ROLE regress_roleferry_app;
SELECT throws_ok(format($$ SELECT roleferry.enqueue('webhook_handler', '{"event": %s, "handler": %s}') $$, :event, :handler), '22023',
	'there is no such handler to be run: it is done, or was never to be done', 'what is done is not run again');
RESET ROLE;
UPDATE roleferry.webhook_event SET pending = ARRAY[:handler];
SET LOCAL ROLE regress_roleferry_app;
SELECT isnt(roleferry.enqueue('webhook_handler', format('{"event": %s, "handler": %s}', :event, :handler)::jsonb), NULL,
	'a handler''s own role may have it run sooner');
RESET ROLE;
SELECT results_eq($$ SELECT role::text COLLATE "default", queue, delivery, accounts FROM roleferry.outbox WHERE task = 'webhook_handler' $$,
	$$ VALUES ('regress_roleferry_app', 'default', 'at_least_once', '{}'::text[]) $$, 'as a job that an executor runs');

-- events
UPDATE roleferry.webhook_event SET jobs = ARRAY(SELECT id FROM roleferry.outbox WHERE task = 'webhook_handler');
CREATE FUNCTION pg_temp.standing() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', status, attempts, error) FROM roleferry.webhook_events WHERE event_id = 'e1' $$;
SELECT is(pg_temp.standing(), 'queued 0', 'an event waits for its job');
UPDATE roleferry.outbox SET failures = 1, attempts = 1, run_at = now() + interval '1 h' WHERE task = 'webhook_handler';
SELECT is(pg_temp.standing(), 'failed 1', 'which has failed');
SELECT is((SELECT next_at FROM roleferry.webhook_events WHERE event_id = 'e1'), now() + interval '1 h', 'and will be tried again');
SELECT roleferry.cancel(id) FROM roleferry.outbox WHERE task = 'webhook_handler' \g /dev/null
SELECT is(pg_temp.standing(), 'dead 1 cancelled by ' || current_user, 'or not, when it is cancelled');
SELECT is((SELECT count(*) FROM roleferry.webhook_events e JOIN roleferry.dead_letters d ON d.job_id = ANY (e.jobs)), 1::bigint,
	'its dead letter is found by it');
SELECT is((SELECT problem FROM roleferry.redrive(task => 'webhook_handler', state => 'cancelled')), NULL, 'and is tried again');
SELECT is(pg_temp.standing(), 'queued 1', 'then the event waits');

-- A dump says that its rows were checked: one handler that is broken by now does not cost all others.
CREATE PROCEDURE public.regress_procedure(text, jsonb) LANGUAGE sql AS '';
SELECT throws_ok($$ INSERT INTO roleferry.webhook_handler (source, function, role) VALUES ('regress', 'public.regress_procedure', 'regress_roleferry_app') $$,
	'42883', '"function" is not the name of a function (text, jsonb)', 'a procedure is no handler');
SELECT throws_ok($$ INSERT INTO roleferry.webhook_handler (source, function, role) VALUES ('regress', 'public.regress_gone', 'regress_roleferry_app') $$,
	'42883', NULL, 'nor is what does not exist');
SET LOCAL check_function_bodies = off;
SELECT lives_ok($$ INSERT INTO roleferry.webhook_handler (source, function, role) VALUES ('regress', 'public.regress_gone', 'regress_roleferry_app'),
	('regress', 'public.regress_handler', current_user) $$, 'but a restore puts back what was dumped');
SET LOCAL ROLE regress_roleferry_operator;
SELECT throws_ok($$ INSERT INTO roleferry.webhook_handler (source, function, role) VALUES ('regress', 'public.regress_gone', 'regress_roleferry_app') $$,
	'42883', NULL, 'and nobody but a superuser restores');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;

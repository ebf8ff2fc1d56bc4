-- Waiting jobs can be cancelled, dead letters tried again: by their role and by
-- operators, and an unknown one only when told so.
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

SELECT plan(33);

CREATE ROLE regress_roleferry_app LOGIN;
CREATE ROLE regress_roleferry_other;
CREATE ROLE regress_roleferry_operator;
CREATE ROLE regress_roleferry_reader;
SELECT roleferry.grant_access('regress_roleferry_app', 'sender'), roleferry.grant_access('regress_roleferry_other', 'sender'),
       roleferry.grant_access('regress_roleferry_operator', 'operator'), roleferry.grant_access('regress_roleferry_reader', 'reader'),
       roleferry.grant_access('regress_roleferry_reader', 'sender') \g /dev/null
CREATE FUNCTION public.regress_add(a integer, b integer DEFAULT 1) RETURNS integer LANGUAGE sql AS 'SELECT a + b';
SELECT roleferry.register_task('regress.add', 'public.regress_add(int, int)') \g /dev/null

SET LOCAL ROLE regress_roleferry_app;
SELECT roleferry.enqueue('regress.add', '{"a": 1}', idempotency_key => 'k1', priority => 7) AS one \gset
SELECT roleferry.enqueue('regress.add', '{"a": 2}') AS two \gset
SELECT roleferry.enqueue('regress.add', '{"a": 3}') AS three \gset

-- cancel
SET LOCAL ROLE regress_roleferry_other;
SELECT throws_ok(format('SELECT roleferry.cancel(%s)', :one), '42704', format('there is no job %s that you may cancel', :one),
	'another role''s job cannot be cancelled');
SET LOCAL ROLE regress_roleferry_reader;
SELECT throws_ok(format('SELECT roleferry.cancel(%s)', :one), '42704', NULL, 'not by who may read it, either');
SET LOCAL ROLE regress_roleferry_app;
SELECT throws_ok('SELECT roleferry.cancel(999999)', '42704', NULL, 'nor one that is not there');
SELECT is(roleferry.cancel(:one), true, 'a job that waits is cancelled');
SELECT results_eq(format('SELECT state, reason FROM roleferry.dead_letters WHERE job_id = %s', :one),
	$$ VALUES ('cancelled', 'cancelled by regress_roleferry_app') $$, 'at once');
SELECT is(roleferry.cancel(:one), false, 'once');
RESET ROLE;
UPDATE roleferry.outbox SET worker = 1, claimed_at = now() WHERE id = :two;
SET LOCAL ROLE regress_roleferry_app;
SELECT is(roleferry.cancel(:two), false, 'for one that is under way it is too late');
SELECT is((SELECT state FROM roleferry.jobs WHERE id = :two), 'running', 'and it goes on');
SET LOCAL ROLE regress_roleferry_operator;
SELECT is(roleferry.cancel(:three), true, 'an operator cancels anybody''s');

-- retry
SET LOCAL ROLE regress_roleferry_other;
SELECT throws_ok(format('SELECT roleferry.retry(%s)', :one), '42704', NULL, 'another role''s dead letter is not tried again');
SET LOCAL ROLE regress_roleferry_app;
RESET ROLE;
UPDATE roleferry.dead_letter SET attempts = 4, failures = 4 WHERE job_id = :one;
SET LOCAL ROLE regress_roleferry_app;
SELECT lives_ok(format('SELECT roleferry.retry(%s)', :one), 'one''s own is');
SELECT is((SELECT state FROM roleferry.jobs WHERE id = :one), 'waiting', 'it waits again');
SELECT is_empty(format('SELECT * FROM roleferry.dead_letters WHERE job_id = %s', :one), 'and is no dead letter');
RESET ROLE;
SELECT results_eq(format('SELECT role, priority, attempts, failures, idempotency_key, args, lane <> 0 FROM roleferry.outbox WHERE id = %s', :one),
	$$ VALUES ('regress_roleferry_app'::text COLLATE "C", 7::smallint, 4, 0, 'k1', '{"a": 1}'::jsonb, true) $$,
	'as it was, with its attempts and without its failures');
SET LOCAL ROLE regress_roleferry_app;
SELECT is(roleferry.enqueue('regress.add', '{"a": 1}', idempotency_key => 'k1'), :one::bigint, 'its key still stands for it');
SELECT throws_ok(format('SELECT roleferry.retry(%s)', :one), '42704', NULL, 'what waits is not tried again');

-- an unknown one
RESET ROLE;
INSERT INTO roleferry.dead_letter (job_id, created_at, attempts, failures, priority, state, reason, task, role, delivery, args)
VALUES (8001, now(), 1, 0, 5, 'unknown', 'nobody knows', 'regress.add', 'regress_roleferry_app', 'at_least_once', '{"a": 8}'),
       (8002, now(), 1, 1, 5, 'failed', '22012: division by zero', 'regress.add', 'regress_roleferry_app', 'at_least_once', '{"a": 8}'),
       (8003, now(), 1, 1, 5, 'failed', '22012: division by zero', 'regress.add', 'regress_roleferry_other', 'at_least_once', '{"b": 8}'),
       (8004, now(), 1, 1, 5, 'failed', 'P0001: other', 'regress.add', 'regress_roleferry_app', 'at_least_once', '{"a": 8}'),
       (8005, now(), 1, 1, 5, 'failed', 'no args', 'regress.add', 'regress_roleferry_app', 'at_least_once', NULL);
SET LOCAL ROLE regress_roleferry_app;
SELECT throws_ok('SELECT roleferry.retry(8001)', '55000', 'job 8001 is unknown: tried again, it may have its effect twice',
	'an unknown job is not tried again by itself');
SELECT lives_ok('SELECT roleferry.retry(8001, unknown => true)', 'but when told so');
SELECT throws_ok('SELECT roleferry.retry(8005)', '55000', NULL, 'a job without arguments cannot be tried again');

-- redrive
SELECT throws_ok('SELECT * FROM roleferry.redrive()', '42501', NULL, 'redrive is for operators');
RESET ROLE;
SELECT results_eq($$ SELECT job_id FROM roleferry.redrive(reason => '22012%', dry_run => true) $$, 'VALUES (8002::bigint), (8003)',
	'a dry run lists what would be tried again');
SELECT is((SELECT count(*) FROM roleferry.outbox WHERE id IN (8002, 8003)), 0::bigint, 'and does nothing');
SELECT results_eq($$ SELECT job_id, problem IS NOT NULL FROM roleferry.redrive(reason => '22012%', max_jobs => 10) $$,
	'VALUES (8002::bigint, false), (8003, true)', 'what cannot be tried again is named and left');
SELECT results_eq('SELECT job_id FROM roleferry.dead_letter WHERE job_id IN (8002, 8003)', 'VALUES (8003::bigint)', 'the rest goes');
SELECT is((SELECT count(*) FROM roleferry.redrive(max_jobs => 1)), 1::bigint, 'no more than asked for');
SELECT throws_ok($$ SELECT * FROM roleferry.redrive(state => 'unknown') $$, '55000', NULL, 'unknown ones only when told so');
SELECT lives_ok($$ SELECT * FROM roleferry.redrive(state => 'unknown', unknown => true) $$, 'and then they are');
SELECT throws_ok($$ SELECT * FROM roleferry.redrive(state => 'sent') $$, '22023', 'unrecognized value for "state": "sent"', 'other states are none');
SELECT throws_ok($$ SELECT * FROM roleferry.redrive(max_jobs => 0) $$, '22023', '"max_jobs" is not positive', 'nor is no job');
SELECT bag_eq('SELECT job_id, action, role::text, from_state FROM roleferry.job_action WHERE role LIKE $$regress%$$',
	format($$ VALUES (%s::bigint, 'cancel', 'regress_roleferry_app', 'waiting'), (%s, 'cancel', 'regress_roleferry_operator', 'waiting'),
	          (%s, 'retry', 'regress_roleferry_app', 'cancelled'), (8001, 'retry', 'regress_roleferry_app', 'unknown') $$, :one, :three, :one),
	'who did what is on record');
SELECT is((SELECT role::text FROM roleferry.job_action WHERE job_id = 8002), session_user::text, 'redriving, too');
SET LOCAL ROLE regress_roleferry_reader;
SELECT lives_ok('SELECT * FROM roleferry.job_action', 'for readers to see');

RESET ROLE;
-- An argument that is null is as good as none.
INSERT INTO roleferry.dead_letter (job_id, created_at, attempts, failures, priority, state, reason, task, role, args)
	VALUES (900001, now(), 1, 1, 5, 'expired', 'test', 'regress.add', 'regress_roleferry_app', '{"a": 1}');
SELECT roleferry.redrive(state => 'expired', unknown => NULL) \g /dev/null
SELECT is((SELECT count(*) FROM roleferry.outbox WHERE id = 900001), 1::bigint, 'what redrive() says is done is done');

SELECT * FROM finish();
ROLLBACK;

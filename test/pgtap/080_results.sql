-- What a job returned is shown to its role and to readers, and to nobody else.
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

SELECT plan(24);

CREATE ROLE regress_roleferry_app;
CREATE ROLE regress_roleferry_other;
CREATE ROLE regress_roleferry_reader;
SELECT roleferry.grant_access('regress_roleferry_app', 'sender'), roleferry.grant_access('regress_roleferry_other', 'sender'),
       roleferry.grant_access('regress_roleferry_reader', 'reader') \g /dev/null
CREATE SERVER regress_sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
GRANT USAGE ON FOREIGN SERVER regress_sendgrid TO regress_roleferry_app;

INSERT INTO roleferry.result_0 (job_id, created_at, finished_at, attempts, task, role, queue, result)
VALUES (7001, now() - interval '2 min', now() - interval '1 min', 1, 'app.add', 'regress_roleferry_app', 'default', '{"sum": 5}');
INSERT INTO roleferry.result_2 (job_id, created_at, finished_at, attempts, task, account, role, queue)
VALUES (7002, now() - interval '2 min', now() - interval '1 min', 3, 'verify_emails', 'nb', 'regress_roleferry_app', 'enrichment');
INSERT INTO roleferry.message (job_id, created_at, sent_at, http_status, attempts, account, provider, message_id, role)
VALUES (7003, now(), now(), 202, 1, 'regress_sendgrid', 'sendgrid', 'abc', 'regress_roleferry_app');
INSERT INTO roleferry.dead_letter (job_id, created_at, attempts, failures, priority, state, reason, task, role)
VALUES (7004, now(), 2, 2, 5, 'failed', 'it did not work', 'send_email', 'regress_roleferry_app');

SET ROLE regress_roleferry_app;
SELECT is(roleferry.result(7001), '{"sum": 5}'::jsonb, 'what a job returned can be had');
SELECT is(roleferry.result(7002), NULL, 'a job may have returned nothing');
SELECT is(roleferry.result(7003) ->> 'message_id', 'abc', 'a sent mail''s receipt is its result');
SELECT is(roleferry.result(7003) ->> 'provider', 'sendgrid', 'and names the provider');
SELECT is(roleferry.result(7004), NULL, 'a failed job has none');
SELECT is(roleferry.result(999999), NULL, 'nor has one that is not known');
SELECT is(roleferry.result(NULL), NULL, 'nor none');
SELECT results_eq(
	'SELECT job_id, task, state, result, reason, attempts FROM roleferry.wait_for(7001)',
	$$ VALUES (7001::bigint, 'app.add', 'done', '{"sum": 5}'::jsonb, NULL::text, 1) $$,
	'who waits for a job that is done is told at once');
SELECT results_eq(
	'SELECT state, result, reason FROM roleferry.wait_for(7004)',
	$$ VALUES ('failed', NULL::jsonb, 'it did not work') $$, 'and of one that failed, why');
SELECT ok((SELECT finished_at < now() FROM roleferry.wait_for(7001)), 'and when it ended');
SELECT results_eq(
	'SELECT id, state, task, account, attempts FROM roleferry.jobs WHERE id IN (7001, 7002) ORDER BY id',
	$$ VALUES (7001::bigint, 'done', 'app.add', NULL::text, 1), (7002, 'done', 'verify_emails', 'nb', 3) $$,
	'the view of jobs shows those that are done');
SELECT results_eq(
	'SELECT event, detail FROM roleferry.job_report(7001)',
	$$ VALUES ('enqueued', 'app.add, queue default, by regress_roleferry_app'), ('done', 'at attempt 1') $$,
	'and so does the report of one');
SELECT throws_ok('SELECT * FROM roleferry.wait_for(999999)', '42704',
	'there is no job 999999 that you may ask about', 'nobody waits for what is not there');
SELECT throws_ok('SELECT * FROM roleferry.wait_for(NULL)', '22023', '"job_id" is null', 'or for none');
SELECT throws_ok($$ SELECT * FROM roleferry.wait_for(7001, '-1 s') $$, '22023',
	'"timeout" is not between 1 microsecond and 24 hours', 'or a negative time');
SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 's', 'x') AS mine \gset
SELECT throws_ok(format('SELECT * FROM roleferry.wait_for(%s)', :mine), '55000',
	format('job %s was enqueued by this transaction and cannot end before it commits', :mine),
	'or for a job of its own transaction');
SAVEPOINT deeper;
SELECT throws_ok(format('SELECT * FROM roleferry.wait_for(%s)', :mine), '55000', NULL,
	'or, in a subtransaction, for one of the transaction around it');
RELEASE SAVEPOINT deeper;
SELECT is(roleferry.result(:mine), NULL, 'a job that waits has no result yet');

SET ROLE regress_roleferry_other;
SELECT is(roleferry.result(7001), NULL, 'another role is told nothing');
SELECT throws_ok('SELECT * FROM roleferry.wait_for(7001)', '42704', NULL, 'and cannot wait for it');
SELECT is_empty('SELECT * FROM roleferry.jobs WHERE id = 7001', 'nor see it among the jobs');
SELECT is_empty('SELECT * FROM roleferry.job_report(7001)', 'nor in a report');

SET ROLE regress_roleferry_reader;
SELECT is(roleferry.result(7001), '{"sum": 5}'::jsonb, 'a reader sees all of them');

RESET ROLE;
CREATE SCHEMA regress_evil;
GRANT ALL ON SCHEMA regress_evil TO regress_roleferry_other;
SET ROLE regress_roleferry_other;
CREATE FUNCTION regress_evil.yes(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR regress_evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_evil.yes);
SET search_path = regress_evil, public, pg_catalog;
SELECT roleferry.result(7001) IS NULL AS kept \gset
RESET search_path;
SELECT ok(:'kept', 'not even one that brings its own operators');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;

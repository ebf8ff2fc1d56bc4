-- A database sends nothing until somebody activates it, and whoever activates
-- it says what becomes of the jobs that wait already.  Settling by hand, too.
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

SELECT plan(55);

CREATE SERVER regress_sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE FUNCTION public.regress_mail(run_at timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
	SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 'Hello', 'x', run_at => regress_mail.run_at)
$$;
CREATE TEMP VIEW waiting AS
	SELECT id, CASE run_at WHEN 'infinity' THEN 'held' WHEN '2035-01-01 00:00+00' THEN 'later' ELSE 'due' END AS run_at
	  FROM roleferry.outbox WHERE worker IS NULL;

--
-- A new database
--
SELECT is_empty('SELECT FROM roleferry.activation', 'a new database is not active');
SELECT is(roleferry.deactivate(), 'was not active', 'deactivating it changes nothing');
SELECT is(roleferry.activate(), 'active; jobs waiting: 0', 'an empty outbox needs no decision');
SELECT results_eq(
	'SELECT system_identifier, database_oid FROM roleferry.activation',
	$$ SELECT s.system_identifier, d.oid FROM pg_control_system() s, pg_database d WHERE d.datname = current_database() $$,
	'the activation names this cluster and this database');
SELECT matches((SELECT installation FROM roleferry.activation), '^[0-9a-f]{16}$', 'and carries 64 bits in hex');
SELECT is((SELECT activated_by FROM roleferry.activation), session_user::text, 'and who did it');
SELECT installation AS first_installation FROM roleferry.activation \gset

SELECT public.regress_mail() AS due \gset
SELECT public.regress_mail('2035-01-01 00:00+00') AS later \gset
SELECT is(roleferry.activate(), 'already active; jobs waiting: 2', 'an active database needs no decision');
SELECT is((SELECT installation FROM roleferry.activation), :'first_installation', 'and stays the installation it was');
SELECT results_eq('SELECT * FROM waiting ORDER BY id', format($$ VALUES (%s::bigint, 'due'), (%s, 'later') $$, :due, :later),
                  'nothing happens to its jobs');
SELECT is(roleferry.deactivate(), 'no longer active: new jobs wait', 'it can be deactivated');
SELECT is_empty('SELECT FROM roleferry.activation WHERE active', 'then it is not active');
SELECT is((SELECT detail FROM roleferry.job_report(:due) WHERE event = 'waiting'), 'this database is not active: it was deactivated; see activate()',
          'and a job tells why it waits');
SELECT lives_ok('SELECT public.regress_mail()', 'enqueueing goes on');
SAVEPOINT paused;
SELECT is(roleferry.activate(), 'active; jobs waiting: 3', 'it is activated again without a question');
SELECT is((SELECT installation FROM roleferry.activation), :'first_installation', 'and is the installation it was');
ROLLBACK TO paused;

--
-- With jobs waiting in a database that was not active before
--
DELETE FROM roleferry.activation;
SELECT throws_ok('SELECT roleferry.activate()', '55000', 'not activated: jobs wait in the outbox',
                 'where jobs wait, activate() asks what becomes of them');
SELECT throws_ok('SELECT roleferry.activate()', '55000', NULL, 'by an error that a program can tell');
SELECT throws_ok($$ SELECT roleferry.activate('maybe') $$, '22023', 'unrecognized value for "waiting": "maybe"',
                 'and takes no other answer');
SELECT is_empty('SELECT FROM roleferry.activation', 'it is not active for having asked');

SAVEPOINT asked;
SELECT is(roleferry.activate('send'), 'active; jobs waiting: 3, to be sent', 'send: they go');
SELECT bag_eq('SELECT run_at FROM waiting', $$ VALUES ('due'), ('due'), ('later') $$, 'each at its time');
SELECT isnt((SELECT installation FROM roleferry.activation), :'first_installation', 'a new activation is a new installation');
ROLLBACK TO asked;

SELECT is(roleferry.activate(waiting => 'hold'), 'active; jobs waiting: 3, held', 'hold: they stay');
SELECT bag_eq('SELECT run_at FROM waiting', $$ VALUES ('held'), ('held'), ('held') $$, 'and are never due');
SELECT is((SELECT event FROM roleferry.job_report(:due) WHERE event <> 'enqueued'), 'held', 'a job tells that it is held');
SELECT lives_ok('SELECT public.regress_mail()', 'new jobs go their way');
SELECT bag_eq('SELECT run_at FROM waiting', $$ VALUES ('held'), ('held'), ('held'), ('due') $$, 'and are not held');
SELECT throws_ok('SELECT roleferry.activate()', '55000', NULL, 'as long as some are held, activate() asks again');
SELECT is(roleferry.activate('send'), 'already active; jobs waiting: 4, to be sent', 'held jobs can be sent');
SELECT bag_eq('SELECT run_at FROM waiting', $$ VALUES ('due'), ('due'), ('due'), ('due') $$, 'at once');

SELECT is(roleferry.activate('discard'), 'already active; jobs waiting: 4, discarded', 'discard: they are given up');
SELECT is_empty('SELECT FROM roleferry.outbox', 'none waits');
SELECT results_eq(
	$$ SELECT DISTINCT state, reason, args ->> 'subject' FROM roleferry.dead_letter $$,
	$$ VALUES ('cancelled', 'discarded by activate()', 'Hello') $$,
	'and none is lost: they are dead letters');

--
-- Copies
--
UPDATE roleferry.activation SET database_oid = 1;
SELECT public.regress_mail() AS copied \gset
SELECT throws_ok('SELECT roleferry.activate()', '55000', NULL, 'a copy made by CREATE DATABASE ... TEMPLATE asks');
SELECT is((SELECT detail FROM roleferry.job_report(:copied) WHERE event = 'waiting'), 'this database is not active: it is a copy: it was activated as another database of this cluster; see activate()',
          'and is not active, which a job tells');
SELECT is(roleferry.activate('hold'), 'active; jobs waiting: 1, held', 'until it is made so');
UPDATE roleferry.activation SET system_identifier = 1;
SELECT throws_ok('SELECT roleferry.activate()', '55000', NULL, 'so does a copy in another cluster');
UPDATE roleferry.outbox SET run_at = now(), worker = 42;
SELECT is(roleferry.activate(), 'active; jobs waiting: 0; under way elsewhere and now unknown: 1', 'jobs that were under way in the original are no question');

-- A row that carries its lane was checked before: a dump restores without questions.
INSERT INTO roleferry.outbox (id, lane, task, role, queue, delivery, accounts, args)
	VALUES (77, 12345, 'send_email', 'regress_gone', 'sequences', 'at_most_once', '{regress_gone}', '{}');
SELECT results_eq('SELECT lane, role COLLATE "default", accounts FROM roleferry.outbox WHERE id = 77',
                  $$ VALUES (12345::bigint, 'regress_gone', '{regress_gone}'::text[]) $$,
                  'a restored job stays as it was, though its role and account are gone');

--
-- settle()
--
INSERT INTO roleferry.dead_letter (job_id, created_at, finished_at, http_status, attempts, failures, priority, state, reason, account, task, role, args)
	SELECT n, now(), now() - interval '1 hour', 502, 2, 1, 5, CASE n WHEN 104 THEN 'failed' ELSE 'unknown' END, 'test',
	       CASE n WHEN 103 THEN 'regress_gone' ELSE 'regress_sendgrid' END, 'send_email', 'regress_app',
	       '{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "Hello"}'
	  FROM generate_series(101, 104) n;
SELECT is(roleferry.settle(101, 'sent'), 'sent', 'an unknown send can be settled as sent');
SELECT results_eq(
	$$ SELECT account, provider, message_id, attempts, http_status, from_addr, to_addr, subject, sent_at, note FROM roleferry.message WHERE job_id = 101 $$,
	$$ SELECT 'regress_sendgrid', 'sendgrid', NULL::text, 2, 502, 'a@example.com', 'b@example.com', 'Hello',
	          now() - interval '1 hour', ('settled as sent by ' || session_user) COLLATE "default" $$,
	'then it is a message, which tells who said so');
SELECT is_empty('SELECT FROM roleferry.dead_letter WHERE job_id = 101', 'and no dead letter');
SELECT is(roleferry.settle(102, 'not_sent', 'asked the provider'), 'failed', 'or as not sent');
SELECT results_eq('SELECT state, reason, note FROM roleferry.dead_letter WHERE job_id = 102',
                  $$ VALUES ('failed', 'test', 'asked the provider') $$, 'then it has failed, with the note given');
SELECT is(roleferry.settle(103, 'sent', 'seen'), 'sent', 'though its account is gone by now');
SELECT results_eq('SELECT account, provider, note FROM roleferry.message WHERE job_id = 103',
                  $$ VALUES ('regress_gone', 'unknown', 'seen') $$, 'and its provider unknown');
SELECT throws_ok('SELECT roleferry.settle(104, ''sent'')', '55000', 'job 104 is not unknown', 'a failed job cannot be settled');
SELECT throws_ok('SELECT roleferry.settle(101, ''not_sent'')', '55000', 'job 101 is not unknown', 'nor can one be settled twice');
SELECT throws_ok('SELECT roleferry.settle(102, ''sent'')', '55000', 'job 102 is not unknown', 'either way');
SELECT throws_ok('SELECT roleferry.settle(77, ''sent'')', '55000', 'job 77 is not unknown', 'nor one that waits');
SELECT throws_ok('SELECT roleferry.settle(9999, ''sent'')', '55000', 'job 9999 is not unknown', 'nor one that is not there');
SELECT throws_ok('SELECT roleferry.settle(101, ''perhaps'')', '22023', 'unrecognized value for "verdict": "perhaps"', 'there are two verdicts');
SELECT throws_ok('SELECT roleferry.settle(NULL, ''sent'')', '22023', '"job_id" is null', 'and every verdict needs a job');

INSERT INTO roleferry.dead_letter (job_id, created_at, attempts, failures, priority, state, reason, task, role, args)
	VALUES (105, now(), 1, 1, 5, 'unknown', 'test', 'verify_emails', 'regress_app', '{"emails": ["b@example.com"]}');
SELECT throws_ok('SELECT roleferry.settle(105, ''sent'')', '55000', 'job 105 is no mail: it cannot be called sent', 'what is no mail does not become one');
SELECT is(roleferry.settle(105, 'not_sent'), 'failed', 'though the doubt about it can be ended');

SELECT * FROM finish();
ROLLBACK;

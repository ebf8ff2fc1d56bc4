-- Why a job waits, and what is wrong with an installation.
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

SELECT plan(16);

CREATE SERVER regress_one FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'x');
CREATE FUNCTION public.regress_mail(queue text, run_at timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
	SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 'Hello', 'x', accounts => '{regress_one}', queue => $1, run_at => $2)
$$;
CREATE FUNCTION public.regress_why(bigint) RETURNS text LANGUAGE sql AS $$
	SELECT why || coalesce(': ' || detail, '') FROM roleferry.blocked WHERE job_id = $1
$$;
SELECT public.regress_mail('sequences') AS plain, public.regress_mail('sequences', now() + interval '1 hour') AS later,
       public.regress_mail('analytics') AS other \gset

SELECT is(public.regress_why(:plain), 'not active: it was never activated', 'nothing goes before activate()')
 WHERE EXISTS (SELECT FROM roleferry.activation_state() WHERE state = 'never activated')
UNION ALL SELECT isnt(public.regress_why(:plain), NULL, 'nothing goes before activate()')
 WHERE NOT EXISTS (SELECT FROM roleferry.activation_state() WHERE state = 'never activated');
SELECT isnt_empty($$ SELECT FROM roleferry.doctor() WHERE severity = 'error' AND finding LIKE 'this database is not active: %'
                       AND what_to_do = 'SELECT roleferry.activate();' $$, 'doctor() says so and how to');
SELECT roleferry.activate(waiting => 'send') \g /dev/null
SELECT is_empty($$ SELECT FROM roleferry.doctor() WHERE finding LIKE 'this database is not active: %' $$, 'and no longer after it');
SELECT is(public.regress_why(:plain), 'account: regress_one is unusable (roleferry.secrets_directory is not set)',
          'its only account cannot be used');
SELECT is(public.regress_why(:later), 'schedule', 'one that is to run later is');
SELECT is((SELECT until FROM roleferry.blocked WHERE job_id = :later), now() + interval '1 hour', 'until then');
UPDATE roleferry.outbox SET attempts = 2 WHERE id = :later;
SELECT is(public.regress_why(:later), 'retry: after attempt 2: see job_report()', 'after an attempt it is a retry');

SELECT roleferry.pause_queue('sequences', 'the copy is wrong', now() + interval '1 day') \g /dev/null
SELECT is(public.regress_why(:plain), 'pause: queue sequences: the copy is wrong', 'a paused queue is the reason');
SELECT is(public.regress_why(:other), 'account: regress_one is unusable (roleferry.secrets_directory is not set)',
          'and not for jobs of another');
SELECT results_eq($$ SELECT severity, what_to_do FROM roleferry.doctor() WHERE finding = 'queue "sequences" is paused: the copy is wrong' $$,
	$$ VALUES ('warning', 'SELECT roleferry.resume_queue(''sequences'');') $$, 'doctor() tells how to end it');
SELECT is(roleferry.resume_queue('sequences'), true, 'resumed');
SELECT roleferry.pause_account('regress_one', 'their status page is red') \g /dev/null
SELECT is(public.regress_why(:plain), 'pause: regress_one is paused (their status page is red)', 'its only account is paused');
SELECT is(roleferry.end_account_pause('regress_one'), true, 'resumed');

SELECT isnt_empty($$ SELECT FROM roleferry.doctor() WHERE severity = 'error' AND finding LIKE 'database % is not served' $$,
	'a database that is not listed is told');

-- A row from the future: nothing but the clock can be wrong.
SELECT is_empty($$ SELECT FROM roleferry.doctor() WHERE finding LIKE 'the newest rows are of %' $$, 'rows of the past are nothing to tell');
UPDATE roleferry.outbox SET created_at = now() + interval '1 hour' WHERE id = :other;
SELECT results_eq($$ SELECT severity, what_to_do ~ '^Compare the server''s clock' FROM roleferry.doctor()
                      WHERE finding LIKE format('the newest rows are of %s, and the clock says %%', now() + interval '1 hour') $$,
	$$ VALUES ('warning', true) $$, 'a row from the future is, and what to do about the clock');

SELECT * FROM finish();
ROLLBACK;

-- order_key: where jobs of a key are put, who goes first, and what says so.
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

SELECT plan(14);

CREATE SERVER regress_order FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE ROLE regress_roleferry_order;
GRANT USAGE ON FOREIGN SERVER regress_order TO regress_roleferry_order;
SELECT roleferry.grant_access('regress_roleferry_order', 'sender');

CREATE FUNCTION public.regress_mail(order_key text, run_at timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
	SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 'Hi', 'x', order_key => order_key, run_at => run_at)
$$;
CREATE FUNCTION public.regress_parked(job bigint) RETURNS boolean LANGUAGE sql AS $$
	SELECT lane < 0 FROM roleferry.outbox WHERE id = job
$$;

SELECT public.regress_mail('k') AS first \gset
SELECT public.regress_mail('k') AS second \gset
SELECT is(public.regress_parked(:first), false, 'the first of a key stands in its lane');
SELECT is(public.regress_parked(:second), true, 'the second is parked');
SELECT is(public.regress_parked(public.regress_mail('K')), false, 'keys are told apart by their letters'' case');
SELECT is(public.regress_parked(public.regress_mail(NULL)), false, 'a job without a key is not parked');

SET LOCAL ROLE regress_roleferry_order;
INSERT INTO roleferry.outbox (task, args, order_key)
	VALUES ('send_email', '{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "Hi", "body_text": "x"}', 'k')
	RETURNING id AS foreign_one \gset
INSERT INTO roleferry.outbox (task, args, order_key)
	SELECT 'send_email', '{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "Hi", "body_text": "x"}', 'many'
	  FROM generate_series(1, 10);
RESET ROLE;
SELECT is(public.regress_parked(:foreign_one), false, 'each role has its own');
SELECT is((SELECT count(*) FILTER (WHERE lane >= 0) || ' ' || count(*) FILTER (WHERE lane < 0) FROM roleferry.outbox WHERE order_key = 'many'),
	'1 9', 'rows of one statement see each other');
SELECT is((SELECT count(DISTINCT lane) FROM roleferry.outbox WHERE order_key = 'many' AND lane < 0), 1::bigint,
	'a key has one place for what is parked');

SAVEPOINT undone;
SELECT public.regress_mail('s') AS gone \gset
ROLLBACK TO undone;
SELECT is(public.regress_parked(public.regress_mail('s')), false, 'nobody waits for what was rolled back');

-- what says so
UPDATE roleferry.activation SET active = true;
SELECT results_eq(
	format('SELECT why, until, detail FROM roleferry.blocked WHERE job_id = %s AND why <> ''not active''', :second),
	format($$ SELECT 'order key', NULL::timestamptz, 'job %s goes first' WHERE NOT EXISTS (SELECT FROM roleferry.activation_state() WHERE reason IS NOT NULL) $$, :first),
	'blocked names the job that goes first');
SELECT is((SELECT count(*)::integer FROM roleferry.blocked WHERE job_id = :first AND why = 'order key'), 0, 'and says nothing of that one');

-- cancelling, and trying again
SELECT is(roleferry.cancel(:first), true, 'the first can be cancelled');
SELECT is((SELECT order_key FROM roleferry.dead_letter WHERE job_id = :first), 'k', 'the dead letter has its key');
SELECT roleferry.retry(:first);
SELECT is(public.regress_parked(:first), true, 'tried again, it is parked, until it is known that it goes first');
SELECT is((SELECT array_agg(id ORDER BY id) FROM roleferry.outbox WHERE order_key = 'k' AND role = current_user),
	ARRAY[:first, :second]::bigint[], 'under its id');

SELECT * FROM finish();
ROLLBACK;

-- on_done: checked when the job is enqueued, by every way in, and told by every
-- way to become a dead letter.
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

SELECT plan(22);

CREATE ROLE regress_roleferry_app LOGIN;
SELECT roleferry.grant_access('regress_roleferry_app', 'sender') \g /dev/null
CREATE SERVER regress_sg FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'x');
CREATE SERVER regress_nb FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'neverbounce', secret 'x');
CREATE SERVER regress_ap FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'x');
GRANT USAGE ON FOREIGN SERVER regress_sg, regress_nb, regress_ap TO regress_roleferry_app;
CREATE FUNCTION public.regress_done(receipt jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION public.regress_secret(receipt jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
REVOKE EXECUTE ON FUNCTION public.regress_secret(jsonb) FROM PUBLIC;
CREATE FUNCTION public.regress_other(job_id bigint, lead integer) RETURNS void LANGUAGE sql AS 'SELECT';
SELECT roleferry.register_task('regress.done', 'public.regress_done(jsonb)'),
       roleferry.register_task('regress.secret', 'public.regress_secret(jsonb)'),
       roleferry.register_task('regress.other', 'public.regress_other(bigint, integer)') \g /dev/null

CREATE FUNCTION public.regress_mail(on_done text, to_addr text DEFAULT 'bob@example.net') RETURNS bigint LANGUAGE sql AS $$
	SELECT roleferry.enqueue_email('ann@example.com', to_addr, 'x', 'y', on_done => on_done, accounts => '{regress_sg}') $$;
SET LOCAL ROLE regress_roleferry_app;
SELECT throws_ok(format('SELECT public.regress_mail(%L)', bad), state, NULL, why)
  FROM (VALUES ('nothing', '22023', 'a task that there is not'), ('send_email', '22023', 'a task that is no function''s'),
               ('webhook_handler', '22023', 'a handler'), ('', '22023', 'an empty name'),
               ('regress.secret', '42501', 'a function that the role may not execute'),
               ('regress.other', '22023', 'one that takes something else')) v (bad, state, why);
SELECT throws_like($$ SELECT public.regress_mail('nothing') $$, '"on_done" cannot be run: there is no task "nothing"', 'the field is named');
SELECT throws_ok($$ SELECT roleferry.enqueue('regress.done', on_done => 'regress.done') $$, '22023', '"on_done" is for what a provider does',
	'a SQL task has none');
SELECT throws_ok($$ INSERT INTO roleferry.outbox (task, args, on_done) VALUES ('send_email',
	'{"from_addr": "ann@example.com", "to_addr": "bob@example.net", "subject": "x", "body_text": "y", "accounts": ["regress_sg"]}', 'nothing') $$,
	'22023', NULL, 'a plain INSERT is checked as well');
SELECT public.regress_mail('regress.done') AS mail \gset
SELECT isnt(:mail::bigint, NULL, 'a mail may have one');
SELECT isnt(roleferry.enqueue_verify_emails('{bob@example.net}', 'regress_nb', on_done => 'regress.done'), NULL, 'so may a verification');
SELECT isnt(roleferry.enqueue_apollo_search('example.com', '{CTO}', account => 'regress_ap', on_done => 'regress.done'), NULL, 'and a search');
SELECT isnt(roleferry.enqueue('send_email', '{"from_addr": "ann@example.com", "to_addr": "bob@example.net", "subject": "x",
	"body_text": "y", "accounts": ["regress_sg"]}', on_done => 'regress.done'), NULL, 'as jobs by name');
INSERT INTO roleferry.outbox (task, args, on_done) VALUES ('send_email',
	'{"from_addr": "ann@example.com", "to_addr": "bob@example.net", "subject": "x", "body_text": "y", "accounts": ["regress_sg"]}', 'regress.done');
RESET ROLE;
SELECT is((SELECT count(*) FROM roleferry.outbox WHERE on_done = 'regress.done'), 5::bigint, 'it is kept with the job');

-- told
CREATE FUNCTION pg_temp.told(job bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', o.role, o.args ->> 'status', o.args ->> 'reason'), ', ' ORDER BY o.id)
	  FROM roleferry.outbox o WHERE o.task = 'regress.done' AND o.args -> 'job_id' = to_jsonb(job) $$;
SET LOCAL ROLE regress_roleferry_app;
SELECT roleferry.cancel(:mail) \g /dev/null
RESET ROLE;
SELECT is(pg_temp.told(:mail), 'regress_roleferry_app cancelled cancelled by regress_roleferry_app', 'a cancelled job is told of');
SELECT is((SELECT on_done_state FROM roleferry.dead_letter WHERE job_id = :mail), 'cancelled', 'which its row notes');
UPDATE roleferry.dead_letter SET note = 'x', state = 'cancelled' WHERE job_id = :mail;
SELECT is(pg_temp.told(:mail), 'regress_roleferry_app cancelled cancelled by regress_roleferry_app', 'once');
UPDATE roleferry.dead_letter SET state = 'unknown' WHERE job_id = :mail;
SELECT roleferry.settle(:mail, 'sent', 'seen') \g /dev/null
SELECT is(pg_temp.told(:mail), 'regress_roleferry_app cancelled cancelled by regress_roleferry_app, regress_roleferry_app unknown x, regress_roleferry_app sent seen',
	'a doubt and its end are told of');
CREATE TEMP TABLE dumped AS SELECT d.* FROM roleferry.dead_letter d LIMIT 0;
SELECT roleferry.suppress('late@example.net') \g /dev/null
SET LOCAL ROLE regress_roleferry_app;
SELECT public.regress_mail('regress.done', 'late@example.net') AS late \gset
RESET ROLE;
SELECT alike(pg_temp.told(:late), 'regress_roleferry_app suppressed%', 'a suppressed mail is told of');
INSERT INTO dumped SELECT * FROM roleferry.dead_letter WHERE job_id = :late;
DELETE FROM roleferry.dead_letter WHERE job_id = :late;
INSERT INTO roleferry.dead_letter SELECT * FROM dumped;
SELECT is((SELECT count(*) FROM roleferry.outbox o WHERE o.args -> 'job_id' = to_jsonb(:late)), 1::bigint, 'and not again when its row is restored');
SELECT roleferry.unregister_task('regress.done') \g /dev/null
SELECT roleferry.cancel(id) FROM roleferry.outbox WHERE task = 'verify_emails' AND on_done IS NOT NULL \g /dev/null
SELECT is((SELECT count(*) FROM roleferry.dead_letter WHERE task = 'verify_emails' AND state = 'cancelled'), 1::bigint,
	'without its task a job is settled all the same');
SELECT is((SELECT state || ': ' || reason FROM roleferry.dead_letter WHERE task = 'regress.done'), 'failed: there is no task "regress.done"',
	'and the task is a dead letter');

SELECT * FROM finish();
ROLLBACK;

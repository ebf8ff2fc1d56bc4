-- What would become of a job: asked without doing it, where no dispatcher runs.
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

SELECT plan(21);

CREATE SERVER regress_a FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'x');
CREATE SERVER regress_b FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'x');
CREATE SERVER regress_c FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'neverbounce', secret 'x');
CREATE ROLE regress_roleferry_one;
SELECT roleferry.grant_access('regress_roleferry_one', 'sender') \g /dev/null
GRANT USAGE ON FOREIGN SERVER regress_a, regress_c TO regress_roleferry_one;
CREATE TEMP VIEW explained AS
	SELECT * FROM roleferry.explain_email('a@example.com', 'b@example.com', 'Hello', '<p>x</p>', cc => '{c@example.com}');
GRANT SELECT ON explained TO regress_roleferry_one;
CREATE FUNCTION public.regress_rollup(days integer) RETURNS void LANGUAGE sql AS '';
SELECT roleferry.register_task('regress.rollup', 'public.regress_rollup(integer)', max_attempts => 3) \g /dev/null
SELECT count(*) AS jobs, (SELECT last_value FROM roleferry.outbox_id_seq) AS id FROM roleferry.outbox \gset

SET LOCAL ROLE regress_roleferry_one;
CREATE FUNCTION pg_temp.explain() RETURNS SETOF record LANGUAGE sql AS $$
	SELECT item, name, verdict, reason FROM roleferry.explain_email('a@example.com', 'b@example.com', 'Hello', '<p>x</p>', cc => '{c@example.com}') $$;
SELECT results_eq($$ SELECT * FROM pg_temp.explain() AS (item text, name text, verdict text, reason text) WHERE item IN ('queue', 'mode', 'suppression', 'account') $$,
	$$ VALUES ('queue', 'sequences', 'open', NULL), ('mode', 'live', 'sends', 'the server''s'), ('suppression', NULL, 'clear', NULL),
	          ('account', 'regress_a', 'candidate', NULL), ('account', 'regress_b', 'left out', 'the role has no USAGE on it') $$,
	'a mail''s queue, mode, suppression and accounts, those that are left out, too');
RESET ROLE;
SELECT is((SELECT reason FROM explained WHERE item = 'dispatcher'), 'none serves this database: see roleferry.doctor()', 'nobody is there to send it');
SELECT is((SELECT verdict FROM explained WHERE item = 'result'), 'waits', 'so it waits');
SELECT is((SELECT request #>> '{headers,Authorization}' FROM explained WHERE item = 'result'), 'Bearer ***', 'the request is shown without the key');
SELECT is((SELECT request #>> '{body,personalizations,0,to,0,email}' FROM explained WHERE item = 'result'), 'b@example.com', 'and whole');
SELECT results_eq($$ SELECT item, verdict, reason FROM roleferry.explain_email('a@example.com', 'nobody', 'Hello', 'x') $$,
	$$ VALUES ('result', 'refused', '"to_addr" is not one e-mail address') $$, 'a bad mail is refused, in words');
SELECT throws_ok($$ SELECT * FROM roleferry.explain_email('a@example.com', 'b@example.com', 'Hello', 'x', priority => 11) $$, '22023', NULL, 'or as by enqueue_email()');
SELECT is((SELECT reason FROM roleferry.explain_email('a@example.com', 'b@example.com', 'Hello', 'x', queue => 'nowhere')), 'there is no queue "nowhere"', 'so is an unknown queue');

SELECT roleferry.suppress('c@example.com') \g /dev/null
SELECT is((SELECT reason FROM explained WHERE item = 'suppression'), '1 of those in copy are taken off', 'suppressed copies are told');
SELECT is((SELECT request #> '{body,personalizations,0,cc}' FROM explained WHERE item = 'result'), NULL, 'and not in the request');
SELECT roleferry.suppress('b@example.com') \g /dev/null
SELECT results_eq($$ SELECT verdict, reason FROM explained WHERE item = 'result' $$,
	$$ VALUES ('suppressed', 'the recipient is suppressed (global): manual') $$, 'a suppressed recipient, too');
SELECT roleferry.unsuppress('b@example.com') \g /dev/null
SET LOCAL roleferry.mode = 'capture';
SELECT results_eq($$ SELECT item, verdict, reason FROM explained WHERE item IN ('mode', 'result') $$,
	$$ VALUES ('mode', 'captures', 'this session''s'), ('result', 'captured', NULL) $$, 'a mode is told');
SET LOCAL roleferry.mode = 'sandbox';
SELECT is((SELECT request #> '{body,mail_settings}' FROM explained WHERE item = 'result'), '{"sandbox_mode": {"enable": true}}'::jsonb, 'the test flag is in the request');
SELECT is((SELECT verdict FROM roleferry.explain('verify_emails', '{"emails": ["d@example.com"]}') WHERE item = 'result'), 'fails', 'what has no test mode fails');
RESET roleferry.mode;

SELECT results_eq($$ SELECT item, name, verdict FROM roleferry.explain('verify_emails', '{"emails": ["d@example.com"]}') WHERE item IN ('queue', 'account') $$,
	$$ VALUES ('queue', 'enrichment', 'open'), ('account', 'regress_c', 'candidate') $$, 'a lookup''s accounts');
SELECT results_eq($$ SELECT item, name, verdict FROM roleferry.explain('regress.rollup', '{"days": 1}') WHERE item IN ('queue', 'function', 'role') $$,
	$$ SELECT * FROM (VALUES ('queue', 'default', 'open'), ('function', 'public.regress_rollup(integer)', 'runs'), ('role', current_user::text COLLATE "default", 'runs')) v $$,
	'a SQL task''s function and role');
SELECT matches((SELECT reason FROM roleferry.explain('regress.rollup', '{"days": 1}') WHERE item = 'function'), '^at most 3 attempts, retries after .*, gives up on 0A 22 42$', 'and its policy');
SELECT results_eq($$ SELECT item, verdict FROM roleferry.explain('regress.nothing', '{}') $$, $$ VALUES ('result', 'refused') $$, 'an unknown task is refused');
SELECT results_eq($$ SELECT item, verdict FROM roleferry.explain('regress.rollup', '{"weeks": 1}') $$, $$ VALUES ('result', 'refused') $$, 'so are arguments it does not take');
SELECT is((SELECT count(*) FROM roleferry.explain('send_email', '{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "s", "body_text": "t"}')),
	(SELECT count(*) FROM explained), 'a mail by its args is explained the same');
SELECT results_eq($$ SELECT count(*), (SELECT last_value FROM roleferry.outbox_id_seq) FROM roleferry.outbox $$,
	format($$ VALUES (%s::bigint, %s::bigint) $$, :jobs, :id), 'nothing was written, and no id used');

SELECT * FROM finish();
ROLLBACK;

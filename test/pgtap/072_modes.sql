-- roleferry.mode in a session: what it lets be enqueued, what can be looked at,
-- and what is refused.
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

SELECT plan(31);

CREATE SERVER regress_sg FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'x');
CREATE SERVER regress_mg FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'x');
CREATE SERVER regress_nb FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'neverbounce', secret 'x');
CREATE ROLE regress_roleferry_one;
CREATE ROLE regress_roleferry_two;
SELECT roleferry.grant_access(r, 'sender') FROM unnest('{regress_roleferry_one,regress_roleferry_two}'::regrole[]) r \g /dev/null
GRANT USAGE ON FOREIGN SERVER regress_sg, regress_mg, regress_nb TO regress_roleferry_one, regress_roleferry_two;
CREATE FUNCTION public.regress_mail(address text, account text DEFAULT 'regress_sg') RETURNS bigint LANGUAGE sql AS $$
	SELECT roleferry.enqueue_email('a@example.com', address, 'Hello', '<p>x</p>', cc => ARRAY['c@example.com', 'd@example.com'],
	                               accounts => ARRAY[account], tags => '{one,two}', custom_args => '{"n": "1"}')
$$;
CREATE FUNCTION public.regress_mode(bigint) RETURNS text LANGUAGE sql AS $$ SELECT mode FROM roleferry.outbox WHERE id = $1 $$;

SELECT is(current_setting('roleferry.mode'), 'live', 'mail is sent unless somebody says otherwise');
SELECT is(roleferry.server_mode(), 'live', 'so the server says');
SELECT throws_ok($$ SET roleferry.mode = 'sometimes' $$, '22023', NULL, 'there are four modes');
SELECT throws_ok($$ SET roleferry.redirect_all_to = 'a@example.com' $$, '55P02', NULL, 'no session redirects the mail of others');
SELECT is(public.regress_mode(public.regress_mail('b@example.com')), NULL, 'a live job says nothing');
SELECT is_empty($$ SELECT FROM roleferry.captured() $$, 'and is not captured');
SET LOCAL roleferry.mode = 'sandbox';
SELECT is(public.regress_mode(public.regress_mail('b@example.com')), 'sandbox', 'a job keeps its mode: sandbox');
SELECT is_empty($$ SELECT FROM roleferry.captured() $$, 'which is not captured either');
SET LOCAL roleferry.mode = 'capture';
SELECT public.regress_mail('b@example.com') AS sg, public.regress_mail('"Bea" <bea@example.com>', 'regress_mg') AS mg,
       roleferry.enqueue_verify_emails(ARRAY['b@example.com'], account => 'regress_nb') AS nb \gset
SELECT is(public.regress_mode(:sg), 'capture', 'capture');
SELECT is(public.regress_mode(:nb), 'capture', 'of a lookup, too');
WITH put AS (INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '{"from_addr": "a@example.com", "to_addr": "e@example.com", "subject": "s", "body_text": "t"}') RETURNING mode)
SELECT is(mode, 'capture', 'and of a plain INSERT') FROM put;
WITH put AS (INSERT INTO roleferry.outbox (task, args, mode) VALUES ('send_email', '{"from_addr": "a@example.com", "to_addr": "e@example.com", "subject": "s", "body_text": "t"}', 'sandbox') RETURNING mode)
SELECT is(mode, 'capture', 'whatever it says itself') FROM put;
SELECT throws_ok($$ UPDATE roleferry.outbox SET mode = 'off' $$, '23514', NULL, 'off is no mode of a job');

SELECT results_eq($$ SELECT task, account, problem FROM roleferry.captured() WHERE job_id IN ($$ || concat_ws(',', :sg, :mg, :nb) || $$) ORDER BY job_id $$,
	$$ VALUES ('send_email', 'regress_sg', NULL), ('send_email', 'regress_mg', NULL), ('verify_emails', 'regress_nb', NULL) $$,
	'what is captured can be looked at in its transaction');
SELECT is(request #- '{body,personalizations,0,custom_args,rf_job}',
	'{"url": "https://api.sendgrid.com/v3/mail/send", "method": "POST",
	  "headers": {"Accept": "application/json", "Content-Type": "application/json", "Authorization": "Bearer ***"},
	  "body": {"from": {"email": "a@example.com"}, "subject": "Hello", "categories": ["one", "two"],
	           "content": [{"type": "text/html", "value": "<p>x</p>"}],
	           "personalizations": [{"to": [{"email": "b@example.com"}], "cc": [{"email": "c@example.com"}, {"email": "d@example.com"}], "custom_args": {"n": "1"}}]}}'::jsonb,
	'the request to SendGrid, whole, without the key') FROM (SELECT CASE WHEN request #> '{body,custom_args}' IS NULL THEN request
	     ELSE jsonb_set(request #- '{body,custom_args}', '{body,personalizations,0,custom_args}', request #> '{body,custom_args}') END AS request
	  FROM roleferry.captured() WHERE job_id = :sg) r;
SELECT is(request #>> '{headers,Authorization}', 'Basic ***', 'nor has the one to Mailgun one') FROM roleferry.captured() WHERE job_id = :mg;
SELECT is(request -> 'body' ->> 'to', '"Bea" <bea@example.com>', 'its fields are named') FROM roleferry.captured() WHERE job_id = :mg;
SELECT is(request #> '{body,cc}', '["c@example.com", "d@example.com"]'::jsonb, 'those that stand there twice are lists') FROM roleferry.captured() WHERE job_id = :mg;
SELECT is(request #> '{body,o:tag}', '["one", "two"]'::jsonb, 'each of them') FROM roleferry.captured() WHERE job_id = :mg;
SELECT is(request, NULL, 'a lookup has no request of its own') FROM roleferry.captured() WHERE job_id = :nb;
SELECT roleferry.suppress('D@example.com') \g /dev/null
SELECT is(request #> '{body,cc}', '"c@example.com"'::jsonb, 'who is suppressed gets no copy') FROM roleferry.captured() WHERE job_id = :mg;
SELECT roleferry.suppress('b@example.com') \g /dev/null
SELECT is(problem, 'the recipient is suppressed (global): manual', 'nor a mail') FROM roleferry.captured() WHERE job_id = :sg;
DROP SERVER regress_mg;
SELECT is(problem, 'none of its accounts exists and may be used by its role', 'an account that is gone is a problem') FROM roleferry.captured() WHERE job_id = :mg;

SAVEPOINT here;
SELECT public.regress_mail('late@example.com') \g /dev/null
ROLLBACK TO here;
SELECT is_empty($$ SELECT FROM roleferry.captured() WHERE args ->> 'to_addr' = 'late@example.com' $$, 'what is rolled back is not there');
SELECT results_eq($$ SELECT status FROM roleferry.send_email('a@example.com', 'f@example.com', 'Hello', 'x') $$, $$ VALUES ('queued') $$,
	'send_email() in a transaction enqueues');
SELECT isnt_empty($$ SELECT FROM roleferry.captured() WHERE args ->> 'to_addr' = 'f@example.com' $$, 'and is captured');

SET LOCAL ROLE regress_roleferry_one;
SELECT public.regress_mail('mine@example.com') \g /dev/null
SELECT results_eq($$ SELECT args ->> 'to_addr' FROM roleferry.captured() $$, $$ VALUES ('mine@example.com') $$, 'a sender sees his own');
SET LOCAL ROLE regress_roleferry_two;
SELECT is_empty($$ SELECT FROM roleferry.captured() $$, 'and not those of others');
RESET ROLE;

SET LOCAL roleferry.mode = 'off';
SELECT throws_ok($$ SELECT public.regress_mail('g@example.com') $$, '55000', 'roleferry.mode is "off" in this session: nothing can be enqueued', 'a session that is off enqueues nothing');
SELECT throws_ok($$ INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '{"from_addr": "a@example.com", "to_addr": "e@example.com", "subject": "s", "body_text": "t"}') $$,
	'55000', NULL, 'by no way');
SELECT throws_ok($$ SELECT * FROM roleferry.send_email('a@example.com', 'f@example.com', 'Hello', 'x') $$, '55000', NULL, 'at all');

SELECT * FROM finish();
ROLLBACK;

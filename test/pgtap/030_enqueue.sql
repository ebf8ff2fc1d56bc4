-- What enqueueing makes of a mail: the same row by every way in, its defaults,
-- its accounts and lane, idempotency, and what is refused and how.
\unset ECHO
\set QUIET 1
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP true
\pset format unaligned
\pset tuples_only true
\pset pager off

-- An order of accounts; 031_accounts.sql has none.  A session learns of a
-- reload between two commands.
ALTER SYSTEM SET roleferry.email_accounts = 'regress_mailgun, regress_gone, regress_beta';
SELECT pg_reload_conf() \g /dev/null
SELECT pg_sleep(0.2) WHERE current_setting('roleferry.email_accounts') = '';
SELECT pg_sleep(1) WHERE current_setting('roleferry.email_accounts') = '';
SELECT pg_sleep(5) WHERE current_setting('roleferry.email_accounts') = '';

BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS roleferry;

SELECT plan(57);

CREATE ROLE regress_roleferry_sender;
CREATE ROLE regress_roleferry_colleague;
INSERT INTO roleferry.queue (name) VALUES ('digest'), ('a'), ('b');
SELECT roleferry.grant_access('regress_roleferry_sender', 'sender');
SELECT roleferry.grant_access('regress_roleferry_colleague', 'sender');

-- without any account
SELECT throws_ok(
	$$ SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 's', 'x') $$,
	'55000', 'there is no e-mail account', 'without an account nothing can be enqueued');

CREATE SERVER regress_beta FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE SERVER regress_alpha FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE SERVER regress_mailgun FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'mailgun', domain 'mg.example.com');
CREATE SERVER regress_forbidden FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
GRANT USAGE ON FOREIGN SERVER regress_alpha, regress_beta, regress_mailgun TO regress_roleferry_sender;
GRANT USAGE ON FOREIGN SERVER regress_beta TO regress_roleferry_colleague;

-- As the sender, a mail with these arguments besides the usual ones.
CREATE FUNCTION public.regress_mail(arguments text DEFAULT '') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
BEGIN
	SET LOCAL ROLE regress_roleferry_sender;
	EXECUTE $q$ SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 'Hello', body_text => 'x' $q$ || arguments || ')' INTO id;
	RESET ROLE;
	RETURN id;
END
$$;
CREATE FUNCTION public.regress_lane(arguments text DEFAULT '') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	mail bigint := public.regress_mail(arguments);
BEGIN
	RETURN (SELECT lane FROM roleferry.outbox WHERE id = mail);
END
$$;
CREATE FUNCTION public.regress_accounts(arguments text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	mail bigint := public.regress_mail(arguments);
BEGIN
	RETURN (SELECT array_to_string(accounts, ' ') FROM roleferry.outbox WHERE id = mail);
END
$$;

--
-- Accounts: this session has an order of them in its settings
--
SELECT is(current_setting('roleferry.email_accounts'), 'regress_mailgun, regress_gone, regress_beta', 'the setting is in force');
SELECT is(public.regress_accounts(), 'regress_mailgun regress_beta',
          'accounts are those of roleferry.email_accounts in its order, less those that are not there');
SELECT is(public.regress_accounts($$, accounts => '{regress_alpha,regress_mailgun}'$$), 'regress_alpha regress_mailgun',
          'a mail that names its accounts goes by these, in its own order');
REVOKE USAGE ON FOREIGN SERVER regress_mailgun FROM regress_roleferry_sender;
SELECT is(public.regress_accounts(), 'regress_beta', 'accounts the role may not use are left out');
GRANT USAGE ON FOREIGN SERVER regress_mailgun TO regress_roleferry_sender;
SELECT is(public.regress_accounts($$, provider_options => '{"sendgrid": {"ip_pool_name": "cold"}}'$$), 'regress_mailgun regress_beta',
          'options for one provider exclude no other');

ALTER SERVER regress_alpha RENAME TO regress_a;
SELECT is((SELECT accounts FROM roleferry.outbox ORDER BY id LIMIT 1), '{regress_mailgun,regress_beta}',
          'accounts are frozen when a mail is enqueued');
ALTER SERVER regress_a RENAME TO regress_alpha;

--
-- The row
--
SELECT public.regress_mail() AS by_function \gset
SET LOCAL ROLE regress_roleferry_sender;
INSERT INTO roleferry.outbox (task, args)
	VALUES ('send_email', '{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "Hello", "body_text": "x"}')
	RETURNING id AS by_insert \gset
RESET ROLE;
SELECT isnt(:by_function::bigint, :by_insert::bigint, 'two mails are two jobs');
SELECT results_eq(
	format('SELECT to_jsonb(o) - ''id'' FROM roleferry.outbox o WHERE id = %s', :by_function),
	format('SELECT to_jsonb(o) - ''id'' FROM roleferry.outbox o WHERE id = %s', :by_insert),
	'the function and a plain INSERT make the same row');
SELECT results_eq(
	format('SELECT task, role COLLATE "default", queue, priority, delivery, tenant_key, order_key COLLATE "default", idempotency_key, max_attempts, expires_at
	          FROM roleferry.outbox WHERE id = %s', :by_function),
	$$ VALUES ('send_email', 'regress_roleferry_sender', 'sequences', 5::smallint, 'at_most_once',
	           NULL::text, NULL::text, NULL::text, NULL::integer, NULL::timestamptz) $$,
	'queue sequences, priority 5, at_most_once, in the name of whoever enqueued: these are the defaults');
SELECT results_eq(
	format('SELECT worker, attempts, failures, crashes::integer, claimed_at, run_at = now(), created_at = now() FROM roleferry.outbox WHERE id = %s', :by_function),
	$$ VALUES (NULL::bigint, 0, 0, 0, NULL::timestamptz, true, true) $$,
	'a new job is untouched and due at once');

SELECT public.regress_mail($$, queue => 'digest', priority => 9, delivery => 'at_least_once', tenant_key => 't1', order_key => 'o1',
	idempotency_key => 'k1', max_attempts => 3, run_at => '2035-01-01 00:00+00', expires_at => '2035-01-02 00:00+00',
	reply_to => 'r@example.com', custom_args => '{"lead": 7}', cc => '{c@example.com}', bcc => '{d@example.com}',
	headers => '{"X-Team": "red"}', tags => '{cold}', provider_options => '{"sendgrid": {"ip_pool_name": "cold"}}'$$) AS full_function \gset
SET LOCAL ROLE regress_roleferry_sender;
INSERT INTO roleferry.outbox (task, args, queue, priority, delivery, tenant_key, order_key, idempotency_key, max_attempts, run_at, expires_at)
	VALUES ('send_email', '{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "Hello", "body_text": "x",
	        "reply_to": "r@example.com", "custom_args": {"lead": 7}, "cc": ["c@example.com"], "bcc": ["d@example.com"],
	        "headers": {"X-Team": "red"}, "tags": ["cold"], "provider_options": {"sendgrid": {"ip_pool_name": "cold"}}}',
	        'digest', 9, 'at_least_once', 't1', 'o2', 'k2', 3, '2035-01-01 00:00+00', '2035-01-02 00:00+00')
	RETURNING id AS full_insert \gset
RESET ROLE;
SELECT results_eq(
	format('SELECT to_jsonb(o) - ''id'' - ''idempotency_key'' - ''order_key'' FROM roleferry.outbox o WHERE id = %s', :full_function),
	format('SELECT to_jsonb(o) - ''id'' - ''idempotency_key'' - ''order_key'' FROM roleferry.outbox o WHERE id = %s', :full_insert),
	'so they do with every argument given');
SELECT results_eq(
	format('SELECT queue, priority, delivery, tenant_key, order_key COLLATE "default", max_attempts, run_at, expires_at FROM roleferry.outbox WHERE id = %s', :full_function),
	$$ VALUES ('digest', 9::smallint, 'at_least_once', 't1', 'o1', 3, '2035-01-01 00:00+00'::timestamptz, '2035-01-02 00:00+00'::timestamptz) $$,
	'what was asked for stands in the row');

CREATE FUNCTION public.regress_trigger() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	PERFORM roleferry.enqueue_email('a@example.com', NEW.address, 'Welcome', 'x');
	RETURN NULL;
END
$$;
ALTER FUNCTION public.regress_trigger() OWNER TO regress_roleferry_colleague;
CREATE TABLE public.regress_lead (address text);
CREATE TRIGGER welcome AFTER INSERT ON public.regress_lead FOR EACH ROW EXECUTE FUNCTION public.regress_trigger();
INSERT INTO public.regress_lead VALUES ('b@example.com');
SELECT results_eq(
	'SELECT role COLLATE "default", accounts FROM roleferry.outbox ORDER BY id DESC LIMIT 1',
	$$ VALUES ('regress_roleferry_colleague', '{regress_beta}'::text[]) $$,
	'a SECURITY DEFINER function sends in its owner''s name and by its owner''s accounts');

--
-- Lanes
--
SELECT isnt(public.regress_lane(), 0::bigint, 'a checked job has a lane');
SELECT is(public.regress_lane(), public.regress_lane(), 'jobs alike share a lane');
SELECT is(public.regress_lane(', priority => 1'), public.regress_lane(', priority => 9'), 'at any priority');
SELECT is(public.regress_lane($$, order_key => 'o', delivery => 'at_least_once', run_at => '2035-01-01'$$), public.regress_lane(),
          'order_key, delivery and time make no lane');
SELECT isnt(public.regress_lane($$, tenant_key => 't1'$$), public.regress_lane(), 'a tenant has a lane of its own');
SELECT isnt(public.regress_lane($$, tenant_key => 't1'$$), public.regress_lane($$, tenant_key => 't2'$$), 'each tenant has');
SELECT is(public.regress_lane($$, tenant_key => 't1'$$), public.regress_lane($$, tenant_key => 't1'$$), 'and keeps it');
SELECT isnt(public.regress_lane($$, queue => 'digest'$$), public.regress_lane(), 'another queue is another lane');
SELECT is(public.regress_lane($$, queue => 'sequences'$$), public.regress_lane(), 'the default queue by name is the same');
SELECT isnt(public.regress_lane($$, queue => 'a', tenant_key => 'b'$$), public.regress_lane($$, queue => 'b', tenant_key => 'a'$$),
            'queue and tenant are not mixed up');
SELECT isnt(public.regress_lane($$, accounts => '{regress_beta}'$$), public.regress_lane(), 'other accounts are another lane');
SELECT isnt(public.regress_lane($$, accounts => '{regress_beta,regress_mailgun}'$$),
            public.regress_lane($$, accounts => '{regress_mailgun,regress_beta}'$$), 'so are the same in another order');
SELECT is(public.regress_lane($$, accounts => '{regress_mailgun,regress_beta}'$$), public.regress_lane(),
          'the default accounts by name are the same lane');

--
-- Idempotency
--
SELECT is(public.regress_mail($$, idempotency_key => 'k1', on_conflict => 'keep'$$), :full_function::bigint, 'a known key returns the first job''s id');
SELECT is((SELECT count(*) FROM roleferry.outbox WHERE idempotency_key = 'k1'), 1::bigint, 'and enqueues nothing');
SET LOCAL ROLE regress_roleferry_sender;
SELECT is_empty(
	$$ INSERT INTO roleferry.outbox (task, args, idempotency_key)
	   VALUES ('send_email', '{"tags": ["cold"], "bcc": ["d@example.com"], "cc": ["c@example.com"], "custom_args": {"lead": 7.00},
	           "from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "Hello", "body_text": "x", "reply_to": "r@example.com",
	           "headers": {"X-Team": "red"}, "provider_options": {"sendgrid": {"ip_pool_name": "cold"}}}', 'k1')
	   RETURNING id $$,
	'a plain INSERT of a known key with the same payload, however it is written, is skipped without an error');
SET LOCAL ROLE regress_roleferry_colleague;
SELECT isnt(roleferry.enqueue_email('a@example.com', 'b@example.com', 's', 'x', idempotency_key => 'k1'), :full_function::bigint,
            'keys of another role are others');
RESET ROLE;
DELETE FROM roleferry.outbox WHERE id = :full_function;
SELECT is(public.regress_mail($$, idempotency_key => 'k1', on_conflict => 'keep'$$), :full_function::bigint, 'a key outlives its job');
SAVEPOINT before_key;
SELECT public.regress_mail($$, idempotency_key => 'k9'$$) AS undone \gset
ROLLBACK TO before_key;
SELECT isnt(public.regress_mail($$, idempotency_key => 'k9'$$), NULL, 'a rolled-back key can be used again');
SELECT results_eq(
	$$ SELECT count(*) FROM roleferry.outbox WHERE idempotency_key = 'k9' $$, $$ VALUES (1::bigint) $$, 'by one job');

--
-- What is refused
--
CREATE TEMP TABLE refused (n serial, arguments text, state text, message text, name text);
INSERT INTO refused (arguments, state, message, name) VALUES
(', priority => 11', '22023', '"priority" is not between 0 and 10', 'a priority above 10'),
(', priority => 65541', '22023', '"priority" is not between 0 and 10', 'a priority that a smaller type would cut to 5'),
(', max_attempts => 0', '22023', '"max_attempts" is not between 1 and 1000', 'no attempt at all'),
($$, delivery => 'exactly_once'$$, '22023', '"delivery" is not a way of delivery', 'a delivery nobody can promise'),
($$, run_at => 'infinity'$$, '22023', '"run_at" is infinite', 'a time that never comes'),
($$, queue => ''$$, '22023', '"queue" is empty', 'a queue without a name'),
($$, queue => 'digests'$$, '22023', 'there is no queue "digests"', 'a queue that is not there'),
($$, tenant_key => repeat('x', 201)$$, '22023', '"tenant_key" is longer than 200 bytes', 'a long tenant_key'),
($$, order_key => E'a\nb'$$, '22023', '"order_key" holds a control character', 'a control character in a key'),
($$, idempotency_key => ''$$, '22023', '"idempotency_key" is empty', 'an empty idempotency_key'),
($$, cc => '{c@example.com,NULL}'$$, '22023', '"cc[2]" is null', 'a NULL among the recipients'),
($$, headers => '[]'$$, '22023', '"headers" is not a JSON object', 'headers that are a list'),
($$, accounts => '{}'$$, '22023', '"accounts" is an empty list', 'a list of no accounts'),
($$, accounts => '{regress_gone}'$$, '42704', 'there is no e-mail account "regress_gone"', 'an account that is not there'),
($$, accounts => '{regress_forbidden}'$$, '42501', 'role "regress_roleferry_sender" may not use account "regress_forbidden"', 'an account of others'),
($$, on_invalid => 'ignore'$$, '22023', '"on_invalid" is not a way to treat a bad job', 'another way to treat a bad mail'),
($$, body_html => repeat('x', 26000000), accounts => '{regress_mailgun}'$$, '22023', NULL, 'a mail that no account of its takes');
SELECT throws_ok(format('SELECT public.regress_mail(%L)', arguments), state::char(5), message, name || ' is refused')
  FROM refused ORDER BY n;
SELECT throws_ok(
	$$ INSERT INTO roleferry.outbox (task, args) VALUES ('send_fax', '{}') $$,
	'22023', 'there is no task "send_fax"', 'another task is refused');
SELECT throws_ok(
	$$ INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', NULL) $$,
	'22023', '"args" is null', 'a job without arguments is refused');
SELECT throws_ok(
	$$ INSERT INTO roleferry.outbox (task, args, max_attempts) VALUES
	   ('send_email', '{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "s", "body_text": "x"}', 0) $$,
	'22023', '"max_attempts" is not between 1 and 1000', 'so is one without attempts');

--
-- on_invalid
--
SELECT public.regress_mail($$, reply_to => 'nobody', queue => 'digest', tenant_key => 't1', on_invalid => 'reject'$$) AS rejected \gset
SELECT results_eq(
	format('SELECT state, outcome, reason, attempts, role COLLATE "default", queue, tenant_key, args ->> ''reply_to'' FROM roleferry.dead_letter WHERE job_id = %s', :rejected),
	$$ VALUES ('failed', 'permanent', '"reply_to" is not one e-mail address', 0, 'regress_roleferry_sender', 'digest', 't1', 'nobody') $$,
	'on_invalid => ''reject'' makes a bad mail a dead letter with its reason and arguments');
SELECT is_empty(format('SELECT FROM roleferry.outbox WHERE id = %s', :rejected), 'which is no job');
SELECT isnt_empty(
	format('SELECT FROM roleferry.outbox WHERE id = %s', public.regress_mail($$, on_invalid => 'reject'$$)),
	'a good mail is enqueued all the same');

SELECT * FROM finish();
ROLLBACK;

ALTER SYSTEM RESET roleferry.email_accounts;
SELECT pg_reload_conf() \g /dev/null

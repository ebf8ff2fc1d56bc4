-- What a verification is as a job, and what it tells without asking anybody.
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

CREATE SERVER regress_b FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'neverbounce', secret 'neverbounce');
CREATE SERVER regress_a FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'neverbounce', secret 'neverbounce');
CREATE SERVER regress_mail FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid');
CREATE ROLE regress_verifier;
CREATE ROLE regress_half;
SELECT roleferry.grant_access('regress_verifier', 'sender');
SELECT roleferry.grant_access('regress_half', 'sender');
GRANT USAGE ON FOREIGN SERVER regress_a, regress_b TO regress_verifier;
GRANT USAGE ON FOREIGN SERVER regress_b TO regress_half;

-- The job
SET LOCAL ROLE regress_verifier;
SELECT lives_ok($$ SELECT roleferry.enqueue_verify_emails(ARRAY['Ann@Example.com', 'oops', NULL], max_age => '1 day', priority => 7) $$,
	'a sender enqueues a verification');
SELECT lives_ok($$ INSERT INTO roleferry.outbox (task, args) VALUES ('verify_emails', '{"emails": ["bob@example.com"], "account": "regress_b"}') $$,
	'and inserts one');
RESET ROLE;
SELECT results_eq(
	$$ SELECT task, queue, delivery, role COLLATE "default", priority::integer, accounts, args FROM roleferry.outbox
	    WHERE role = 'regress_verifier' ORDER BY id $$,
	$$ VALUES
	('verify_emails', 'enrichment', 'at_most_once', 'regress_verifier', 7, ARRAY['regress_a', 'regress_b'],
	 '{"emails": ["Ann@Example.com", "oops", null], "max_age": "1 day"}'::jsonb),
	('verify_emails', 'enrichment', 'at_most_once', 'regress_verifier', 5, ARRAY['regress_b'],
	 '{"emails": ["bob@example.com"], "account": "regress_b"}') $$,
	'it goes to the queue of its route, by all accounts or by the one that is named');
SELECT isnt((SELECT max(lane) FROM roleferry.outbox WHERE role = 'regress_verifier'), 0::bigint, 'and was checked');
SET LOCAL ROLE regress_verifier;
SELECT is(
	(SELECT count(DISTINCT roleferry.enqueue_verify_emails(ARRAY['a@b.example'], idempotency_key => 'k' || n - n)) FROM generate_series(1, 3) n),
	1::bigint, 'an idempotency key answers with the first job');
RESET ROLE;
SET LOCAL ROLE regress_half;
SELECT lives_ok($$ SELECT roleferry.enqueue_verify_emails(ARRAY['a@b.example']) $$, 'who may use one account enqueues by that');
SELECT throws_ok($$ SELECT roleferry.enqueue_verify_emails(ARRAY['a@b.example'], 'regress_a') $$, '42501',
	'role "regress_half" may not use account "regress_a"', 'and may not name another');
RESET ROLE;
SELECT is((SELECT accounts FROM roleferry.outbox WHERE role = 'regress_half'), ARRAY['regress_b'], 'its job has that only');
SET LOCAL ROLE regress_verifier;
SELECT throws_ok($$ SELECT roleferry.enqueue_verify_emails(NULL) $$, '22023', '"emails" is null', 'a list is required');
SELECT throws_ok($$ SELECT roleferry.enqueue_verify_emails('{}', 'regress_mail') $$, '42704',
	'there is no account "regress_mail" that verifies addresses', 'an account for mail verifies nothing');
SELECT throws_ok($$ SELECT roleferry.enqueue_verify_emails('{}', max_age => '-1 s') $$, '22023', NULL, 'a negative age is refused');
SELECT throws_ok($$ SELECT roleferry.enqueue_verify_emails('{}', max_attempts => 0) $$, '22023', NULL, 'so are no attempts');
SELECT throws_ok($$ SELECT roleferry.enqueue_verify_emails('{}', priority => 11) $$, '22023', NULL, 'and an unknown priority');
SELECT throws_ok($$ INSERT INTO roleferry.outbox (task, args) VALUES ('verify_emails', '{"emails": [["a@b.c"]]}') $$, '22023',
	'"emails" is not a list of strings', 'args are checked by name');
SELECT throws_ok($$ SELECT * FROM roleferry.email_verdict_cache $$, '42501', NULL, 'a sender does not read what others have asked');

-- What is known
RESET ROLE;
INSERT INTO roleferry.email_verdict_cache (email, checked_at, status, provider, raw, suggestion, flags) VALUES
('ann@example.com', now() - interval '1 day', 'valid', 'neverbounce', 'valid', NULL, ARRAY['has_dns', 'role_account']),
('bob@example.com', now() - interval '8 days', 'risky', 'neverbounce', 'catchall', 'bob@example.org', NULL);
SET LOCAL ROLE regress_verifier;
SELECT results_eq(
	$$ SELECT email, status, raw, flags, suggestion, checked_at < now(), source
	     FROM roleferry.verify_emails(ARRAY[' ANN@example.com ', 'Ann <ann@example.com>', 'ann@example.com', NULL, 'ä@example.com']) $$,
	$$ VALUES
	(' ANN@example.com ', 'valid', 'valid', ARRAY['has_dns', 'role_account'], NULL::text, true, 'cache'),
	('Ann <ann@example.com>', 'invalid', NULL, NULL, NULL, NULL, 'syntax'),
	('ann@example.com', 'valid', 'valid', ARRAY['has_dns', 'role_account'], NULL, true, 'cache'),
	(NULL, 'invalid', NULL, NULL, NULL, NULL, 'syntax'),
	('ä@example.com', 'unknown', NULL, NULL, NULL, NULL, 'syntax') $$,
	'what is known, or is no address, needs nobody to be asked');
SELECT is_empty($$ SELECT * FROM roleferry.verify_emails('{}') $$, 'an empty list has no rows');
SELECT throws_ok($$ SELECT * FROM roleferry.verify_emails(ARRAY['bob@example.com']) $$, '55000', NULL,
	'a verdict that is too old has to be asked for');
SELECT throws_ok($$ SELECT * FROM roleferry.verify_emails(ARRAY['ann@example.com'], max_age => '1 hour') $$, '55000', NULL,
	'so has one that is older than max_age');
SELECT results_eq($$ SELECT status FROM roleferry.verify_emails(ARRAY['ann@example.com'], max_age => '2 days') $$,
	$$ VALUES ('valid') $$, 'a younger one does');
SELECT throws_ok($$ SELECT * FROM roleferry.verify_emails(ARRAY['ann@example.com'], 'nowhere') $$, '42704', NULL,
	'an account that is not there is an error, known or not');
SELECT throws_ok($$ SELECT * FROM roleferry.verify_emails(ARRAY['ann@example.com'], timeout => '2 days') $$, '22023', NULL,
	'so is a timeout out of range');

SELECT * FROM finish();
ROLLBACK;

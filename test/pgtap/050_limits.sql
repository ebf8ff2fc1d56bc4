-- Rate limits and circuits: what may be written, by whom, and what is refused.
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

SELECT plan(35);

CREATE SERVER regress_one FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'x');
CREATE SERVER regress_two FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'x');
CREATE ROLE regress_operator;
CREATE ROLE regress_reader;
SELECT roleferry.grant_access('regress_operator', 'operator'), roleferry.grant_access('regress_reader', 'reader') \g /dev/null
GRANT USAGE ON SCHEMA public TO regress_operator, regress_reader;
SET LOCAL search_path = public, pg_catalog;

SET LOCAL ROLE regress_operator;
SELECT lives_ok(
	$$ INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('regress_one', 100, '1 hour') $$,
	'an operator writes a limit');
SELECT lives_ok(
	$$ INSERT INTO roleferry.rate_limit (account, endpoint, key, max_requests, per, pace)
	   VALUES ('regress_one', 'send_email', 'to_domain', 5, '1 minute', true), ('regress_two', '', '', 100000, '1 day', false) $$,
	'several, by key and with pacing');
SELECT results_eq(
	$$ SELECT account, endpoint, key, max_requests, per, pace, windows, used, remaining, next_at FROM roleferry.rate_limits
	    WHERE account LIKE 'regress%' ORDER BY id $$,
	$$ VALUES ('regress_one', '', '', 100, '1 hour'::interval, false, NULL::bigint, 0, 100, NULL::timestamptz),
	          ('regress_one', 'send_email', 'to_domain', 5, '1 minute', true, NULL, 0, 5, NULL),
	          ('regress_two', '', '', 100000, '1 day', false, NULL, 0, 100000, NULL) $$,
	'and sees them and their use');
SELECT lives_ok($$ UPDATE roleferry.rate_limit SET max_requests = 50 WHERE account = 'regress_one' AND key = '' $$, 'changes one');
SELECT lives_ok($$ DELETE FROM roleferry.rate_limit WHERE account = 'regress_one' AND key = 'to_domain' $$, 'deletes one');
SELECT throws_ok($$ INSERT INTO roleferry.rate_limit (account, max_requests, per, server) VALUES ('regress_one', 1, '1 s', 1) $$,
	'42501', NULL, 'but does not say which server it is for');
SELECT throws_ok($$ INSERT INTO roleferry.rate_use (limit_id, key_hash, granted_at, tokens, outstanding) VALUES (1, 0, now(), 1, 0) $$,
	'42501', NULL, 'nor what was used');
SET LOCAL ROLE regress_reader;
SELECT is((SELECT count(*) FROM roleferry.rate_limits WHERE account LIKE 'regress%'), 2::bigint, 'a reader sees them');
SELECT throws_ok($$ UPDATE roleferry.rate_limit SET max_requests = 50 $$, '42501', NULL, 'and changes none');
SELECT throws_ok($$ SELECT roleferry.force_circuit('regress_one', 'open') $$, '42501', NULL, 'nor a circuit');
SELECT is((SELECT count(*) FROM roleferry.circuits WHERE account LIKE 'regress%'), 2::bigint, 'a reader sees circuits');
RESET ROLE;

-- Bad input
SELECT throws_ok($$ INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('regress_three', 1, '1 s') $$,
	'42704', 'account "regress_three" does not exist', 'a limit of no account is refused');
SELECT throws_ok($$ INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('regress_one', 0, '1 s') $$,
	'23514', NULL, 'so is one of no request');
SELECT throws_ok($$ INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('regress_one', 100001, '1 s') $$,
	'23514', NULL, 'one of too many');
SELECT throws_ok($$ INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('regress_one', 1, '0') $$,
	'23514', NULL, 'one of no time');
SELECT throws_ok($$ INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('regress_one', 1, '-1 hour') $$,
	'23514', NULL, 'one of less than none');
SELECT throws_ok($$ INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('regress_one', 1, '10 years') $$,
	'23514', NULL, 'one of too much');
SELECT throws_ok($$ INSERT INTO roleferry.rate_limit (account, key, max_requests, per) VALUES ('regress_one', 'subject', 1, '1 s') $$,
	'23514', NULL, 'one by an unknown key');
SELECT throws_ok($$ INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('regress_one', 1, '60 minutes') $$,
	'23505', NULL, 'one that is there already');
SELECT throws_ok($$ UPDATE roleferry.rate_limit SET account = 'regress_three' WHERE account = 'regress_one' $$,
	'42704', NULL, 'a limit cannot be moved to no account');
SELECT throws_ok(
	$$ INSERT INTO roleferry.rate_limit (account, max_requests, per)
	   SELECT 'regress_two', 100000, make_interval(secs => n) FROM generate_series(1, 10) n $$,
	'54000', 'rate limits do not fit into roleferry.limiter_memory', 'limits that do not fit are refused when they are written');
SELECT throws_ok(
	$$ INSERT INTO roleferry.rate_limit (account, max_requests, per)
	   SELECT 'regress_two', 1, make_interval(secs => n) FROM generate_series(1, 16) n $$,
	'54000', NULL, 'so are more than 16 of one account');

-- Renames and drops
ALTER SERVER regress_one RENAME TO regress_uno;
SELECT results_eq(
	$$ SELECT account, max_requests FROM roleferry.rate_limits WHERE account LIKE 'regress%' ORDER BY id $$,
	$$ VALUES ('regress_uno', 50), ('regress_two', 100000) $$, 'a limit follows its account when that is renamed');
DROP SERVER regress_two;
SELECT is((SELECT count(*) FROM roleferry.rate_limits WHERE account = 'regress_two'), 1::bigint,
	'and outlives it, in case it comes back');
CREATE SERVER regress_two FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'x');

-- Circuits
SELECT throws_ok($$ SELECT roleferry.force_circuit('regress_two', 'half-open') $$, '22023', NULL, 'a circuit is forced open or closed');
SELECT throws_ok($$ SELECT roleferry.force_circuit('regress_two', NULL) $$, '22023', NULL, 'not into nothing');
SELECT throws_ok($$ SELECT roleferry.force_circuit('regress_three', 'open') $$, '42704', NULL, 'not that of no account');
SELECT throws_ok($$ SELECT roleferry.force_circuit(NULL, 'open') $$, '42704', NULL, 'nor of none');
SELECT throws_ok($$ SELECT roleferry.force_circuit('regress_two', 'open', 'late', now() - interval '1 s') $$, '22023', NULL, 'not until yesterday');
SET LOCAL ROLE regress_operator;
SELECT lives_ok($$ SELECT roleferry.force_circuit('regress_two', 'open', 'they call us', '2100-01-01') $$, 'an operator forces one');
SELECT is((SELECT reason || ' ' || until::date FROM roleferry.circuits WHERE account = 'regress_two'), 'they call us 2100-01-01', 'with a reason, for a time');
SELECT lives_ok($$ SELECT roleferry.force_circuit('regress_two', 'closed') $$, 'forces it otherwise');
SELECT is((SELECT reason || ' ' || until FROM roleferry.circuits WHERE account = 'regress_two'), 'by ' || session_user || ' infinity', 'for ever');
SELECT lives_ok($$ SELECT roleferry.force_circuit('regress_two', 'auto') $$, 'and lets it go');
SELECT is((SELECT reason FROM roleferry.circuits WHERE account = 'regress_two'), NULL, 'nothing is left of it');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;

-- Which accounts a mail gets where roleferry.email_accounts names none, and how
-- accounts are shown.
\unset ECHO
\set QUIET 1
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP true
\pset format unaligned
\pset tuples_only true
\pset pager off

-- Whatever another test has left.
ALTER SYSTEM RESET roleferry.email_accounts;
SELECT pg_reload_conf() \g /dev/null
SELECT pg_sleep(0.2) WHERE current_setting('roleferry.email_accounts') <> '';
SELECT pg_sleep(1) WHERE current_setting('roleferry.email_accounts') <> '';
SELECT pg_sleep(5) WHERE current_setting('roleferry.email_accounts') <> '';

BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS roleferry;

SELECT plan(21);

CREATE SERVER regress_b FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE SERVER "regress A, quoted" FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'key');
CREATE SERVER regress_a FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'key');

CREATE FUNCTION public.regress_accounts(accounts text[] DEFAULT NULL, body text DEFAULT 'x') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	mail bigint := roleferry.enqueue_email('a@example.com', 'b@example.com', 'Hello', body, accounts => regress_accounts.accounts);
BEGIN
	RETURN (SELECT array_to_string(o.accounts, '|') FROM roleferry.outbox o WHERE id = mail);
END
$$;

SELECT is(current_setting('roleferry.email_accounts'), '', 'no order is set');
SELECT is(public.regress_accounts(), 'regress A, quoted|regress_a|regress_b', 'all accounts by name, byte by byte');
SELECT is(public.regress_accounts(ARRAY['regress_b', 'regress A, quoted']), 'regress_b|regress A, quoted',
          'an account can have any name');
SELECT is(public.regress_accounts(body => repeat('x', 26000000)), 'regress A, quoted|regress_b',
          'an account that the mail is too large for is left out');
SELECT throws_ok(
	$$ SELECT public.regress_accounts(body => repeat('x', 31000000)) $$, '22023', NULL,
	'a mail too large for all is refused');

ALTER SERVER regress_b RENAME TO regress_0;
SELECT is(public.regress_accounts(), 'regress A, quoted|regress_0|regress_a', 'a new name counts at once');
DROP SERVER regress_0;
SELECT is(public.regress_accounts(), 'regress A, quoted|regress_a', 'a dropped account is gone at once');
CREATE SERVER regress_0 FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
SELECT is(public.regress_accounts(), 'regress A, quoted|regress_0|regress_a', 'a new one is there at once');
SAVEPOINT before_drop;
DROP SERVER regress_a;
ROLLBACK TO before_drop;
SELECT is(public.regress_accounts(), 'regress A, quoted|regress_0|regress_a', 'a drop that was rolled back never happened');

CREATE FOREIGN DATA WRAPPER regress_wrapper;
CREATE SERVER regress_1 FOREIGN DATA WRAPPER regress_wrapper OPTIONS (provider 'sendgrid');
SELECT is(public.regress_accounts(), 'regress A, quoted|regress_0|regress_a', 'servers of other wrappers are no accounts');
SELECT throws_ok(
	$$ SELECT public.regress_accounts(ARRAY['regress_1']) $$, '42704', 'there is no e-mail account "regress_1"',
	'nor can they be named');

-- A restored row names an account, and the number that its server had, which is another's here.
SELECT oid AS mine FROM pg_foreign_server WHERE srvname = 'regress_a' \gset
SELECT oid AS another FROM pg_foreign_server WHERE srvname = 'regress_0' \gset
INSERT INTO roleferry.forced_circuit (account, server, state, reason, until, set_by) VALUES
	('regress_a', :another, 'open', 'x', 'infinity', 'x'), ('regress_gone', :another, 'open', 'x', 'infinity', 'x');
INSERT INTO roleferry.account_stop (account, server, kind, reason, until) VALUES
	('regress_a', :another, 'quota', 'x', 'infinity'), ('regress_gone', :another, 'quota', 'x', 'infinity');
INSERT INTO roleferry.pause (kind, name, server, reason, until, set_by) VALUES
	('account', 'regress_a', :another, 'x', 'infinity', 'x'), ('account', 'regress_gone', :another, 'x', 'infinity', 'x');
INSERT INTO roleferry.rate_limit (account, server, max_requests, per) VALUES
	('regress_a', :another, 1, '1 s'), ('regress_gone', :another, 1, '1 s');
SELECT results_eq(
	format('SELECT server FROM roleferry.%I WHERE %I IN (''regress_a'', ''regress_gone'') ORDER BY 1 DESC', kept, name),
	servers, 'it is for the account of its name: ' || kept)
  FROM (VALUES ('forced_circuit', 'account', ARRAY[:mine, 0]::oid[]), ('account_stop', 'account', ARRAY[:mine]::oid[]),
               ('pause', 'name', ARRAY[:mine, 0]::oid[]), ('rate_limit', 'account', ARRAY[:mine, 0]::oid[])) v (kept, name, servers);
DELETE FROM roleferry.forced_circuit;
DELETE FROM roleferry.account_stop;
DELETE FROM roleferry.pause;
DELETE FROM roleferry.rate_limit;

-- views and functions
SELECT results_eq(
	'SELECT account COLLATE "default", provider COLLATE "default", state, reason FROM roleferry.accounts ORDER BY account COLLATE "C"',
	$$ VALUES ('regress A, quoted', 'sendgrid', 'unusable', 'roleferry.secrets_directory is not set'),
	          ('regress_0', 'sendgrid', 'unusable', 'option "secret" is not set'),
	          ('regress_a', 'mailgun', 'unusable', 'roleferry.secrets_directory is not set') $$,
	'the view of accounts says what is missing');
SELECT is(roleferry.account_provider('regress_a'), 'mailgun', 'an account has a provider');
SELECT is(roleferry.account_provider('regress_1'), NULL, 'what is no account has none');
SELECT is(roleferry.account_provider(NULL), NULL, 'nor has nothing');

-- names that are not UTF-8 safe to guess: case and quotes
SELECT throws_ok(
	$$ SELECT public.regress_accounts(ARRAY['REGRESS_A']) $$, '42704', 'there is no e-mail account "REGRESS_A"',
	'names in "accounts" are taken as they are, in any case');
SELECT lives_ok('DROP EXTENSION roleferry CASCADE', 'dropping the extension takes its accounts along');

SELECT * FROM finish();
ROLLBACK;

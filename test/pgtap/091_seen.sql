-- What doctor() finds around an installation, and views of numbers that cost nothing.
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

SELECT plan(12);

CREATE FUNCTION public.regress_finds(pattern text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT severity || ': ' || what_to_do FROM roleferry.doctor() WHERE finding LIKE $1
$$;
CREATE SERVER regress_one FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'x');

-- Versions.
SELECT is(roleferry.library_version(), extversion, 'library and extension are of one version')
  FROM pg_extension WHERE extname = 'roleferry';
SELECT is_empty($$ SELECT public.regress_finds('the extension is of version %') $$, 'so doctor() says nothing of it');
SET LOCAL allow_system_table_mods = on;
UPDATE pg_extension SET extversion = '99.0' WHERE extname = 'roleferry';
SELECT results_eq($$ SELECT public.regress_finds('the extension is of version 99.0, the server''s library of version %') $$,
	$$ VALUES ('error: Restart the server if its library is the older one, else ALTER EXTENSION roleferry UPDATE.') $$,
	'where they are apart it says so, and what to do');
UPDATE pg_extension SET extversion = roleferry.library_version() WHERE extname = 'roleferry';

-- A key that is no key, and credit.
SELECT isnt_empty($$ SELECT FROM roleferry.doctor() WHERE severity = 'error' AND finding LIKE 'account "regress_one" is unusable: %'
	AND what_to_do LIKE '%mode 0600%' $$, 'a key that cannot be read is an error, with how to mend it');

-- A slot that nobody uses, and that holds nothing.
SELECT pg_create_physical_replication_slot('regress_roleferry') \g /dev/null
SELECT is_empty($$ SELECT public.regress_finds('replication slot %') $$, 'a slot that holds nothing is no finding');
SELECT pg_drop_replication_slot('regress_roleferry') \g /dev/null

-- Numbers.
SELECT is((SELECT count(*) FROM roleferry.stat_queues WHERE ready < 0 OR running < 0 OR processed < dead_letters), 0::bigint,
	'stat_queues holds together');
SELECT col_type_is('roleferry', 'stat_queues', 'oldest_age', 'interval', 'an age is an interval');
SELECT col_type_is('roleferry', 'stat_workers', 'heartbeat', 'timestamp with time zone', 'a heartbeat is a time');
SELECT is((SELECT count(*) FROM roleferry.stat_workers WHERE kind = 'launcher'), 1::bigint, 'there is one launcher');
SELECT is((SELECT count(DISTINCT name) FROM roleferry.top WHERE what = 'account' AND name = 'regress_one'), 1::bigint,
	'top shows an account that was asked for nothing yet');
SELECT throws_ok($$ ALTER SERVER regress_one OPTIONS (ADD api_key 'SG.inline') $$, NULL, NULL, 'a key in an account''s options is refused');
SELECT throws_ok($$ CREATE USER MAPPING FOR CURRENT_USER SERVER regress_one OPTIONS (password 'SG.inline') $$, NULL, NULL,
	'and in a user mapping');

SELECT * FROM finish();
ROLLBACK;

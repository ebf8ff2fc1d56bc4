-- The suppression list: what its functions take, refuse and return.
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
SET LOCAL search_path = public, pg_catalog;
SELECT no_plan();

SELECT is(roleferry.address_key('bob@example.net'), NULL, 'nothing is known by a key before anything is suppressed');
SELECT is((SELECT count(*) FROM roleferry.suppression_key), 0::bigint, 'there is none: a restore finds room for its own');
SELECT is(roleferry.unsuppress('bob@example.net'), 0::bigint, 'nothing is there to be undone');

SELECT throws_ok($$ SELECT roleferry.suppress('bob') $$, '22023', '"address" is not one e-mail address', 'what is no address is refused');
SELECT throws_ok($$ SELECT roleferry.suppress('a@example.net, b@example.net') $$, '22023', NULL, 'so are two');
SELECT throws_ok($$ SELECT roleferry.suppress(NULL) $$, '22023', '"address" is null', 'and none');
SELECT throws_ok($$ SELECT roleferry.suppress('bob@example.net', 'mood') $$, '22023', '"reason" is no reason to suppress an address', 'reasons are words');
SELECT throws_ok($$ SELECT roleferry.suppress('bob@example.net', 'manual', '') $$, '22023', NULL, 'a scope is no empty text');
SELECT throws_ok($$ SELECT roleferry.suppress('bob@example.net', 'manual', repeat('x', 65)) $$, '22023', NULL, 'nor a long one');
SELECT throws_ok($$ SELECT roleferry.suppress('bob@example.net', 'manual', E'a\nb') $$, '22023', NULL, 'nor two lines');
SELECT throws_ok($$ SELECT roleferry.unsuppress(NULL) $$, '22023', NULL, 'nobody cannot be taken off');
SELECT throws_ok($$ SELECT roleferry.forget('x') $$, '22023', NULL, 'what is no address cannot be forgotten');

SELECT is(roleferry.suppress('"Bob" <BOB@Example.NET>'), true, 'an address is suppressed');
SELECT is(roleferry.suppress('bob@example.net', 'complained'), false, 'once in a scope');
SELECT is(roleferry.suppress('bob@example.net', 'unsubscribed', 'news'), true, 'and in each');
SELECT results_eq($$ SELECT address, scope, reason FROM roleferry.suppressions ORDER BY scope $$,
	$$ VALUES ('bob@example.net', 'global' COLLATE "C", 'manual'), ('bob@example.net', 'news', 'unsubscribed') $$, 'as it was said first');
SELECT is(octet_length(roleferry.address_key('bob@example.net')), 32, 'it is known by a key of 32 bytes');
SELECT is(roleferry.address_key('Bob <BOB@example.net>'), roleferry.address_key('bob@example.net'), 'however it is written');
SELECT isnt(roleferry.address_key('bob@example.net'), sha256('bob@example.net'), 'which is no plain hash');
SELECT is(roleferry.unsuppress('bob@example.net', 'news'), 1::bigint, 'one scope is undone');
SELECT is(roleferry.forget('Bob@example.net'), 1::bigint, 'the rest is forgotten');
SELECT results_eq($$ SELECT address, note, forgotten FROM roleferry.suppressions $$, $$ VALUES (NULL::text, NULL::text, true) $$, 'and only the key is left');
SELECT is(roleferry.unsuppress('bob@example.net'), 1::bigint, 'by which it can be undone');
SELECT is_empty($$ SELECT FROM roleferry.suppressions $$, 'then nothing is left');

SELECT * FROM finish();
ROLLBACK;

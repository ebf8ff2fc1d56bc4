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

-- Traces of an address in what jobs left behind, and of another that only resembles it.
INSERT INTO roleferry.result_0 (job_id, created_at, finished_at, attempts, task, role, result)
	SELECT n, now(), now(), 1, 'verify_emails', 'regress', jsonb_build_array(jsonb_build_object('email', address))
	  FROM (VALUES (-1, 'Ann@example.net'), (-2, 'joann@example.net')) v (n, address);
INSERT INTO roleferry.result_1 SELECT * FROM roleferry.result_0 WHERE job_id < 0;
INSERT INTO roleferry.result_2 SELECT * FROM roleferry.result_0 WHERE job_id < 0;
INSERT INTO roleferry.attempt_0 (job_id, attempt, started_at, took, outcome, verdict, reason, excerpt, error)
	SELECT n, 1, now(), '0', 'permanent', 'failed', reason, excerpt, error
	  FROM (VALUES (-1, 'no such user <Ann@example.net>', NULL::bytea, NULL::jsonb), (-2, 'no such user <joann@example.net>', 'x', '{"x": 1}'),
	               (-3, 'no', 'to: ann@example.net', NULL), (-4, 'no', NULL, '{"detail": "Key (email)=(ann@example.net) exists"}')) v (n, reason, excerpt, error);
INSERT INTO roleferry.attempt_kept SELECT * FROM roleferry.attempt_0 WHERE job_id < 0;
INSERT INTO roleferry.dead_letter (job_id, created_at, attempts, failures, priority, state, reason, task, role, args, error)
	SELECT n, now(), 1, 1, 5, state, reason, 'send_email', 'regress', args, error
	  FROM (VALUES (-1, 'failed', 'no', '{"to_addr": "ann@example.net"}'::jsonb, NULL::jsonb), (-2, 'failed', 'no', '{"to_addr": "joann@example.net"}', NULL),
	               (-3, 'failed', 'no ANN@example.net', '{"x": 1}', NULL), (-4, 'failed', 'no', '{"x": 1}', '{"detail": "ann@example.net"}'),
	               (-5, 'unknown', 'no answer', '{"to_addr": "ann@example.net"}', NULL)) v (n, state, reason, args, error);
INSERT INTO roleferry.message_life (job_id, reason, taken_off)
	VALUES (-1, '550 <ann@example.net> unknown', NULL), (-2, '550 <joann@example.net> unknown', '{joann@example.net}'),
	       (-3, NULL, '{x@example.net,ann@example.net}');
SELECT is(roleferry.forget('ann@example.net'), 1 + 3 + 2 * 3 + 3 + 2::bigint, 'an address is forgotten wherever jobs have left it');
SELECT results_eq(format($$ SELECT job_id, result::text FROM roleferry.%I WHERE job_id < 0 ORDER BY job_id $$, kept),
	$$ VALUES (-2::bigint, '[{"email": "joann@example.net"}]'), (-1, NULL) $$, 'in ' || kept || ', where only it was')
  FROM unnest(ARRAY['result_0', 'result_1', 'result_2']) kept;
SELECT results_eq(format($$ SELECT job_id, reason, excerpt, error FROM roleferry.%I WHERE job_id < 0 ORDER BY job_id $$, kept),
	$$ VALUES (-4::bigint, 'no', NULL::bytea, NULL::jsonb), (-3, 'no', NULL, NULL), (-2, 'no such user <joann@example.net>', 'x', '{"x": 1}'),
	          (-1, 'no such user <***>', NULL, NULL) $$, 'in ' || kept)
  FROM unnest(ARRAY['attempt_0', 'attempt_kept']) kept;
SELECT results_eq($$ SELECT job_id, reason, args ->> 'to_addr', error FROM roleferry.dead_letter WHERE job_id < 0 ORDER BY job_id $$,
	$$ VALUES (-5::bigint, 'no answer', 'ann@example.net', NULL::jsonb), (-4, 'no', NULL, NULL), (-3, 'no ***', NULL, NULL),
	          (-2, 'no', 'joann@example.net', NULL), (-1, 'no', NULL, NULL) $$,
	'in dead letters, but those whose outcome is still to be found out');
SELECT results_eq($$ SELECT job_id, reason, taken_off FROM roleferry.message_life WHERE job_id < 0 ORDER BY job_id $$,
	$$ VALUES (-3::bigint, NULL, '{x@example.net,***}'::text[]), (-2, '550 <joann@example.net> unknown', '{joann@example.net}'),
	          (-1, '550 <***> unknown', NULL) $$, 'and in what was reported of mails');

-- A long list is not looked through.
INSERT INTO roleferry.suppression (address_key, scope, reason, address)
	SELECT sha256(n::text::bytea), 'global', 'imported', 'regress' || n || '@example.net' FROM generate_series(1, 500) n;
SET LOCAL track_functions = 'all';
SELECT roleferry.suppress('long@example.net'), roleferry.unsuppress('long@example.net'), roleferry.forget('long@example.net') \g /dev/null
SELECT cmp_ok((SELECT sum(calls) FROM pg_stat_xact_user_functions WHERE schemaname = 'roleferry' AND funcname = 'address_key'),
	'<', 10::numeric, 'an address is hashed once, not once for each in the list');
SET LOCAL track_functions = 'none';

-- The list is found by its primary key, whatever indexes there are: REINDEX CONCURRENTLY makes it the newest.
CREATE SERVER regress_sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE INDEX regress_since_idx ON roleferry.suppression (since);
ALTER TABLE roleferry.suppression DROP CONSTRAINT suppression_pkey;
ALTER TABLE roleferry.suppression ADD CONSTRAINT suppression_pkey PRIMARY KEY (address_key, scope);
SELECT roleferry.suppress('eve@example.net') \g /dev/null
SELECT is((SELECT verdict FROM roleferry.explain_email('s@example.com', 'eve@example.net', 'x', 'x', accounts => '{regress_sendgrid}') WHERE item = 'suppression'), 'suppressed',
	'an index of somebody else''s does not hide the list');

SELECT * FROM finish();
ROLLBACK;

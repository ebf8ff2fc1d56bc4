-- One job for a key, and one payload; on_conflict => keep or replace.
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

CREATE SERVER regress_sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE SERVER regress_neverbounce FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'neverbounce');
CREATE FUNCTION public.regress_add(a integer, b numeric DEFAULT 1) RETURNS numeric LANGUAGE sql AS 'SELECT a + b';
SELECT roleferry.register_task('regress.add', 'public.regress_add(int, numeric)') \g /dev/null

CREATE FUNCTION public.regress_job(key text, args jsonb, on_conflict text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS
	$$ SELECT roleferry.enqueue('regress.add', args, idempotency_key => key, on_conflict => on_conflict) $$;
CREATE FUNCTION public.regress_error(statement text, OUT state text, OUT message text, OUT detail text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
END
$$;

--
-- The same, and another
--
SELECT public.regress_job('k', '{"a": 1, "b": 1.50}') AS first \gset
SELECT is(public.regress_job('k', '{"a": 1, "b": 1.50}'), :first::bigint, 'the same key with the same payload returns the first job');
SELECT is(public.regress_job('k', '{"b": 1.5, "a": 1}'), :first::bigint, 'however its JSON is written');
SELECT results_eq(
	$$ SELECT state, message, detail ~ '^Job \d+ has the digest [0-9a-f]{64}, this one [0-9a-f]{64}\.$',
	          (regexp_match(detail, 'digest ([0-9a-f]+)'))[1] <> (regexp_match(detail, 'one ([0-9a-f]+)'))[1]
	     FROM public.regress_error($q$ SELECT public.regress_job('k', '{"a": 2, "b": 1.5}') $q$) $$,
	$$ VALUES ('22023', '"idempotency_key" was used before, with another payload', true, true) $$,
	'another payload is an error, with both digests');
SELECT is((SELECT detail FROM public.regress_error($$ SELECT public.regress_job('k', '{"a": 2}') $$)) LIKE
          '%' || encode((SELECT digest FROM roleferry.idempotency WHERE key = 'k'), 'hex') || '%', true, 'the first is the one that is kept');
SELECT throws_ok(
	$$ SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 's', 'x', idempotency_key => 'k') $$,
	'22023', '"idempotency_key" was used before, with another payload', 'another task is another payload');
SELECT throws_ok(
	$$ INSERT INTO roleferry.outbox (task, args, idempotency_key) VALUES ('regress.add', '{"a": 2}', 'k') $$,
	'22023', '"idempotency_key" was used before, with another payload', 'so is what a plain INSERT brings');
SELECT is_empty(
	$$ INSERT INTO roleferry.outbox (task, args, idempotency_key) VALUES ('regress.add', '{"a": 1, "b": 1.500}', 'k') RETURNING id $$,
	'a plain INSERT of the same is skipped');
SELECT is((SELECT count(*) FROM roleferry.outbox), 1::bigint, 'all of this is one job');
SELECT is(roleferry.enqueue('regress.add', '{"a": 2}', idempotency_key => 'k', on_invalid => 'reject') > :first, true,
	'where bad jobs become dead letters this one does');
SELECT results_eq(
	$$ SELECT state, reason, args FROM roleferry.dead_letter $$,
	$$ VALUES ('failed', '"idempotency_key" was used before, with another payload', '{"a": 2}'::jsonb) $$, 'with the reason');

UPDATE roleferry.idempotency SET digest = NULL WHERE key = 'k';
SELECT is(public.regress_job('k', '{"a": 2}'), :first::bigint, 'a key of a version without digests answers as before');

--
-- keep
--
SELECT public.regress_job('kept', '{"a": 1}') AS kept \gset
SELECT is(public.regress_job('kept', '{"a": 7}', 'keep'), :kept::bigint, 'keep: the first job stands, whatever the payload');
SELECT is((SELECT args FROM roleferry.outbox WHERE id = :kept), '{"a": 1}'::jsonb, 'as it was');
SELECT isnt(public.regress_job('fresh', '{"a": 7}', 'keep'), NULL, 'a key nobody had is taken');

--
-- replace
--
SELECT public.regress_job('r', '{"a": 1}', 'replace') AS replaced \gset
UPDATE roleferry.outbox SET attempts = 3, failures = 2, crashes = 1, lane = 1 WHERE id = :replaced;
SELECT is(roleferry.enqueue('regress.add', '{"a": 2}', idempotency_key => 'r', on_conflict => 'replace',
	run_at => '2035-01-01 00:00+00', priority => 8, queue => 'analytics', expires_at => '2035-01-02 00:00+00',
	max_attempts => 4, order_key => 'o', tenant_key => 't'), :replaced::bigint, 'replace: a job that waits keeps its id');
SELECT results_eq(
	format('SELECT args, run_at, priority, queue, expires_at, max_attempts, order_key COLLATE "default", tenant_key FROM roleferry.outbox WHERE id = %s', :replaced),
	$$ VALUES ('{"a": 2}'::jsonb, '2035-01-01 00:00+00'::timestamptz, 8::smallint, 'analytics', '2035-01-02 00:00+00'::timestamptz, 4, 'o', 't') $$,
	'and is the new one otherwise');
SELECT results_eq(
	format('SELECT attempts, failures, crashes::integer, lane NOT IN (0, 1) FROM roleferry.outbox WHERE id = %s', :replaced),
	$$ VALUES (3, 0, 0, true) $$, 'its attempts stay counted, its failures were another payload''s');
SELECT is(public.regress_job('r', '{"a": 2}'), :replaced::bigint, 'the key knows the new payload');
SELECT throws_ok($$ SELECT public.regress_job('r', '{"a": 1}') $$, '22023', NULL, 'and no longer the old');
SELECT is((SELECT count(*) FROM roleferry.outbox WHERE idempotency_key = 'r'), 1::bigint, 'one job');

SELECT public.regress_job('held', '{"a": 1}') AS held \gset
UPDATE roleferry.outbox SET run_at = 'infinity' WHERE id = :held;
SELECT public.regress_job('held', '{"a": 2}', 'replace') \g /dev/null
SELECT results_eq(
	format('SELECT args, run_at FROM roleferry.outbox WHERE id = %s', :held),
	$$ VALUES ('{"a": 2}'::jsonb, 'infinity'::timestamptz) $$, 'what activate() holds is replaced and stays held');

SELECT public.regress_job('run', '{"a": 1}') AS running \gset
UPDATE roleferry.outbox SET worker = 77, claimed_at = now() WHERE id = :running;
SELECT public.regress_job('run', '{"a": 2}', 'replace') AS next \gset
SELECT isnt(:next::bigint, :running::bigint, 'what is under way is not changed: the new one is a job of its own');
SELECT is((SELECT args FROM roleferry.outbox WHERE id = :running), '{"a": 1}'::jsonb, 'the other runs on as it was');
SELECT is(public.regress_job('run', '{"a": 3}', 'replace'), :next::bigint, 'the key is the new one''s');
DELETE FROM roleferry.outbox WHERE id = :next;
SELECT is(public.regress_job('run', '{"a": 3}'), :next::bigint, 'an ended one still answers for its key');
SELECT isnt(public.regress_job('run', '{"a": 3}', 'replace'), :next::bigint, 'and is followed by another where it is to be replaced');

SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 'one', 'x', idempotency_key => 'mail') AS mail \gset
SELECT roleferry.suppress('c@example.com', 'manual') \g /dev/null
SELECT is(roleferry.enqueue_email('a@example.com', 'c@example.com', 'two', 'x', idempotency_key => 'mail', on_conflict => 'replace'),
	:mail::bigint, 'a mail is replaced by one to a suppressed address, too');
SELECT is((SELECT args ->> 'subject' FROM roleferry.outbox WHERE id = :mail), 'two', 'so that the first does not go; the claim asks again');

--
-- Verification
--
SELECT roleferry.enqueue_verify_emails('{a@example.com}', idempotency_key => 'v') AS verify \gset
SELECT is(roleferry.enqueue_verify_emails('{a@example.com}', idempotency_key => 'v'), :verify::bigint, 'verifications have keys, too');
SELECT throws_ok($$ SELECT roleferry.enqueue_verify_emails('{b@example.com}', idempotency_key => 'v') $$, '22023', NULL, 'for one list');
SELECT is(roleferry.enqueue_verify_emails('{b@example.com}', idempotency_key => 'v', on_conflict => 'replace'), :verify::bigint, 'that can be replaced');

--
-- What is refused
--
SELECT throws_ok($$ SELECT public.regress_job('k', '{"a": 1}', 'overwrite') $$, '22023',
	'"on_conflict" is not a way to treat a job whose idempotency_key is known', 'another word');
SELECT throws_ok($$ SELECT public.regress_job(NULL, '{"a": 1}', 'keep') $$, '22023',
	'"on_conflict" is of no use without an idempotency_key', 'on_conflict without a key');
SELECT throws_ok($$ SELECT public.regress_job('r', '{"z": 1}', 'replace') $$, '22023', NULL, 'bad args');
SELECT is((SELECT args FROM roleferry.outbox WHERE id = :replaced), '{"a": 2}'::jsonb, 'which replace nothing');

SELECT * FROM finish();
ROLLBACK;

-- verify_signature(): every scheme with signatures made here, by pgcrypto where
-- it is there and else by the server's own functions; what raises and what not.
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
CREATE SCHEMA IF NOT EXISTS regress_hooks;
SET LOCAL search_path = regress_hooks, roleferry, public, pg_catalog;

SELECT plan(38);

-- HMAC-SHA256 as RFC 2104 has it, for keys of at most 64 bytes.
CREATE FUNCTION pad(key bytea, with_byte integer) RETURNS bytea LANGUAGE sql AS $$
	SELECT string_agg(set_byte('\x00', 0, (CASE WHEN i < length(key) THEN get_byte(key, i) ELSE 0 END) # with_byte), ''::bytea ORDER BY i)
	  FROM generate_series(0, 63) i
$$;
CREATE FUNCTION hmac256(message bytea, key bytea) RETURNS bytea LANGUAGE sql AS $$
	SELECT sha256(pad(key, 92) || sha256(pad(key, 54) || message))
$$;
CREATE FUNCTION b(t text) RETURNS bytea LANGUAGE sql AS $$ SELECT convert_to(t, 'UTF8') $$;
CREATE FUNCTION stripe(t bigint, body text, key text, name text DEFAULT 'Stripe-Signature') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('Content-Type', 'application/json', name,
		format('t=%s,v1=%s', t, encode(hmac256(b(t || '.' || body), b(key)), 'hex')))
$$;
CREATE FUNCTION standard(id text, t bigint, body text, key bytea) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('webhook-id', id, 'webhook-timestamp', t::text,
		'webhook-signature', 'v1,' || encode(hmac256(b(id || '.' || t || '.' || body), key), 'base64'))
$$;
CREATE FUNCTION mailgun(t text, token text, key text) RETURNS text LANGUAGE sql AS $$
	SELECT json_build_object('signature', json_build_object('timestamp', t, 'token', token,
		'signature', encode(hmac256(b(t || token), b(key)), 'hex')), 'event-data', json_build_object('id', 'x'))::text
$$;

SELECT is(encode(hmac256('what do ya want for nothing?', 'Jefe'), 'hex'),
	'5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843', 'the test''s own HMAC is that of RFC 4231');

--
-- What is signed, and with what
--
SELECT ok(verify_signature('stripe', '{whsec_a}', stripe(1700000000, '{}', 'whsec_a'), '{}', at => to_timestamp(1700000010)),
	'stripe: a signature is good');
SELECT ok(verify_signature('stripe', '{whsec_b,whsec_a}', stripe(1700000000, '{}', 'whsec_a'), '{}', at => to_timestamp(1700000010)),
	'one key of several is enough');
SELECT ok(NOT verify_signature('stripe', '{whsec_b}', stripe(1700000000, '{}', 'whsec_a'), '{}', at => to_timestamp(1700000010)),
	'another key is not');
SELECT ok(NOT verify_signature('stripe', '{whsec_a}', stripe(1700000000, '{}', 'whsec_a'), '{ }', at => to_timestamp(1700000010)),
	'every byte of the body counts');
SELECT ok(NOT verify_signature('stripe', '{whsec_a}', stripe(1700000000, '{}', 'whsec_a'), '', at => to_timestamp(1700000010)),
	'also when there is none');
SELECT ok(verify_signature('stripe', '{whsec_a}', stripe(1700000000, '{}', 'whsec_a', 'STRIPE-SIGNATURE'), '{}', at => to_timestamp(1700000010)),
	'a header''s name may be in any case');
SELECT ok(verify_signature('stripe', '{whsec_a}', jsonb_build_object('stripe-signature',
	jsonb_build_array(stripe(1700000000, '{}', 'whsec_a') -> 'Stripe-Signature')), '{}', at => to_timestamp(1700000010)),
	'its value may be a list of one');
SELECT ok(NOT verify_signature('stripe', '{whsec_a}', stripe(1700000000, '{}', 'whsec_a') || stripe(1700000000, '{}', 'whsec_a', 'stripe-signature'),
	'{}', at => to_timestamp(1700000010)), 'but a header that came twice is none');
SELECT ok(NOT verify_signature('stripe', '{whsec_a}', jsonb_build_object('stripe-signature',
	jsonb_build_array(stripe(1700000000, '{}', 'whsec_a') -> 'Stripe-Signature', 'x')), '{}', at => to_timestamp(1700000010)),
	'nor is a list of two');
SELECT ok(NOT verify_signature('stripe', '{""}', stripe(1700000000, '{}', ''), '{}', at => to_timestamp(1700000010)),
	'an empty key is none, whatever was signed with it');

SELECT ok(verify_signature('standard', ARRAY['whsec_' || encode('0123456789abcdef01234567', 'base64')],
	standard('msg_1', 1700000000, '{}', '0123456789abcdef01234567'), '{}', at => to_timestamp(1700000000)),
	'standard: a signature is good');
SELECT ok(NOT verify_signature('stripe', ARRAY['whsec_' || encode('0123456789abcdef01234567', 'base64')],
	standard('msg_1', 1700000000, '{}', '0123456789abcdef01234567'), '{}', at => to_timestamp(1700000000)),
	'for its own scheme only');
SELECT ok(verify_signature('mailgun', '{key-a}', '{}', b(mailgun('1700000000', 'abc', 'key-a')), at => to_timestamp(1700000000)),
	'mailgun: a signature is good');
SELECT ok(NOT verify_signature('mailgun', '{key-a}', '{}', b(mailgun('1700000000', 'abc', 'key-b')), at => to_timestamp(1700000000)),
	'if it is the key''s');
SELECT ok(verify_signature('none', '{hunter2hunter2}', '{"x-roleferry-token": "hunter2hunter2"}', 'x'),
	'none: the secret itself is good');
SELECT ok(NOT verify_signature('none', '{hunter2hunter2}', '{"x-roleferry-token": "hunter2hunter3"}', 'x'), 'another is not');
SELECT ok(NOT verify_signature('none', '{""}', '{"x-roleferry-token": ""}', 'x'), 'nor is none at all');
SELECT ok(NOT verify_signature('sendgrid', '{not a key}', '{}', '[]'), 'sendgrid: what is no key has made nothing');

--
-- When
--
SELECT ok(verify_signature('stripe', '{whsec_a}', stripe(extract(epoch FROM now())::bigint, '{}', 'whsec_a'), '{}'),
	'without a time it is now');
SELECT ok(NOT verify_signature('stripe', '{whsec_a}', stripe(extract(epoch FROM now())::bigint - 301, '{}', 'whsec_a'), '{}'),
	'and five minutes are allowed');
SELECT ok(verify_signature('stripe', '{whsec_a}', stripe(1700000000, '{}', 'whsec_a'), '{}', '1 hour', to_timestamp(1700003600)),
	'or what is said');
SELECT ok(NOT verify_signature('stripe', '{whsec_a}', stripe(1700000000, '{}', 'whsec_a'), '{}', '1 hour', to_timestamp(1700003601)),
	'to the second');
SELECT ok(NOT verify_signature('stripe', '{whsec_a}', stripe(1700000301, '{}', 'whsec_a'), '{}', '1 hour', to_timestamp(1700000000)),
	'the future is five minutes long');

--
-- What raises: the caller's arguments, and nothing of a stranger's
--
SELECT throws_ok($$ SELECT roleferry.verify_signature('strip', '{a}', '{}', '') $$, '22023', 'unrecognized value for "scheme": "strip"',
	'an unknown scheme is refused');
SELECT throws_ok($$ SELECT roleferry.verify_signature(NULL, '{a}', '{}', '') $$, '22023', '"scheme" is null', 'so is none');
SELECT throws_ok($$ SELECT roleferry.verify_signature('stripe', '{}', '{}', '') $$, '22023', '"keys" has 0 elements', 'no key is refused');
SELECT throws_ok($$ SELECT roleferry.verify_signature('stripe', array_fill('a'::text, '{17}'), '{}', '') $$, '22023',
	'"keys" has 17 elements', 'so are too many');
SELECT throws_ok($$ SELECT roleferry.verify_signature('stripe', '{a,NULL}', '{}', '') $$, '22023', '"keys[2]" is null', 'and one that is null');
SELECT throws_ok($$ SELECT roleferry.verify_signature('stripe', '{a}', '[]', '') $$, '22023', '"headers" is not an object',
	'headers are an object');
SELECT throws_ok($$ SELECT roleferry.verify_signature('stripe', '{a}', '{}', NULL) $$, '22023', '"body" is null', 'a body is needed');
SELECT throws_ok($$ SELECT roleferry.verify_signature('stripe', '{a}', '{}', '', '0') $$, '22023', '"tolerance" is not a positive interval',
	'a tolerance of 0 is refused');
SELECT ok(NOT verify_signature('stripe', '{whsec_a}', stripe(1700000000, '{}', 'whsec_a'), '{}', NULL, to_timestamp(1700000301)),
	'none is five minutes');
SELECT throws_ok($$ SELECT roleferry.verify_signature('stripe', '{a}', '{}', '', '1 day -25 hours') $$, '22023',
	'"tolerance" is not a positive interval', 'and a negative one');
SELECT is_empty($$ SELECT s, h FROM unnest('{stripe,sendgrid,mailgun,standard,none}'::text[]) s,
	unnest(ARRAY['{}', '{"stripe-signature": 5}', '{"stripe-signature": null}', '{"stripe-signature": {"a": "b"}}', '{"stripe-signature": []}',
	'{"authorization": "Bearer "}', '{"svix-id": "a", "svix-timestamp": "1", "svix-signature": ","}']::jsonb[]) h
	WHERE roleferry.verify_signature(s, '{a}', h, '\x00ff') $$, 'headers of any shape are only not good');
SELECT ok(NOT verify_signature('mailgun', '{a}', '{}', b(repeat('[', 100000))), 'nor is a body of any depth');
SELECT ok(NOT verify_signature('mailgun', '{a}', '{}', '\xff00fe'), 'or of any bytes');
SELECT ok(bool_and(verify_signature('stripe', ARRAY['k' || i], stripe(1700000000, '{}', 'k' || i), '{}', at => to_timestamp(1700000000))),
	'more keys than a session remembers are each their own') FROM generate_series(1, 100) i;

SELECT * FROM finish();
ROLLBACK;

-- Nothing crashes on a NULL: every function is called with NULLs for all of its
-- arguments, and with NULLs for all but the first.  An error will do; a server
-- that crashes ends this test.
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

CREATE FUNCTION pg_temp.call(function oid, first text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	arguments text;
BEGIN
	SELECT coalesce(string_agg(CASE WHEN i = 1 AND first IS NOT NULL THEN quote_literal(first) ELSE 'NULL' END || '::' || format_type(t, NULL), ', ' ORDER BY i), '')
	  INTO arguments
	  FROM pg_proc p, unnest(p.proargtypes) WITH ORDINALITY AS a (t, i)
	 WHERE p.oid = function;
	EXECUTE format('SELECT count(*) FROM roleferry.%I(%s)', (SELECT proname FROM pg_proc WHERE oid = function), arguments);
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;

CREATE TEMP VIEW callable AS
SELECT p.oid, p.proname, p.pronargs FROM pg_proc p
 WHERE p.pronamespace = 'roleferry'::regnamespace AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype);

SELECT plan(3);

SELECT cmp_ok((SELECT count(*) FROM callable), '>', 50::bigint, 'there are functions to call');
SELECT is_empty(
	$$ SELECT proname, outcome FROM (SELECT proname, pg_temp.call(oid, NULL) AS outcome FROM callable) c
	    WHERE outcome LIKE 'XX%' $$,
	'no function takes a NULL for what cannot be');
SELECT is_empty(
	$$ SELECT proname, outcome FROM (SELECT proname, pg_temp.call(oid, '1') AS outcome FROM callable WHERE pronargs > 1) c
	    WHERE outcome LIKE 'XX%' $$,
	'nor after a first argument that is one');

SELECT * FROM finish();
ROLLBACK;

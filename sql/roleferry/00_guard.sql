/* roleferry: people, verification and e-mail through a transactional outbox */

-- complain if the script is sourced in psql, rather than through CREATE EXTENSION
\echo Use "CREATE EXTENSION roleferry" to load this file. \quit

-- Whoever owns a schema, may create in it, or put something there beforehand
-- could capture calls meant for us: refuse it.  A superuser's empty one is what
-- DROP EXTENSION and pg_dump leave behind.
DO $squatted$
DECLARE
    schema_oid oid := 'roleferry'::pg_catalog.regnamespace;
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace n
                 JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
                WHERE n.oid OPERATOR(pg_catalog.=) schema_oid AND NOT r.rolsuper) THEN
        RAISE EXCEPTION 'schema "roleferry" exists and belongs to a role that is no superuser'
            USING ERRCODE = '42501', HINT = 'Drop or rename it first.';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
                WHERE n.oid OPERATOR(pg_catalog.=) schema_oid
                  AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner
                  AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE') THEN
        RAISE EXCEPTION 'schema "roleferry" exists and others than its owner may create objects in it'
            USING ERRCODE = '42501', HINT = 'Drop or rename it, or REVOKE CREATE ON SCHEMA roleferry.';
    END IF;
    -- Whatever is in a schema depends on it; so does the extension by now.
    IF EXISTS (SELECT FROM pg_catalog.pg_depend d
                WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
                  AND d.refobjid OPERATOR(pg_catalog.=) schema_oid
                  AND d.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_extension'::pg_catalog.regclass) THEN
        RAISE EXCEPTION 'schema "roleferry" is not empty'
            USING ERRCODE = '42501', HINT = 'Drop or rename it first.';
    END IF;
END
$squatted$;

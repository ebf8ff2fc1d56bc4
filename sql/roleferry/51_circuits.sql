--
-- Circuits
--

-- What people want of circuits, and what circuits have done.
CREATE TABLE roleferry.forced_circuit (
    account         text PRIMARY KEY,
    server          oid,
    state           text NOT NULL CONSTRAINT forced_circuit_state_check CHECK (state IN ('open', 'closed')),
    reason          text NOT NULL,
    until           timestamptz NOT NULL,
    set_at          timestamptz NOT NULL DEFAULT now(),
    set_by          text NOT NULL
);
COMMENT ON TABLE roleferry.forced_circuit IS 'circuits that force_circuit() holds open or closed';
COMMENT ON COLUMN roleferry.forced_circuit.until IS 'when it ends by itself; infinity: never';

CREATE TABLE roleferry.circuit_event (
    at              timestamptz NOT NULL,
    account         text NOT NULL,
    from_state      text NOT NULL,
    to_state        text NOT NULL,
    reason          text NOT NULL
);
COMMENT ON TABLE roleferry.circuit_event IS
'each change of an account''s circuit, for as long as roleferry.attempt_retention says';

SELECT pg_catalog.pg_extension_config_dump('roleferry.forced_circuit', '');

CREATE FUNCTION roleferry.rules_changed()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'roleferry_rules_changed';
COMMENT ON FUNCTION roleferry.rules_changed() IS
'tells the dispatcher when the transaction commits that circuits are forced or no longer';

CREATE TRIGGER rules_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON roleferry.forced_circuit
    FOR EACH STATEMENT EXECUTE FUNCTION roleferry.rules_changed();

-- In a restored database servers have other numbers, and the same ones for other
-- accounts: a row is for the account of its name.
CREATE FUNCTION roleferry.account_row_server()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT s.oid INTO NEW.server
      FROM pg_catalog.pg_foreign_server s
      JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'roleferry'
     WHERE s.srvname = to_jsonb(NEW) ->> TG_ARGV[0];
    -- What a dropped account had run out of is no other's affair.
    IF NEW.server IS NULL AND TG_TABLE_NAME = 'account_stop' THEN
        RETURN NULL;
    END IF;
    NEW.server := coalesce(NEW.server, 0);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION roleferry.account_row_server() IS
'finds the foreign server of the account that a new row is for, whatever it was where the row was dumped';

CREATE TRIGGER account_row_server BEFORE INSERT ON roleferry.forced_circuit
    FOR EACH ROW EXECUTE FUNCTION roleferry.account_row_server('account');

CREATE FUNCTION roleferry.force_circuit(account text, state text, reason text DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    server_oid oid;
BEGIN
    IF force_circuit.state IS NULL OR force_circuit.state NOT IN ('open', 'closed', 'auto') THEN
        RAISE EXCEPTION 'unrecognized value for "state": "%"', force_circuit.state
            USING ERRCODE = '22023', HINT = 'Valid values are: open, closed, auto.';
    END IF;
    IF force_circuit.until <= now() THEN
        RAISE EXCEPTION '"until" is not in the future'
            USING ERRCODE = '22023', HINT = 'Leave it out to force the circuit until force_circuit(account, ''auto'') is called.';
    END IF;
    SELECT s.oid INTO server_oid
      FROM pg_catalog.pg_foreign_server s
      JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'roleferry'
     WHERE s.srvname = force_circuit.account;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account "%" does not exist', force_circuit.account
            USING ERRCODE = '42704', HINT = 'The view roleferry.accounts lists them.';
    END IF;
    -- A server that was renamed has its row under the old name.
    DELETE FROM roleferry.forced_circuit f WHERE f.server = server_oid OR f.account = force_circuit.account;
    IF force_circuit.state <> 'auto' THEN
        INSERT INTO roleferry.forced_circuit (account, server, state, reason, until, set_by)
        VALUES (force_circuit.account, server_oid, force_circuit.state, coalesce(force_circuit.reason, 'by ' || session_user),
                coalesce(force_circuit.until, 'infinity'), session_user);
    END IF;
END
$$;
COMMENT ON FUNCTION roleferry.force_circuit(text, text, text, timestamptz) IS
'holds an account''s circuit ''open'' (nothing goes) or ''closed'' (failures do not count) until then, over restarts; ''auto'' ends that';

CREATE FUNCTION roleferry.circuit_states(OUT account text, OUT state text, OUT calls integer, OUT failures integer, OUT failures_in_row integer)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'roleferry_circuit_states';
COMMENT ON FUNCTION roleferry.circuit_states() IS
'the circuit of each account: closed, open, half-open, forced open or forced closed, and what it has counted';

CREATE VIEW roleferry.circuits AS
    SELECT c.account, c.state, f.reason, f.until, f.set_by, c.calls, c.failures, c.failures_in_row,
           (SELECT max(e.at) FROM roleferry.circuit_event e WHERE e.account = c.account) AS changed_at
      FROM roleferry.circuit_states() c
      JOIN pg_catalog.pg_foreign_server s ON s.srvname = c.account
      LEFT JOIN roleferry.forced_circuit f ON f.server = s.oid AND f.until > now();
COMMENT ON VIEW roleferry.circuits IS
'the circuit of each account, what it has counted in roleferry.breaker_window, and who forces it until when';

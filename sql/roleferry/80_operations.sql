--
-- Operations
--

CREATE FUNCTION roleferry.wake()
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_wake';
COMMENT ON FUNCTION roleferry.wake() IS
'asks this database''s dispatcher to look at everything again, at once';

CREATE FUNCTION roleferry.server_identity(OUT system_identifier bigint, OUT database_oid oid, OUT timeline integer, OUT installation text)
LANGUAGE C VOLATILE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'roleferry_server_identity';
COMMENT ON FUNCTION roleferry.server_identity() IS
'what activate() records: this cluster, this database, its timeline, and 64 fresh random bits in hex';

CREATE FUNCTION roleferry.activation_state(OUT state text, OUT reason text)
LANGUAGE C VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'roleferry_activation_state';
COMMENT ON FUNCTION roleferry.activation_state() IS
'may this database send? state is active or, with the reason: never activated, deactivated, standby, another cluster, another database, restored, forked, held';

CREATE FUNCTION roleferry.account_gates(OUT account text, OUT state text, OUT reason text, OUT until timestamptz)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'roleferry_account_gates';
COMMENT ON FUNCTION roleferry.account_gates() IS
'for each account of this database: ready, limited (a rate limit is used up), paused, stopped (no credit left), open (its circuit), probing or unusable, why, and until when';

CREATE FUNCTION roleferry.activate(waiting text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    identity record;
    state text;
    same_life boolean;
    count_waiting bigint;
    count_held bigint;
    count_doubtful bigint := 0;
    oldest timestamptz;
BEGIN
    IF waiting IS NOT NULL AND waiting NOT IN ('hold', 'send', 'discard') THEN
        RAISE EXCEPTION 'unrecognized value for "waiting": "%"', waiting
            USING ERRCODE = '22023', HINT = 'Valid values are: hold, send, discard.';
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby cannot be activated'
            USING ERRCODE = '25006', HINT = 'Call activate() where it replicates from; after a promotion it goes on as roleferry.after_promotion says.';
    END IF;

    LOCK TABLE roleferry.activation IN EXCLUSIVE MODE;
    SELECT * INTO identity FROM roleferry.server_identity();
    SELECT s.state INTO state FROM roleferry.activation_state() s;
    same_life := state IN ('active', 'deactivated');

    -- What was under way in another life: the dispatcher makes it unknown when
    -- it sees the new activation.  What may be sent twice waits again, and is
    -- held or discarded with the rest.
    IF NOT same_life THEN
        UPDATE roleferry.outbox SET worker = NULL, claimed_at = NULL
         WHERE worker IS NOT NULL AND delivery = 'at_least_once';
        SELECT count(*) INTO count_doubtful FROM roleferry.outbox WHERE worker IS NOT NULL;
    END IF;

    SELECT count(*), count(*) FILTER (WHERE run_at = 'infinity'), min(created_at)
      INTO count_waiting, count_held, oldest
      FROM roleferry.outbox WHERE worker IS NULL;

    IF waiting IS NULL AND count_waiting > 0 AND (NOT same_life OR count_held > 0) THEN
        RAISE EXCEPTION 'not activated: jobs wait in the outbox'
            USING ERRCODE = '55000',
                  DETAIL = format('%s of them, the oldest since %s, %s held.', count_waiting, oldest, count_held)
                        || CASE WHEN count_doubtful = 0 THEN ''
                                ELSE format(' %s were under way elsewhere and become unknown.', count_doubtful) END,
                  HINT = 'Say what is to become of them: activate(waiting => ''send''), ''hold'' or ''discard''.';
    END IF;

    IF waiting = 'hold' THEN
        UPDATE roleferry.outbox SET run_at = 'infinity' WHERE worker IS NULL;
    ELSIF waiting = 'send' THEN
        UPDATE roleferry.outbox SET run_at = now() WHERE worker IS NULL AND run_at = 'infinity';
    ELSIF waiting = 'discard' THEN
        WITH gone AS (DELETE FROM roleferry.outbox WHERE worker IS NULL RETURNING *)
        INSERT INTO roleferry.dead_letter (job_id, created_at, attempts, failures, max_attempts, priority, state, reason,
               task, role, queue, tenant_key, order_key, idempotency_key, on_done, delivery, accounts, args, mode)
        SELECT id, created_at, attempts, failures, max_attempts, priority, 'cancelled', 'discarded by activate()',
               task, role, queue, tenant_key, order_key, idempotency_key, on_done, delivery, accounts, args, mode
          FROM gone;
    END IF;

    IF same_life THEN
        UPDATE roleferry.activation SET active = true, timeline = identity.timeline,
               activated_at = now(), activated_by = session_user
         WHERE NOT active;
    ELSIF state = 'held' THEN
        -- The mails of before the promotion are this installation's, too.
        UPDATE roleferry.activation SET active = true, timeline = identity.timeline,
               activated_at = now(), activated_by = session_user;
    ELSE
        DELETE FROM roleferry.activation;
        INSERT INTO roleferry.activation (system_identifier, database_oid, timeline, installation)
        VALUES (identity.system_identifier, identity.database_oid, identity.timeline, identity.installation);
    END IF;
    PERFORM roleferry.wake();

    RETURN format('%s; jobs waiting: %s%s%s',
                  CASE WHEN state = 'active' THEN 'already active' ELSE 'active' END,
                  count_waiting,
                  CASE WHEN waiting IS NULL OR count_waiting = 0 THEN ''
                       WHEN waiting = 'send' THEN ', to be sent'
                       WHEN waiting = 'hold' THEN ', held'
                       ELSE ', discarded' END,
                  CASE WHEN count_doubtful = 0 THEN ''
                       ELSE '; under way elsewhere and now unknown: ' || count_doubtful END);
END
$$;
COMMENT ON FUNCTION roleferry.activate(text) IS
'lets this database send; where jobs wait already (a restored copy) it asks what becomes of them: waiting => ''hold'', ''send'' or ''discard''';

CREATE FUNCTION roleferry.deactivate()
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    UPDATE roleferry.activation SET active = false WHERE active;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM roleferry.wake();
    RETURN CASE WHEN changed > 0 THEN 'no longer active: new jobs wait' ELSE 'was not active' END;
END
$$;
COMMENT ON FUNCTION roleferry.deactivate() IS
'stops new transfers within a second; what is under way ends, everything else waits for activate()';

CREATE FUNCTION roleferry.settle(job_id bigint, verdict text, note text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    letter roleferry.dead_letter;
BEGIN
    IF settle.job_id IS NULL THEN
        RAISE EXCEPTION '"job_id" is null' USING ERRCODE = '22023';
    END IF;
    IF settle.verdict IS NULL OR settle.verdict NOT IN ('sent', 'not_sent') THEN
        RAISE EXCEPTION 'unrecognized value for "verdict": "%"', settle.verdict
            USING ERRCODE = '22023', HINT = 'Valid values are: sent, not_sent.';
    END IF;

    SELECT d.* INTO letter FROM roleferry.dead_letter d WHERE d.job_id = settle.job_id FOR UPDATE;
    IF NOT FOUND OR letter.state <> 'unknown' THEN
        RAISE EXCEPTION 'job % is not unknown', settle.job_id
            USING ERRCODE = '55000',
                  DETAIL = coalesce('Its state is ' || (SELECT j.state FROM roleferry.jobs j WHERE j.id = settle.job_id) || '.',
                                    'There is no such job.'),
                  HINT = 'Only a send whose outcome nobody knows can be settled.';
    END IF;

    IF settle.verdict = 'sent' AND letter.task <> 'send_email' THEN
        RAISE EXCEPTION 'job % is no mail: it cannot be called sent', settle.job_id
            USING ERRCODE = '55000', DETAIL = format('Its task is %s.', letter.task),
                  HINT = format('settle(%1$s, ''not_sent'') makes it a failed job; retry(%1$s, unknown => true) asks, and may pay, again.', settle.job_id);
    END IF;
    IF settle.verdict = 'sent' THEN
        DELETE FROM roleferry.dead_letter d WHERE d.job_id = settle.job_id;
        INSERT INTO roleferry.message (job_id, created_at, sent_at, http_status, attempts, account, provider,
               role, queue, tenant_key, from_addr, to_addr, subject, note)
        VALUES (letter.job_id, letter.created_at, letter.finished_at, letter.http_status, letter.attempts,
                coalesce(letter.account, 'unknown'), coalesce(roleferry.account_provider(letter.account), 'unknown'),
                letter.role, letter.queue, letter.tenant_key,
                letter.args ->> 'from_addr', letter.args ->> 'to_addr', letter.args ->> 'subject',
                coalesce(settle.note, 'settled as sent by ' || session_user));
        IF letter.on_done IS NOT NULL THEN
            PERFORM roleferry.on_done_tell(letter.on_done, letter.role, letter.tenant_key, letter.job_id, letter.task, 'sent',
                roleferry.account_provider(letter.account), NULL, coalesce(settle.note, 'settled as sent by ' || session_user),
                letter.http_status, letter.idempotency_key);
        END IF;
        RETURN 'sent';
    END IF;

    UPDATE roleferry.dead_letter d
       SET state = 'failed', note = coalesce(settle.note, 'settled as not sent by ' || session_user)
     WHERE d.job_id = settle.job_id;
    RETURN 'failed';
END
$$;
COMMENT ON FUNCTION roleferry.settle(bigint, text, text) IS
'ends the doubt about an unknown send: ''sent'' makes it a message, ''not_sent'' a failed job; returns the job''s new state';

CREATE FUNCTION roleferry.account_provider(account text)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT o.option_value
      FROM pg_catalog.pg_foreign_server s
      JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'roleferry'
     CROSS JOIN LATERAL pg_catalog.pg_options_to_table(s.srvoptions) o
     WHERE s.srvname = account_provider.account AND o.option_name = 'provider';
END;
COMMENT ON FUNCTION roleferry.account_provider(text) IS
'the provider of an account, or NULL where there is no such account';

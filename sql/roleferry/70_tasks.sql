--
-- Results
--

-- What jobs returned.  Three tables take turns, as those of attempts do.
CREATE TABLE roleferry.result_0 (
    job_id          bigint NOT NULL,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz NOT NULL,
    attempts        integer NOT NULL,
    state           text NOT NULL DEFAULT 'done' CONSTRAINT result_state_check CHECK (state = 'done'),
    task            text NOT NULL,
    account         text,
    role            text COLLATE "C" NOT NULL,
    queue           text,
    tenant_key      text,
    result          jsonb
);
CREATE TABLE roleferry.result_1 (LIKE roleferry.result_0 INCLUDING ALL);
CREATE TABLE roleferry.result_2 (LIKE roleferry.result_0 INCLUDING ALL);
CREATE INDEX result_0_job_id_idx ON roleferry.result_0 (job_id);
CREATE INDEX result_1_job_id_idx ON roleferry.result_1 (job_id);
CREATE INDEX result_2_job_id_idx ON roleferry.result_2 (job_id);
COMMENT ON TABLE roleferry.result_0 IS 'jobs that are done, with what they returned, first of three tables that take turns';
COMMENT ON TABLE roleferry.result_1 IS 'see result_0';
COMMENT ON TABLE roleferry.result_2 IS 'see result_0';

CREATE TABLE roleferry.result_rotation (
    one             boolean PRIMARY KEY DEFAULT true CONSTRAINT result_rotation_one_check CHECK (one),
    current         smallint NOT NULL CONSTRAINT result_rotation_current_check CHECK (current BETWEEN 0 AND 2),
    rotated_at      timestamptz NOT NULL
);
COMMENT ON TABLE roleferry.result_rotation IS 'which of the result tables is written now, and since when';
INSERT INTO roleferry.result_rotation (current, rotated_at) VALUES (0, now());

CREATE TYPE roleferry.job_result AS (
    job_id          bigint,
    task            text,
    state           text,
    result          jsonb,
    reason          text,
    attempts        integer,
    finished_at     timestamptz
);
COMMENT ON TYPE roleferry.job_result IS
'how a job ended and what it returned: a done job''s result, a sent mail''s receipt, or the reason why there is none; state waiting or running: it has not ended';

-- Only wait_for() and result() call it, as the owner of the tables, and say
-- who asks.  inserted_by: the transaction that put it into the outbox.
CREATE FUNCTION roleferry.job_outcome(job_id bigint, asker text)
RETURNS TABLE (task text, state text, result jsonb, reason text, attempts integer, finished_at timestamptz, inserted_by xid)
LANGUAGE sql STABLE STRICT PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT j.task, j.state, j.result, j.reason, j.attempts, j.finished_at, j.inserted_by FROM (
        SELECT o.role, o.task, CASE WHEN o.worker IS NULL THEN 'waiting' ELSE 'running' END AS state, NULL::jsonb AS result,
               NULL::text AS reason, o.attempts, NULL::timestamptz AS finished_at, o.xmin AS inserted_by
          FROM roleferry.outbox o WHERE o.id = job_outcome.job_id
        UNION ALL
        SELECT r.role, r.task, r.state, r.result, NULL, r.attempts, r.finished_at, NULL
          FROM roleferry.result_0 r WHERE r.job_id = job_outcome.job_id
        UNION ALL
        SELECT r.role, r.task, r.state, r.result, NULL, r.attempts, r.finished_at, NULL
          FROM roleferry.result_1 r WHERE r.job_id = job_outcome.job_id
        UNION ALL
        SELECT r.role, r.task, r.state, r.result, NULL, r.attempts, r.finished_at, NULL
          FROM roleferry.result_2 r WHERE r.job_id = job_outcome.job_id
        UNION ALL
        SELECT m.role, 'send_email', 'sent',
               jsonb_build_object('status', 'sent', 'message_id', m.message_id, 'provider', m.provider, 'account', m.account,
                                  'job_id', m.job_id, 'http_status', m.http_status),
               m.note, m.attempts, m.sent_at, NULL
          FROM roleferry.message m WHERE m.job_id = job_outcome.job_id
        UNION ALL
        SELECT d.role, d.task, d.state, NULL, d.reason, d.attempts, d.finished_at, NULL
          FROM roleferry.dead_letter d WHERE d.job_id = job_outcome.job_id
    ) AS j
     WHERE j.role = job_outcome.asker OR has_table_privilege(job_outcome.asker::name, 'roleferry.outbox', 'SELECT')
     LIMIT 1
$$;
COMMENT ON FUNCTION roleferry.job_outcome(bigint, text) IS
'what wait_for() and result() tell a role; used by them only';

CREATE FUNCTION roleferry.result(job_id bigint)
RETURNS jsonb
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_result';
COMMENT ON FUNCTION roleferry.result(bigint) IS
'what a job returned, or a sent mail''s receipt; NULL: it has not ended, ended otherwise, or its result is no longer kept (roleferry.result_ttl)';

CREATE FUNCTION roleferry.wait_for(job_id bigint, timeout interval DEFAULT NULL)
RETURNS SETOF roleferry.job_result
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000 ROWS 1
AS 'MODULE_PATHNAME', 'roleferry_wait_for';
COMMENT ON FUNCTION roleferry.wait_for(bigint, interval) IS
'waits until a job has ended, at most for timeout (30 s), and says how; a job that this transaction has enqueued cannot be waited for';

-- Only run_due() calls it, as the owner of the outbox, and says who asks.
CREATE FUNCTION roleferry.due_jobs(queue text, max_jobs integer, asker text)
RETURNS TABLE (id bigint, attempts integer)
LANGUAGE sql VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.id, o.attempts FROM roleferry.outbox o
     WHERE (due_jobs.queue IS NULL OR o.queue = due_jobs.queue) AND o.run_at <= clock_timestamp()
       AND (o.role = due_jobs.asker OR has_table_privilege(due_jobs.asker::name, 'roleferry.outbox', 'SELECT'))
     ORDER BY o.priority DESC, o.run_at, o.id LIMIT due_jobs.max_jobs
$$;
COMMENT ON FUNCTION roleferry.due_jobs(text, integer, text) IS
'the jobs that run_due() waits for; used by it only';

CREATE FUNCTION roleferry.run_due(queue text DEFAULT NULL, max_jobs integer DEFAULT 100, timeout interval DEFAULT NULL)
RETURNS SETOF roleferry.job_result
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000 ROWS 10
AS 'MODULE_PATHNAME', 'roleferry_run_due';
COMMENT ON FUNCTION roleferry.run_due(text, integer, interval) IS
'for tests: has the dispatcher look at once, waits until the jobs that are due in a queue (or in all) have ended or wait for another try, at most for timeout (30 s), and says how each stands';

--
-- SQL tasks
--

-- Functions that jobs can name.  The function is kept as text, so that a dump
-- restores where it does not exist yet.
CREATE TABLE roleferry.task (
    name            text PRIMARY KEY,
    function        text NOT NULL,
    run_as          text COLLATE "C",
    timeout         interval CONSTRAINT task_timeout_check CHECK (timeout > '0'),
    max_attempts    integer CONSTRAINT task_max_attempts_check CHECK (max_attempts BETWEEN 1 AND 1000),
    retry_base      interval NOT NULL DEFAULT '2 s' CONSTRAINT task_retry_base_check CHECK (retry_base >= '0'),
    retry_cap       interval NOT NULL DEFAULT '10 min' CONSTRAINT task_retry_cap_check CHECK (retry_cap >= '0'),
    give_up_on      text[] NOT NULL DEFAULT '{0A,22,42}',
    batch           boolean NOT NULL DEFAULT false,
    registered_by   text COLLATE "C" NOT NULL,
    registered_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE roleferry.task IS 'SQL functions that jobs can name; written by register_task()';
COMMENT ON COLUMN roleferry.task.run_as IS 'the role it runs as; NULL: as whoever enqueued the job';
COMMENT ON COLUMN roleferry.task.give_up_on IS
'SQLSTATEs, or their classes (first two characters), after which a job is not tried again';
COMMENT ON COLUMN roleferry.task.batch IS 'up to 50 jobs share a transaction, each in a subtransaction';

SELECT pg_catalog.pg_extension_config_dump('roleferry.task', '');

CREATE TRIGGER rules_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON roleferry.task
    FOR EACH STATEMENT EXECUTE FUNCTION roleferry.rules_changed();

CREATE FUNCTION roleferry.register_task(
    name            text,
    function        regprocedure,
    run_as          regrole     DEFAULT NULL,
    timeout         interval    DEFAULT NULL,
    max_attempts    integer     DEFAULT NULL,
    retry_base      interval    DEFAULT NULL,
    retry_cap       interval    DEFAULT NULL,
    give_up_on      text[]      DEFAULT NULL,
    batch           boolean     DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_register_task';
COMMENT ON FUNCTION roleferry.register_task(text, regprocedure, regrole, interval, integer, interval, interval, text[], boolean) IS
'lets jobs run a SQL function by this name, as whoever enqueues them or as run_as; again with the same name: changes it';

CREATE FUNCTION roleferry.unregister_task(name text)
RETURNS boolean
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_unregister_task';
COMMENT ON FUNCTION roleferry.unregister_task(text) IS
'takes the name back: jobs of it that still wait become dead letters; false: there was no such task';

CREATE FUNCTION roleferry.enqueue(
    task             text,
    args             jsonb       DEFAULT NULL,
    idempotency_key  text        DEFAULT NULL,
    run_at           timestamptz DEFAULT NULL,
    priority         integer     DEFAULT NULL,
    queue            text        DEFAULT NULL,
    expires_at       timestamptz DEFAULT NULL,
    max_attempts     integer     DEFAULT NULL,
    order_key        text        DEFAULT NULL,
    tenant_key       text        DEFAULT NULL,
    delivery         text        DEFAULT NULL,
    on_invalid       text        DEFAULT 'error',
    on_conflict      text        DEFAULT NULL,
    on_done          text        DEFAULT NULL)
RETURNS bigint
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100
AS 'MODULE_PATHNAME', 'roleferry_enqueue';
COMMENT ON FUNCTION roleferry.enqueue(text, jsonb, text, timestamptz, integer, text, timestamptz, integer, text, text, text, text, text, text) IS
'puts a job of any task into the outbox and returns its id; args'' keys are the parameters of the task''s function';

CREATE FUNCTION roleferry.enqueue_apollo_search(
    domain          text,
    titles          text[]      DEFAULT NULL,
    seniorities     text[]      DEFAULT NULL,
    locations       text[]      DEFAULT NULL,
    max_results     integer     DEFAULT NULL,
    enrich          boolean     DEFAULT NULL,
    max_credits     integer     DEFAULT NULL,
    account         text        DEFAULT NULL,
    idempotency_key text        DEFAULT NULL,
    run_at          timestamptz DEFAULT NULL,
    priority        integer     DEFAULT NULL,
    queue           text        DEFAULT NULL,
    expires_at      timestamptz DEFAULT NULL,
    max_attempts    integer     DEFAULT NULL,
    order_key       text        DEFAULT NULL,
    tenant_key      text        DEFAULT NULL,
    on_conflict     text        DEFAULT NULL,
    on_done         text        DEFAULT NULL)
RETURNS bigint
LANGUAGE sql VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100
BEGIN ATOMIC
    SELECT roleferry.enqueue('apollo_search',
        pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('domain', domain, 'titles', titles, 'seniorities', seniorities,
            'locations', locations, 'max_results', max_results, 'enrich', enrich, 'max_credits', max_credits, 'account', account)),
        idempotency_key, run_at, priority, queue, expires_at, max_attempts, order_key, tenant_key,
        on_conflict => on_conflict, on_done => on_done);
END;
COMMENT ON FUNCTION roleferry.enqueue_apollo_search(text, text[], text[], text[], integer, boolean, integer, text, text, timestamptz, integer, text, timestamptz, integer, text, text, text, text) IS
'puts a search of people into the outbox and returns the job''s id; its result is a list of objects as roleferry.person, enriched as by apollo_search()';

--
-- Cancelling, and trying again
--

CREATE TABLE roleferry.job_action (
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    job_id          bigint NOT NULL,
    action          text NOT NULL CONSTRAINT job_action_action_check CHECK (action IN ('cancel', 'retry', 'redrive')),
    role            text COLLATE "C" NOT NULL,
    from_state      text NOT NULL
);
CREATE INDEX job_action_at_idx ON roleferry.job_action (at);
COMMENT ON TABLE roleferry.job_action IS 'who has cancelled jobs and had dead letters tried again, for roleferry.dead_letter_retention';

SELECT pg_catalog.pg_extension_config_dump('roleferry.job_action', '');

-- Called by cancel(), retry() and redrive() only, which say who asks.
CREATE FUNCTION roleferry.job_cancel(job_id bigint, asker text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    found_role text;
BEGIN
    SELECT q.role INTO found_role FROM (
        SELECT o.role FROM roleferry.outbox o WHERE o.id = job_cancel.job_id
        UNION ALL SELECT m.role FROM roleferry.message m WHERE m.job_id = job_cancel.job_id
        UNION ALL SELECT d.role FROM roleferry.dead_letter d WHERE d.job_id = job_cancel.job_id
        UNION ALL SELECT r.role FROM roleferry.result_0 r WHERE r.job_id = job_cancel.job_id
        UNION ALL SELECT r.role FROM roleferry.result_1 r WHERE r.job_id = job_cancel.job_id
        UNION ALL SELECT r.role FROM roleferry.result_2 r WHERE r.job_id = job_cancel.job_id) q;
    IF found_role IS NULL OR NOT (found_role = job_cancel.asker
                                  OR has_function_privilege(job_cancel.asker::name, 'roleferry.activate(text)', 'EXECUTE')) THEN
        RAISE EXCEPTION 'there is no job % that you may cancel', job_cancel.job_id USING ERRCODE = '42704';
    END IF;

    -- A claim that is under way is waited for; then there is nothing to delete.
    WITH gone AS (DELETE FROM roleferry.outbox o WHERE o.id = job_cancel.job_id AND o.worker IS NULL RETURNING o.*)
    INSERT INTO roleferry.dead_letter (job_id, created_at, attempts, failures, max_attempts, priority, state, reason,
           task, role, queue, tenant_key, order_key, idempotency_key, on_done, delivery, accounts, args, mode)
    SELECT g.id, g.created_at, g.attempts, g.failures, g.max_attempts, g.priority, 'cancelled', 'cancelled by ' || job_cancel.asker,
           g.task, g.role, g.queue, g.tenant_key, g.order_key, g.idempotency_key, g.on_done, g.delivery, g.accounts, g.args, g.mode
      FROM gone g;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO roleferry.job_action (job_id, action, role, from_state) VALUES (job_cancel.job_id, 'cancel', job_cancel.asker, 'waiting');
    RETURN true;
END
$$;
COMMENT ON FUNCTION roleferry.job_cancel(bigint, text) IS 'what cancel() does for a role; used by it only';

CREATE FUNCTION roleferry.job_again(job_id bigint, asker text, unknown boolean, action text)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    letter roleferry.dead_letter;
BEGIN
    SELECT d.* INTO letter FROM roleferry.dead_letter d WHERE d.job_id = job_again.job_id FOR UPDATE;
    IF NOT FOUND OR NOT (job_again.action = 'redrive' OR letter.role = job_again.asker
                         OR has_function_privilege(job_again.asker::name, 'roleferry.activate(text)', 'EXECUTE')) THEN
        RAISE EXCEPTION 'there is no dead letter % that you may try again', job_again.job_id
            USING ERRCODE = '42704', HINT = 'Only jobs that ended other than well are tried again.';
    END IF;
    IF letter.state = 'unknown' AND NOT job_again.unknown THEN
        RAISE EXCEPTION 'job % is unknown: tried again, it may have its effect twice', job_again.job_id
            USING ERRCODE = '55000', HINT = 'If that is wanted, say so: unknown => true.  settle() ends the doubt otherwise.';
    END IF;
    IF letter.state = 'captured' THEN
        RAISE EXCEPTION 'job % was captured: it was never to be sent', job_again.job_id
            USING ERRCODE = '55000', HINT = 'What is to be sent is enqueued again, with roleferry.mode live.';
    END IF;
    IF letter.args IS NULL THEN
        RAISE EXCEPTION 'job % has no arguments any more', job_again.job_id USING ERRCODE = '55000';
    END IF;

    -- The same job under the same id, checked anew; its key is still its own,
    -- and its mode the stricter of what it was and what is.  A search that had
    -- found people searches again.
    DELETE FROM roleferry.dead_letter d WHERE d.job_id = job_again.job_id;
    INSERT INTO roleferry.outbox (id, created_at, max_attempts, priority, delivery, task, role, queue, tenant_key, order_key, on_done, args, mode)
    VALUES (letter.job_id, letter.created_at, letter.max_attempts, letter.priority, letter.delivery, letter.task, letter.role,
            letter.queue, letter.tenant_key, letter.order_key, letter.on_done, letter.args - 'rf_found',
            letter.mode);
    UPDATE roleferry.outbox o SET attempts = letter.attempts, idempotency_key = letter.idempotency_key
     WHERE o.id = job_again.job_id;
    INSERT INTO roleferry.job_action (job_id, action, role, from_state)
    VALUES (job_again.job_id, job_again.action, job_again.asker, letter.state);
END
$$;
COMMENT ON FUNCTION roleferry.job_again(bigint, text, boolean, text) IS 'what retry() and redrive() do for a role; used by them only';

CREATE FUNCTION roleferry.cancel(job_id bigint)
RETURNS boolean
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_cancel';
COMMENT ON FUNCTION roleferry.cancel(bigint) IS
'cancels a job that waits: it becomes a dead letter at once; false: it was too late, the job is under way or has ended';

CREATE FUNCTION roleferry.retry(job_id bigint, unknown boolean DEFAULT false)
RETURNS void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_retry';
COMMENT ON FUNCTION roleferry.retry(bigint, boolean) IS
'has a dead letter tried again, under its id and with all its attempts; an unknown one, which may have its effect twice, only with unknown => true';

CREATE FUNCTION roleferry.redrive(
    task            text        DEFAULT NULL,
    state           text        DEFAULT 'failed',
    reason          text        DEFAULT NULL,
    role            text        DEFAULT NULL,
    since           timestamptz DEFAULT NULL,
    max_jobs        integer     DEFAULT 1000,
    dry_run         boolean     DEFAULT false,
    unknown         boolean     DEFAULT false)
RETURNS TABLE (job_id bigint, job_task text, job_reason text, problem text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    letter record;
BEGIN
    IF redrive.state IS NULL OR redrive.state NOT IN ('failed', 'unknown', 'suppressed', 'cancelled', 'expired', 'quarantined') THEN
        RAISE EXCEPTION 'unrecognized value for "state": "%"', redrive.state
            USING ERRCODE = '22023', HINT = 'Valid values are: failed, unknown, suppressed, cancelled, expired, quarantined.';
    END IF;
    IF redrive.max_jobs IS NULL OR redrive.max_jobs < 1 THEN
        RAISE EXCEPTION '"max_jobs" is not positive' USING ERRCODE = '22023';
    END IF;
    IF redrive.state = 'unknown' AND NOT coalesce(redrive.unknown OR redrive.dry_run, false) THEN
        RAISE EXCEPTION 'unknown jobs, tried again, may have their effect twice'
            USING ERRCODE = '55000', HINT = 'If that is wanted, say so: unknown => true.';
    END IF;
    FOR letter IN
        SELECT d.job_id, d.task, d.reason FROM roleferry.dead_letter d
         WHERE d.state = redrive.state
           AND (redrive.task IS NULL OR d.task = redrive.task)
           AND (redrive.reason IS NULL OR d.reason LIKE redrive.reason)
           AND (redrive.role IS NULL OR d.role = redrive.role)
           AND (redrive.since IS NULL OR d.finished_at >= redrive.since)
         ORDER BY d.finished_at, d.job_id LIMIT redrive.max_jobs
    LOOP
        job_id := letter.job_id;
        job_task := letter.task;
        job_reason := letter.reason;
        problem := NULL;
        IF NOT coalesce(redrive.dry_run, true) THEN
            BEGIN
                PERFORM roleferry.job_again(letter.job_id, session_user::text, coalesce(redrive.unknown, false), 'redrive');
            EXCEPTION WHEN others THEN
                problem := sqlerrm;
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION roleferry.redrive(text, text, text, text, timestamptz, integer, boolean, boolean) IS
'has dead letters tried again, the oldest first: those of a task, state, reason (a LIKE pattern), role, since a time; dry_run only lists them; problem: why one was left';

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

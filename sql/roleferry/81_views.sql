--
-- Views.  A role sees its own jobs; who may read the tables sees all.
--

CREATE VIEW roleferry.attempts WITH (security_barrier) AS
    SELECT * FROM roleferry.attempt_0
    UNION ALL SELECT * FROM roleferry.attempt_1
    UNION ALL SELECT * FROM roleferry.attempt_2
    UNION ALL SELECT * FROM roleferry.attempt_kept;
COMMENT ON VIEW roleferry.attempts IS 'attempts that did not simply succeed, for as long as roleferry.attempt_retention says, and of dead letters as long as these';

-- A barrier holds around a plain SELECT only: of a view that is itself a UNION
-- ALL, the planner hands a caller's conditions to the branches, to be tested
-- before those that hide other roles' rows.
CREATE VIEW roleferry.jobs WITH (security_barrier) AS
    SELECT j.* FROM (
        SELECT o.id, o.task, o.queue, o.tenant_key, o.priority,
               CASE WHEN o.worker IS NULL THEN 'waiting' ELSE 'running' END AS state,
               o.attempts, o.run_at, o.role, NULL::text AS account, NULL::text AS reason,
               o.created_at, NULL::timestamptz AS finished_at
          FROM roleferry.outbox o
         WHERE o.role = current_user OR has_table_privilege('roleferry.outbox', 'SELECT')
        UNION ALL
        SELECT m.job_id, 'send_email', m.queue, m.tenant_key, NULL, 'sent',
               m.attempts, NULL, m.role, m.account, m.note, m.created_at, m.sent_at
          FROM roleferry.message m
         WHERE m.role = current_user OR has_table_privilege('roleferry.message', 'SELECT')
        UNION ALL
        SELECT r.job_id, r.task, r.queue, r.tenant_key, NULL, r.state,
               r.attempts, NULL, r.role, r.account, NULL, r.created_at, r.finished_at
          FROM (SELECT * FROM roleferry.result_0
                UNION ALL SELECT * FROM roleferry.result_1
                UNION ALL SELECT * FROM roleferry.result_2) r
         WHERE r.role = current_user OR has_table_privilege('roleferry.outbox', 'SELECT')
        UNION ALL
        SELECT d.job_id, d.task, d.queue, d.tenant_key, d.priority, d.state,
               d.attempts, NULL, d.role, d.account, d.reason, d.created_at, d.finished_at
          FROM roleferry.dead_letter d
         WHERE d.role = current_user OR has_table_privilege('roleferry.dead_letter', 'SELECT')
    ) AS j;
COMMENT ON VIEW roleferry.jobs IS 'every job and its state: your own, or all for readers and operators';

CREATE VIEW roleferry.messages WITH (security_barrier) AS
    SELECT m.job_id, m.account, m.provider, m.message_id, m.raw_message_id, m.http_status, m.attempts,
           m.role, m.queue, m.tenant_key, m.from_addr, m.to_addr, m.subject, m.created_at, m.sent_at, m.note,
           CASE WHEN l.complained_at IS NOT NULL THEN 'complained'
                WHEN l.bounced_at IS NOT NULL THEN 'bounced'
                WHEN coalesce(l.delivered_at, l.opened_at, l.clicked_at, l.unsubscribed_at) IS NOT NULL THEN 'delivered'
                WHEN l.rejected_at IS NOT NULL THEN 'rejected'
                WHEN l.deferred_at IS NOT NULL THEN 'deferred'
                WHEN l.accepted_at IS NOT NULL THEN 'accepted'
                ELSE 'sent' END AS state,
           l.delivered_at, l.bounced_at, l.hard, l.reason, l.opened_at, coalesce(l.opens, 0) AS opens,
           l.clicked_at, coalesce(l.clicks, 0) AS clicks, l.complained_at, l.unsubscribed_at,
           coalesce(l.deferrals, 0) AS deferrals, l.last_event_at, l.taken_off
      FROM roleferry.message m
      LEFT JOIN roleferry.message_life l ON l.job_id = m.job_id
     WHERE m.role = current_user OR has_table_privilege('roleferry.message', 'SELECT');
COMMENT ON VIEW roleferry.messages IS
'mails that a provider took, and what it has reported of them since: state, and when it was delivered, bounced, opened, clicked';

CREATE VIEW roleferry.dead_letters WITH (security_barrier) AS
    SELECT d.job_id, d.state, d.reason, d.outcome, d.account, d.http_status, d.attempts, d.failures,
           d.task, d.role, d.queue, d.tenant_key, d.order_key, d.idempotency_key, d.delivery, d.accounts,
           d.args, d.excerpt, d.error, d.note, d.created_at, d.finished_at
      FROM roleferry.dead_letter d
     WHERE d.state <> 'captured'
       AND (d.role = current_user OR has_table_privilege('roleferry.dead_letter', 'SELECT'));
COMMENT ON VIEW roleferry.dead_letters IS
'jobs that ended failed, unknown, suppressed, cancelled, expired or quarantined, with their arguments; those that were captured are in roleferry.captured()';

CREATE VIEW roleferry.accounts AS
    SELECT s.srvname::text AS account, roleferry.account_provider(s.srvname::text) AS provider,
           CASE WHEN p.kind IS NULL THEN g.state ELSE 'paused' END AS state,
           coalesce(p.reason, g.reason) AS reason, coalesce(p.until, g.until) AS until
      FROM pg_catalog.pg_foreign_server s
      JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'roleferry'
      LEFT JOIN roleferry.account_gates() g ON g.account = s.srvname::text
      LEFT JOIN LATERAL (SELECT p.kind, p.reason, p.until FROM roleferry.pause p
                          WHERE p.until > now()
                            AND (p.kind = 'all'
                                 OR (p.kind = 'account'
                                     AND (p.server = s.oid
                                          OR (p.name = s.srvname::text
                                              AND NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_server o WHERE o.oid = p.server)))))
                          ORDER BY p.until DESC LIMIT 1) p ON true;
COMMENT ON VIEW roleferry.accounts IS 'accounts and whether mail can go out by each of them now';

-- Only job_report() calls it, as the owner of both, and says who asks.
CREATE FUNCTION roleferry.job_lines(job_id bigint, asker text)
RETURNS TABLE (at timestamptz, event text, account text, http_status integer, outcome text, detail text)
LANGUAGE sql STABLE STRICT PARALLEL UNSAFE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    WITH done AS (
        SELECT * FROM roleferry.result_0 WHERE result_0.job_id = job_lines.job_id
        UNION ALL SELECT * FROM roleferry.result_1 WHERE result_1.job_id = job_lines.job_id
        UNION ALL SELECT * FROM roleferry.result_2 WHERE result_2.job_id = job_lines.job_id
    ), job AS (
        SELECT o.id, o.role, o.created_at, o.queue, o.accounts, o.task, o.priority, o.delivery
          FROM roleferry.outbox o WHERE o.id = job_lines.job_id
        UNION ALL
        SELECT m.job_id, m.role, m.created_at, m.queue, NULL, 'send_email', NULL, NULL
          FROM roleferry.message m WHERE m.job_id = job_lines.job_id
        UNION ALL
        SELECT r.job_id, r.role, r.created_at, r.queue, NULL, r.task, NULL, NULL
          FROM done r
        UNION ALL
        SELECT d.job_id, d.role, d.created_at, d.queue, d.accounts, d.task, d.priority, d.delivery
          FROM roleferry.dead_letter d WHERE d.job_id = job_lines.job_id
    ), visible AS (
        SELECT job.* FROM job
         WHERE job.role = job_lines.asker
            OR has_table_privilege(job_lines.asker::name, 'roleferry.outbox', 'SELECT')
    ), fence AS MATERIALIZED (
        SELECT 'this database is not active: ' || f.reason || '; see activate()' AS reason,
               f.state <> 'deactivated' AS elsewhere
          FROM roleferry.activation_state() f WHERE f.reason IS NOT NULL
    ), line AS (
        SELECT v.created_at AS at, 1 AS step, 'enqueued' AS event, NULL::text AS account, NULL::integer AS http_status,
               NULL::text AS outcome,
               concat_ws(', ', v.task, 'queue ' || v.queue, 'priority ' || v.priority, v.delivery,
                         'accounts ' || array_to_string(v.accounts, ' then '), 'by ' || v.role) AS detail
          FROM visible v
        UNION ALL
        SELECT a.started_at, 2, 'attempt ' || a.attempt, a.account, a.http_status, a.outcome,
               concat_ws('; ', a.reason, 'then: ' || replace(a.verdict, '_', ' '))
          FROM roleferry.attempts a JOIN visible v ON v.id = a.job_id
        UNION ALL
        SELECT CASE WHEN o.worker IS NULL THEN o.run_at ELSE o.claimed_at END, 3,
               CASE WHEN o.worker IS NOT NULL THEN 'running'
                    WHEN o.run_at = 'infinity' THEN 'held'
                    ELSE 'waiting' END,
               NULL, NULL, NULL,
               CASE WHEN o.worker IS NOT NULL AND fence.elsewhere
                         THEN 'attempt ' || o.attempts || ' was under way elsewhere; ' || fence.reason
                    WHEN o.worker = -1 THEN 'waits for what is asked'
                    WHEN o.worker IS NOT NULL THEN 'attempt ' || o.attempts || ' is under way'
                    WHEN o.run_at = 'infinity' THEN 'held by activate(): activate(waiting => ''send'') lets it go'
                    WHEN fence.reason IS NOT NULL THEN fence.reason
                    WHEN o.run_at > now() THEN 'not before ' || o.run_at
                    ELSE coalesce((SELECT string_agg(concat_ws(' ', g.account, 'is', g.state, '(' || g.reason || ')'), '; ' ORDER BY g.account)
                                     FROM roleferry.account_gates() g
                                    WHERE g.account = ANY (o.accounts) AND g.state <> 'ready'), 'due')
               END
          FROM roleferry.outbox o JOIN visible v ON v.id = o.id LEFT JOIN fence ON true
        UNION ALL
        SELECT b.created_at, 2, 'batch ' || b.id, b.account, NULL, NULL,
               concat_ws('; ', 'asked for by batch ' || b.id || ' at account ' || b.account || ': ' || b.step || ', '
                               || b.items_done || ' of ' || b.items_total, b.reason)
          FROM roleferry.batch b JOIN visible v ON v.id = ANY (b.jobs)
        UNION ALL
        SELECT m.sent_at, 4, 'sent', m.account, m.http_status, 'ok',
               coalesce(m.note, concat_ws(' ', 'taken at attempt', m.attempts, 'as', coalesce(m.raw_message_id, 'a message without id')))
          FROM roleferry.message m JOIN visible v ON v.id = m.job_id
        UNION ALL
        SELECT r.finished_at, 4, r.state, r.account, NULL, NULL,
               'at attempt ' || r.attempts
          FROM done r JOIN visible v ON v.id = r.job_id
        UNION ALL
        SELECT d.finished_at, 4, d.state, d.account, d.http_status, d.outcome, concat_ws('; ', d.reason, d.note)
          FROM roleferry.dead_letter d JOIN visible v ON v.id = d.job_id
    )
    SELECT line.at, line.event, line.account, line.http_status, line.outcome, line.detail
      FROM line ORDER BY line.step <> 1, line.step = 4, line.at, line.step
$$;
COMMENT ON FUNCTION roleferry.job_lines(bigint, text) IS
'what job_report() tells a role; used by it only';

CREATE FUNCTION roleferry.job_report(job_id bigint)
RETURNS TABLE (at timestamptz, event text, account text, http_status integer, outcome text, detail text)
LANGUAGE C STABLE STRICT PARALLEL UNSAFE ROWS 5
AS 'MODULE_PATHNAME', 'roleferry_job_report';
COMMENT ON FUNCTION roleferry.job_report(bigint) IS
'the life of one job: when it was enqueued, each attempt that did not simply succeed, where it stands and why';

--
-- Who may do what
--

CREATE FUNCTION roleferry.grant_access(grantee regrole, access text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    command text;
BEGIN
    IF grantee IS NULL OR access IS NULL OR access NOT IN ('sender', 'reader', 'operator', 'webhook') THEN
        RAISE EXCEPTION 'unrecognized value for "access": "%"', access
            USING ERRCODE = '22023', HINT = 'Valid values are: sender, reader, operator, webhook.';
    END IF;
    FOR command IN SELECT m.command FROM roleferry.access_matrix() m WHERE m.access = grant_access.access LOOP
        EXECUTE format('GRANT %s TO %s', command, grantee);
    END LOOP;
END
$$;
COMMENT ON FUNCTION roleferry.grant_access(regrole, text) IS
'grants a role what a sender, reader, operator or webhook front needs; accounts are granted apart: GRANT USAGE ON FOREIGN SERVER';

CREATE FUNCTION roleferry.revoke_access(grantee regrole)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    command text;
BEGIN
    FOR command IN SELECT DISTINCT m.command FROM roleferry.access_matrix() m LOOP
        EXECUTE format('REVOKE %s FROM %s', command, grantee);
    END LOOP;
END
$$;
COMMENT ON FUNCTION roleferry.revoke_access(regrole) IS
'takes back everything that grant_access() granted to a role, whatever its kind; accounts are taken back apart: REVOKE USAGE ON FOREIGN SERVER';

-- Who may do what, as one table: what grant_access() grants.
CREATE FUNCTION roleferry.access_matrix(OUT access text, OUT command text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE ROWS 40
BEGIN ATOMIC
    SELECT m.access, m.command FROM (VALUES
    -- jobs
    ('sender',   'USAGE ON SCHEMA roleferry'),
    ('reader',   'USAGE ON SCHEMA roleferry'),
    ('operator', 'USAGE ON SCHEMA roleferry'),
    ('webhook',  'USAGE ON SCHEMA roleferry'),
    ('sender',   'INSERT (task, args, queue, priority, run_at, expires_at, max_attempts, idempotency_key, order_key, tenant_key, delivery, on_done) ON roleferry.outbox'),
    ('sender',   'SELECT (id) ON roleferry.outbox'),
    ('sender',   'SELECT ON roleferry.jobs, roleferry.messages, roleferry.dead_letters'),
    ('sender',   'EXECUTE ON FUNCTION roleferry.job_report'),
    ('reader',   'SELECT ON roleferry.outbox, roleferry.message, roleferry.dead_letter'),
    ('reader',   'SELECT ON roleferry.jobs, roleferry.messages, roleferry.dead_letters, roleferry.accounts, roleferry.attempts'),
    ('reader',   'EXECUTE ON FUNCTION roleferry.job_report'),
    ('operator', 'SELECT ON roleferry.outbox, roleferry.message, roleferry.dead_letter, roleferry.activation'),
    ('operator', 'SELECT ON roleferry.jobs, roleferry.messages, roleferry.dead_letters, roleferry.accounts, roleferry.attempts'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.job_report'),
    -- results
    ('sender',   'EXECUTE ON FUNCTION roleferry.result, roleferry.wait_for, roleferry.run_due'),
    ('reader',   'EXECUTE ON FUNCTION roleferry.result, roleferry.wait_for'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.result, roleferry.wait_for, roleferry.run_due'),
    -- tasks
    ('sender',   'EXECUTE ON FUNCTION roleferry.enqueue'),
    ('sender',   'EXECUTE ON FUNCTION roleferry.cancel, roleferry.retry'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.cancel, roleferry.retry, roleferry.redrive'),
    ('reader',   'SELECT ON roleferry.job_action'),
    ('operator', 'SELECT ON roleferry.job_action'),
    ('reader',   'SELECT ON roleferry.task'),
    ('operator', 'SELECT ON roleferry.task'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.register_task, roleferry.unregister_task'),
    -- e-mail
    ('sender',   'EXECUTE ON FUNCTION roleferry.enqueue_email'),
    ('sender',   'EXECUTE ON FUNCTION roleferry.send_email'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.settle'),
    -- what became of mails
    ('sender',   'SELECT ON roleferry.unknown_sends'),
    ('reader',   'SELECT ON roleferry.message_life, roleferry.unknown_sends'),
    ('operator', 'SELECT ON roleferry.message_life, roleferry.unknown_sends'),
    -- suppression
    ('reader',   'SELECT ON roleferry.suppressions'),
    ('operator', 'SELECT ON roleferry.suppressions'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.suppress, roleferry.unsuppress, roleferry.forget'),
    -- people
    ('sender',   'EXECUTE ON FUNCTION roleferry.apollo_search, roleferry.enqueue_apollo_search'),
    -- verification
    ('sender',   'EXECUTE ON FUNCTION roleferry.verify_emails'),
    ('sender',   'EXECUTE ON FUNCTION roleferry.enqueue_verify_emails'),
    ('reader',   'SELECT ON roleferry.batch, roleferry.email_verdict_cache'),
    ('operator', 'SELECT ON roleferry.batch'),
    ('operator', 'SELECT, DELETE ON roleferry.email_verdict_cache'),
    -- retries
    ('reader',   'SELECT ON roleferry.retry_policy'),
    ('operator', 'SELECT, INSERT, UPDATE, DELETE ON roleferry.retry_policy'),
    -- rate limits
    ('reader',   'SELECT ON roleferry.rate_limit, roleferry.rate_rule, roleferry.rate_limits'),
    ('reader',   'EXECUTE ON FUNCTION roleferry.rate_windows, roleferry.default_limits'),
    ('operator', 'SELECT, DELETE ON roleferry.rate_limit'),
    ('operator', 'INSERT (account, endpoint, key, counts, max_requests, per, pace) ON roleferry.rate_limit'),
    ('operator', 'UPDATE (account, endpoint, key, max_requests, per, pace) ON roleferry.rate_limit'),
    ('operator', 'SELECT ON roleferry.rate_rule, roleferry.rate_limits'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.rate_windows, roleferry.default_limits'),
    -- credits
    ('reader',   'SELECT ON roleferry.credit_use, roleferry.account_stop, roleferry.credits'),
    ('operator', 'SELECT ON roleferry.credit_use, roleferry.account_stop, roleferry.credits'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.resume_account'),
    -- circuits
    ('reader',   'SELECT ON roleferry.circuits, roleferry.circuit_event'),
    ('reader',   'EXECUTE ON FUNCTION roleferry.circuit_states'),
    ('operator', 'SELECT ON roleferry.circuits, roleferry.circuit_event'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.circuit_states, roleferry.force_circuit'),
    -- statistics
    ('reader',   'SELECT ON roleferry.stat_accounts, roleferry.stat_queues, roleferry.stat_workers, roleferry.stat_activity, roleferry.top'),
    ('reader',   'EXECUTE ON FUNCTION roleferry.account_statistics, roleferry.queue_statistics, roleferry.worker_statistics, roleferry.job_statistics, roleferry.requests_under_way, roleferry.metrics, roleferry.healthy, roleferry.report, roleferry.report_bars, roleferry.report_table, roleferry.html_text'),
    ('operator', 'SELECT ON roleferry.stat_accounts, roleferry.stat_queues, roleferry.stat_workers, roleferry.stat_activity, roleferry.top'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.account_statistics, roleferry.queue_statistics, roleferry.worker_statistics, roleferry.job_statistics, roleferry.requests_under_way, roleferry.metrics, roleferry.healthy, roleferry.report, roleferry.report_bars, roleferry.report_table, roleferry.html_text, roleferry.stat_reset'),
    -- asking
    ('reader',   'SELECT ON roleferry.blocked'),
    ('reader',   'EXECUTE ON FUNCTION roleferry.doctor, roleferry.library_version'),
    ('operator', 'SELECT ON roleferry.blocked'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.doctor, roleferry.library_version'),
    -- modes
    ('sender',   'EXECUTE ON FUNCTION roleferry.explain_email, roleferry.explain'),
    ('sender',   'EXECUTE ON FUNCTION roleferry.captured, roleferry.server_mode'),
    ('reader',   'EXECUTE ON FUNCTION roleferry.captured, roleferry.server_mode'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.captured, roleferry.server_mode'),
    -- queues and routes
    ('reader',   'SELECT ON roleferry.queue, roleferry.route, roleferry.pause, roleferry.queues'),
    ('operator', 'SELECT, DELETE ON roleferry.queue, roleferry.route'),
    ('operator', 'SELECT ON roleferry.pause, roleferry.queues'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.pause_queue, roleferry.drain_queue, roleferry.resume_queue, roleferry.pause_account, roleferry.end_account_pause, roleferry.pause_all, roleferry.resume_all'),
    ('operator', 'INSERT (name, max_priority, concurrency, max_depth, on_full) ON roleferry.queue'),
    ('operator', 'UPDATE (name, max_priority, concurrency, max_depth, on_full) ON roleferry.queue'),
    ('operator', 'INSERT (rank, pattern, queue) ON roleferry.route'),
    ('operator', 'UPDATE (rank, pattern, queue) ON roleferry.route'),
    -- webhooks
    ('sender',   'EXECUTE ON FUNCTION roleferry.advance'),
    ('webhook',  'EXECUTE ON FUNCTION roleferry.unsubscribe'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.unsubscribe'),
    ('webhook',  'EXECUTE ON FUNCTION roleferry.webhook_receive, roleferry.webhook_receive_json'),
    ('reader',   'SELECT ON roleferry.webhook_events'),
    ('operator', 'SELECT ON roleferry.webhook_event, roleferry.webhook_events, roleferry.webhook_rejections'),
    ('operator', 'SELECT, INSERT, UPDATE, DELETE ON roleferry.webhook_source'),
    ('operator', 'SELECT, DELETE ON roleferry.webhook_handler'),
    ('operator', 'INSERT (source, event, function, mode, role, max_attempts, retry_base, retry_cap) ON roleferry.webhook_handler'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.verify_signature, roleferry.webhook_replay, roleferry.webhook_retry, roleferry.webhook_rejected'),
    -- operations
    ('reader',   'EXECUTE ON FUNCTION roleferry.account_gates, roleferry.account_provider, roleferry.activation_state'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.account_gates, roleferry.account_provider, roleferry.activation_state'),
    ('operator', 'EXECUTE ON FUNCTION roleferry.activate, roleferry.deactivate, roleferry.wake')
    ) AS m (access, command);
END;
COMMENT ON FUNCTION roleferry.access_matrix() IS
'what each kind of access is granted, one GRANT a row';

--
-- Asking: what holds jobs up, and what is wrong with the set-up
--

CREATE VIEW roleferry.blocked AS
    WITH fence AS MATERIALIZED (
        SELECT f.reason FROM roleferry.activation_state() f WHERE f.reason IS NOT NULL
    ), gate AS MATERIALIZED (
        SELECT a.account, a.state, a.reason, a.until FROM roleferry.accounts a WHERE a.state <> 'ready'
    ), busy AS MATERIALIZED (
        SELECT s.queue, s.running, q.concurrency
          FROM roleferry.queue_statistics() s JOIN roleferry.queue q ON q.name = s.queue
         WHERE s.running >= q.concurrency
    )
    SELECT w.job_id, w.task, w.queue, w.tenant_key, w.role, w.why, w.until, w.detail
      FROM (SELECT o.id AS job_id, o.task, o.queue, o.tenant_key, o.role, why.*
              FROM roleferry.outbox o
             CROSS JOIN LATERAL (
                   SELECT 'not active' AS why, NULL::timestamptz AS until, f.reason AS detail, 1 AS step FROM fence f
                   UNION ALL
                   SELECT 'mode', NULL, 'roleferry.mode is "off" on this server', 1
                    WHERE roleferry.server_mode() = 'off' AND o.accounts IS NOT NULL AND cardinality(o.accounts) > 0
                   UNION ALL
                   SELECT 'held', NULL, 'by activate(): activate(waiting => ''send'') lets it go', 2
                    WHERE o.run_at = 'infinity'
                   UNION ALL
                   SELECT CASE WHEN o.attempts > 0 THEN 'retry' ELSE 'schedule' END, o.run_at,
                          CASE WHEN o.attempts > 0 THEN 'after attempt ' || o.attempts || ': see job_report()' END, 3
                    WHERE o.run_at > now() AND o.run_at <> 'infinity'
                   UNION ALL
                   SELECT 'order key', CASE WHEN h.worker IS NULL AND h.run_at > now() THEN nullif(h.run_at, 'infinity') END,
                          coalesce('job ' || h.id || CASE WHEN h.worker IS NOT NULL THEN ' is under way'
                                                          WHEN h.run_at = 'infinity' THEN ' goes first and is held'
                                                          WHEN h.attempts > 0 THEN ' goes first and is tried again'
                                                          ELSE ' goes first' END,
                                   'another job of the key is under way'), 4
                     FROM (SELECT) AS one
                     LEFT JOIN LATERAL (SELECT f.id, f.worker, f.run_at, f.attempts FROM roleferry.outbox f
                                         WHERE f.role = o.role AND f.order_key = o.order_key AND f.id < o.id
                                         ORDER BY f.role, f.order_key, f.id LIMIT 1) h ON true
                    WHERE o.order_key IS NOT NULL AND (h.id IS NOT NULL OR (o.lane < 0 AND EXISTS (
                          SELECT FROM roleferry.outbox r
                           WHERE r.role = o.role AND r.order_key = o.order_key AND r.worker IS NOT NULL)))
                   UNION ALL
                   SELECT 'pause', p.until, concat_ws(' ', p.kind, nullif(p.name, '')) || ': ' || p.reason, 5
                     FROM roleferry.pause p
                    WHERE p.until > now() AND (p.kind = 'all' OR (p.kind = 'queue' AND p.name = o.queue))
                   UNION ALL
                   SELECT 'concurrency', NULL, b.running || ' jobs of the queue are under way', 6
                     FROM busy b
                    WHERE b.queue = o.queue
                   UNION ALL
                   SELECT CASE min(g.state) WHEN max(g.state) THEN
                               CASE min(g.state) WHEN 'limited' THEN 'limit' WHEN 'open' THEN 'circuit' WHEN 'probing' THEN 'circuit'
                                    WHEN 'paused' THEN 'pause' ELSE 'account' END
                          ELSE 'account' END,
                          min(g.until), string_agg(concat_ws(' ', g.account, 'is', g.state, '(' || g.reason || ')'), '; ' ORDER BY g.account), 7
                     FROM gate g
                    WHERE g.account = ANY (o.accounts)
                   HAVING count(*) > 0 AND count(*) = cardinality(o.accounts)
                   ORDER BY step LIMIT 1) AS why
             WHERE o.worker IS NULL) w;
COMMENT ON VIEW roleferry.blocked IS
'waiting jobs that cannot start now, and the first reason why: not active, mode, held, schedule, retry, order key, pause, concurrency, limit, circuit or account; a waiting job that is not here is due. One row for each: ask for a job_id, a queue, or with a LIMIT';

CREATE FUNCTION roleferry.library_version()
RETURNS text
LANGUAGE C VOLATILE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'roleferry_library_version';
COMMENT ON FUNCTION roleferry.library_version() IS
'the version of the library that the server has loaded; that of the extension is in pg_extension';

CREATE FUNCTION roleferry.doctor(OUT severity text, OUT finding text, OUT what_to_do text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    line record;
    counted bigint;
BEGIN
    -- The steps of a set-up, in order.
    IF current_setting('shared_preload_libraries') !~ '(^|[,/ "])roleferry([", ]|\.so|$)' THEN
        RETURN QUERY SELECT 'error', 'the library is not preloaded',
            'Add roleferry to shared_preload_libraries in postgresql.conf and restart the server.';
        RETURN;
    END IF;
    SELECT x.extversion AS installed, roleferry.library_version() AS loaded INTO line
      FROM pg_catalog.pg_extension x WHERE x.extname = 'roleferry';
    IF line.installed <> line.loaded THEN
        RETURN QUERY SELECT 'error', format('the extension is of version %s, the server''s library of version %s', line.installed, line.loaded),
            'Restart the server if its library is the older one, else ALTER EXTENSION roleferry UPDATE.';
    END IF;
    IF coalesce(current_setting('roleferry.secrets_directory', true), '') = '' THEN
        RETURN QUERY SELECT 'error', 'there is no directory for the providers'' keys',
            'Set roleferry.secrets_directory to a directory of the server''s user, mode 0700, outside the data directory, and restart the server.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_server s
                     JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'roleferry') THEN
        RETURN QUERY SELECT 'error', 'there is no account',
            'CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider ''sendgrid'', secret ''sendgrid'');';
    END IF;
    IF NOT EXISTS (SELECT FROM regexp_split_to_table(coalesce(current_setting('roleferry.databases', true), ''), '\s*,\s*') d
                    WHERE btrim(d, ' "') = current_database()) THEN
        RETURN QUERY SELECT 'error', format('database "%s" is not served', current_database()),
            format('ALTER SYSTEM SET roleferry.databases = %L; SELECT pg_reload_conf(); (with those that are served already)', current_database());
    ELSIF NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
                       WHERE a.backend_type = 'roleferry dispatcher' AND a.datname = current_database()) THEN
        RETURN QUERY SELECT 'error', 'no dispatcher is running',
            coalesce((SELECT 'The launcher says: ' || a.query FROM pg_catalog.pg_stat_activity a
                       WHERE a.backend_type = 'roleferry launcher' AND a.query <> '' LIMIT 1), 'See the server''s log.');
    END IF;
    RETURN QUERY SELECT 'error', format('the dispatcher has made no turn since %s', w.heartbeat), 'Its line in pg_stat_activity says what it waits for.'
      FROM roleferry.stat_workers w
     WHERE w.kind = 'dispatcher' AND w.database = current_database() AND w.heartbeat < clock_timestamp() - interval '1 minute';
    IF roleferry.server_mode() <> 'live' THEN
        RETURN QUERY SELECT 'warning', format('roleferry.mode is "%s" on this server: %s', roleferry.server_mode(),
                   CASE roleferry.server_mode() WHEN 'sandbox' THEN 'providers are asked to send nothing, and lookups fail'
                        WHEN 'capture' THEN 'nothing is sent; see captured()' ELSE 'nothing is sent, and jobs wait' END),
            'If mail is to go out: ALTER SYSTEM RESET roleferry.mode; SELECT pg_reload_conf();';
    END IF;
    IF coalesce(current_setting('roleferry.redirect_all_to', true), '') <> '' THEN
        RETURN QUERY SELECT 'warning', 'every mail goes to roleferry.redirect_all_to instead of its recipients',
            'If mail is to reach them: ALTER SYSTEM RESET roleferry.redirect_all_to; SELECT pg_reload_conf();';
    END IF;
    SELECT f.state, f.reason INTO line FROM roleferry.activation_state() f;
    IF line.state <> 'active' THEN
        RETURN QUERY SELECT CASE line.state WHEN 'standby' THEN 'info' ELSE 'error' END,
            'this database is not active: ' || line.reason,
            CASE line.state WHEN 'standby' THEN 'Nothing: its primary sends.' ELSE 'SELECT roleferry.activate();' END;
    END IF;
    RETURN QUERY SELECT 'error', 'the dispatcher waits: ' || a.query, 'What its line in pg_stat_activity says.'
      FROM pg_catalog.pg_stat_activity a
     WHERE a.backend_type = 'roleferry dispatcher' AND a.datname = current_database()
       AND a.state = 'idle' AND a.query <> '' AND a.query !~ '^(waiting for jobs|[0-9]+ (requests|SQL tasks) under way|not active)';

    -- Accounts, and what people have stopped.
    RETURN QUERY SELECT CASE WHEN a.state IN ('limited', 'probing') THEN 'info' WHEN a.state = 'unusable' THEN 'error' ELSE 'warning' END,
            format('account "%s" is %s: %s', a.account, a.state, coalesce(a.reason, 'no reason is known')),
            CASE a.state WHEN 'limited' THEN 'Nothing, or raise its limit in roleferry.rate_limit.'
                 WHEN 'open' THEN 'See roleferry.circuits; it is tried again by itself.'
                 WHEN 'probing' THEN 'Nothing: one request tries whether it is well again.'
                 WHEN 'stopped' THEN format('When it has credit again: SELECT roleferry.resume_account(%L);', a.account)
                 WHEN 'paused' THEN 'Mend what the reason says; a person''s pause ends by resume_account() or resume_all().'
                 ELSE 'Mend what the reason says: its key is a file in roleferry.secrets_directory, mode 0600.' END
       FROM roleferry.accounts a WHERE a.state <> 'ready' ORDER BY a.account;
    RETURN QUERY SELECT 'warning', format('queue "%s" is paused: %s', p.name, p.reason), format('SELECT roleferry.resume_queue(%L);', p.name)
       FROM roleferry.pause p WHERE p.kind = 'queue' AND p.until > now() ORDER BY p.name;

    -- The server around it.
    SELECT d.datname, 2147483647 - greatest(age(d.datfrozenxid), mxid_age(d.datminmxid)) AS remaining INTO line
      FROM pg_catalog.pg_database d ORDER BY 2 LIMIT 1;
    IF line.remaining < 40000000 THEN
        RETURN QUERY SELECT CASE WHEN line.remaining <= 3000000 THEN 'error' ELSE 'warning' END,
            CASE WHEN line.remaining <= 3000000 THEN 'no transaction ids are left' ELSE 'transaction ids run out' END
            || format(', because of old rows in database "%s"%s', line.datname,
                      CASE WHEN line.remaining <= 3000000 THEN ': nothing can be written, so nothing is claimed or sent' ELSE '' END),
            'End old transactions, drop replication slots that nobody uses, and VACUUM (FREEZE, TRUNCATE off) in that database; '
            'see why autovacuum did not.';
    END IF;
    SELECT max(n.at) AS newest INTO line
      FROM ((SELECT o.created_at FROM roleferry.outbox o ORDER BY o.id DESC LIMIT 1)
            UNION ALL (SELECT m.sent_at FROM roleferry.message m ORDER BY m.job_id DESC LIMIT 1)
            UNION ALL (SELECT d.finished_at FROM roleferry.dead_letter d ORDER BY d.finished_at DESC LIMIT 1)
            UNION ALL (SELECT a.activated_at FROM roleferry.activation a)) AS n (at);
    IF line.newest > clock_timestamp() + interval '10 s' THEN
        RETURN QUERY SELECT 'warning', format('the newest rows are of %s, and the clock says %s: it is slow, or was fast before',
                                              line.newest, date_trunc('second', clock_timestamp())),
            'Compare the server''s clock with another (timedatectl, chronyc tracking). If it is right now, nothing: jobs that were due are due; '
            'what was put off until a time, or is kept for one, waits as long as the clock was fast.';
    END IF;
    RETURN QUERY SELECT 'warning', format('process %s (%s) has held a snapshot since %s: dead rows of the outbox stay', a.pid,
                                          concat_ws(', ', a.usename, nullif(a.application_name, '')), a.xact_start),
            format('End its transaction, or SELECT pg_terminate_backend(%s);', a.pid)
       FROM pg_catalog.pg_stat_activity a
      WHERE coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL AND a.xact_start < now() - interval '5 minutes'
        AND (a.datname = current_database() OR a.datname IS NULL) AND a.pid <> pg_backend_pid()
        AND a.backend_type <> 'autovacuum worker';
    RETURN QUERY SELECT 'warning', format('prepared transaction "%s" has been open since %s: dead rows of the outbox stay', x.gid, x.prepared),
            format('COMMIT PREPARED or ROLLBACK PREPARED %L;', x.gid)
       FROM pg_catalog.pg_prepared_xacts x WHERE x.database = current_database() AND x.prepared < now() - interval '5 minutes';
    RETURN QUERY SELECT 'warning', format('replication slot "%s" holds a snapshot%s: dead rows of the outbox stay', r.slot_name,
                                          CASE WHEN r.active THEN '' ELSE ', and nobody uses it' END),
            CASE WHEN r.active THEN 'See what its standby does: it has hot_standby_feedback, and a long query.'
                 ELSE format('SELECT pg_drop_replication_slot(%L); if nobody will come back for it.', r.slot_name) END
       FROM pg_catalog.pg_replication_slots r
      WHERE r.xmin IS NOT NULL AND (NOT r.active OR age(r.xmin) > 1000000);
    SELECT s.n_dead_tup INTO counted FROM pg_catalog.pg_stat_all_tables s WHERE s.relid = 'roleferry.outbox'::regclass;
    IF counted > 100000 THEN
        RETURN QUERY SELECT 'warning', format('the outbox has about %s dead rows', counted),
            'See who holds a snapshot, and whether autovacuum is on; VACUUM roleferry.outbox.';
    END IF;
    SELECT count(*) INTO counted
      FROM (SELECT FROM roleferry.dead_letter d WHERE d.state = 'unknown' LIMIT 1000) u;
    IF counted > 0 THEN
        RETURN QUERY SELECT 'warning', format('of %s%s sends nobody knows what became', counted, CASE WHEN counted = 1000 THEN ' or more' ELSE '' END),
            'Look at roleferry.dead_letters where state is unknown, and end the doubt: SELECT roleferry.settle(job_id, ''sent'' or ''not_sent'');';
    END IF;
END
$$;
COMMENT ON FUNCTION roleferry.doctor() IS
'what is wrong with this installation and what to do about it, missing steps of the set-up first and in order; no row: nothing was found';

--
-- At a glance
--

CREATE VIEW roleferry.top AS
    SELECT t.what, t.name, t.state, t.waiting, t.running, t.oldest, t.per_second, t.ended, t.bad, t.p50_ms, t.p99_ms, t.note
      FROM (SELECT 1 AS part, 'queue' AS what, s.queue AS name, coalesce(q.state, 'ready') AS state,
                   s.ready AS waiting, s.running, date_trunc('second', s.oldest_age) AS oldest,
                   round(s.processed_per_second::numeric, 1) AS per_second, s.processed AS ended, s.dead_letters AS bad,
                   NULL::numeric AS p50_ms, NULL::numeric AS p99_ms,
                   concat_ws('; ', q.reason, CASE WHEN s.scheduled > 0 THEN s.scheduled || ' later' END,
                             CASE WHEN s.estimated THEN 'estimated' END) AS note
              FROM roleferry.stat_queues s
              LEFT JOIN roleferry.queues q ON q.name = s.queue
            UNION ALL
            SELECT 2, 'account', g.account, g.state, NULL, NULL, NULL, NULL, a.calls, a.calls - a.ok - a.miss - a.pending,
                   round(a.p50_ms::numeric, 1), round(a.p99_ms::numeric, 1), coalesce(g.reason, '')
              FROM roleferry.accounts g
              LEFT JOIN roleferry.stat_accounts a ON a.account = g.account
            UNION ALL
            SELECT 3, w.kind, coalesce(w.role, w.database, ''), w.state, NULL, w.in_flight, NULL, NULL, NULL, NULL, NULL, NULL,
                   concat_ws('; ', 'pid ' || w.pid, pg_catalog.pg_size_pretty(w.private_bytes),
                             'beat ' || date_trunc('second', greatest(clock_timestamp() - w.heartbeat, interval '0')) || ' ago')
              FROM roleferry.stat_workers w) t
     ORDER BY t.part, t.what, t.name;
COMMENT ON VIEW roleferry.top IS
'queues, accounts and workers at a glance, for \watch: see script/top; bad: dead letters of a queue, failed requests of an account';
GRANT SELECT ON roleferry.top TO pg_monitor;
GRANT EXECUTE ON FUNCTION roleferry.account_gates() TO pg_monitor;

--
-- Queues and workers: what they hold and do, from shared memory
--

CREATE FUNCTION roleferry.queue_statistics(
    OUT queue text, OUT ready bigint, OUT scheduled bigint, OUT estimated boolean, OUT oldest timestamptz, OUT counted_at timestamptz,
    OUT running integer, OUT sent bigint, OUT done bigint, OUT failed bigint, OUT unknown bigint, OUT retried bigint, OUT other bigint,
    OUT ended_per_second double precision, OUT failed_per_second double precision)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'roleferry_queue_statistics';
COMMENT ON FUNCTION roleferry.queue_statistics() IS
'what each queue holds and what became of its jobs since stat_reset(): see the view stat_queues';

CREATE VIEW roleferry.stat_queues AS
    SELECT s.queue, s.ready, s.running, s.scheduled, s.estimated,
           coalesce(s.counted_at - s.oldest, CASE WHEN s.counted_at IS NOT NULL THEN interval '0' END) AS oldest_age,
           s.sent + s.done + s.failed + s.unknown + s.other AS processed,
           s.failed, s.unknown, s.failed + s.unknown + s.other AS dead_letters, s.retried,
           s.ended_per_second AS processed_per_second, s.failed_per_second, s.counted_at
      FROM roleferry.queue_statistics() s;
COMMENT ON VIEW roleferry.stat_queues IS
'what waits in each queue, as the dispatcher saw it within the last second or so, and what became of its jobs since stat_reset(); no table is read';
COMMENT ON COLUMN roleferry.stat_queues.ready IS 'jobs that could go now, whether their accounts are open or not';
COMMENT ON COLUMN roleferry.stat_queues.running IS 'jobs under way; those of a paid batch wait at its provider and are in roleferry.batch';
COMMENT ON COLUMN roleferry.stat_queues.scheduled IS 'jobs whose run_at has not come: scheduled, waiting for another attempt, or held';
COMMENT ON COLUMN roleferry.stat_queues.estimated IS 'more than some thousand wait: the rest is as the outbox''s table statistics say';
COMMENT ON COLUMN roleferry.stat_queues.oldest_age IS 'how long the first that is ready has been so';
COMMENT ON COLUMN roleferry.stat_queues.dead_letters IS 'failed, unknown, and those that expired, were suppressed or quarantined';
COMMENT ON COLUMN roleferry.stat_queues.processed_per_second IS 'over the last minute; attempts that are made again are not among them';
COMMENT ON COLUMN roleferry.stat_queues.counted_at IS 'when ready, scheduled and oldest_age were so; empty: no dispatcher has looked yet';

CREATE FUNCTION roleferry.worker_statistics(
    OUT kind text, OUT pid integer, OUT database oid, OUT role oid, OUT state text, OUT since timestamptz, OUT in_flight integer,
    OUT turns bigint, OUT heartbeat timestamptz, OUT private_bytes bigint)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'roleferry_worker_statistics';
COMMENT ON FUNCTION roleferry.worker_statistics() IS
'the processes of roleferry in this server: see the view stat_workers';

CREATE VIEW roleferry.stat_workers AS
    SELECT w.kind, w.pid, d.datname::text AS database, pg_catalog.pg_get_userbyid(w.role)::text AS role, w.state, w.since,
           w.in_flight, w.turns, w.heartbeat, w.private_bytes
      FROM roleferry.worker_statistics() w
      LEFT JOIN pg_catalog.pg_database d ON d.oid = w.database;
COMMENT ON VIEW roleferry.stat_workers IS
'the processes of roleferry in this server: the launcher, dispatchers and executors of all databases';
COMMENT ON COLUMN roleferry.stat_workers.state IS 'starting, idle, busy, leaving, or not active: its database may not send';
COMMENT ON COLUMN roleferry.stat_workers.role IS 'of an executor: whose SQL tasks it runs';
COMMENT ON COLUMN roleferry.stat_workers.in_flight IS 'requests under way, or jobs an executor was given and has not ended';
COMMENT ON COLUMN roleferry.stat_workers.turns IS 'how often it has looked for work';
COMMENT ON COLUMN roleferry.stat_workers.heartbeat IS
'its last turn: an idle dispatcher or executor makes one a second, the launcher one a minute, an executor none while it runs a task';
COMMENT ON COLUMN roleferry.stat_workers.private_bytes IS 'memory that it shares with nobody (RssAnon), where the kernel tells';

GRANT SELECT ON roleferry.stat_queues, roleferry.stat_workers TO pg_monitor;
GRANT EXECUTE ON FUNCTION roleferry.queue_statistics(), roleferry.worker_statistics() TO pg_monitor;

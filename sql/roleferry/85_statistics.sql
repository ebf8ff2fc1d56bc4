--
-- Statistics: counters of shared memory.  They survive a clean restart.
--

CREATE FUNCTION roleferry.account_statistics(
    OUT account text, OUT provider text, OUT calls bigint,
    OUT ok bigint, OUT miss bigint, OUT pending bigint, OUT throttled bigint, OUT transient bigint,
    OUT ambiguous bigint, OUT quota bigint, OUT credential bigint, OUT config bigint, OUT permanent bigint,
    OUT malformed bigint, OUT sent_bytes bigint, OUT received_bytes bigint, OUT reused_connections bigint,
    OUT mean_ms double precision, OUT p50_ms double precision, OUT p95_ms double precision, OUT p99_ms double precision,
    OUT failed_at timestamptz, OUT failed_class text, OUT failed_reason text, OUT since timestamptz)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'roleferry_account_statistics';
COMMENT ON FUNCTION roleferry.account_statistics() IS
'what each account was asked for since stat_reset(): see the view stat_accounts';

CREATE VIEW roleferry.stat_accounts AS SELECT * FROM roleferry.account_statistics();
COMMENT ON VIEW roleferry.stat_accounts IS
'requests of each account since stat_reset(), by outcome, how long they took, and the last failure';
COMMENT ON COLUMN roleferry.stat_accounts.calls IS 'requests that ended: the sum of the eleven outcomes that follow';
COMMENT ON COLUMN roleferry.stat_accounts.sent_bytes IS 'bodies of requests that may have left';
COMMENT ON COLUMN roleferry.stat_accounts.received_bytes IS 'bodies of answers, as far as they were kept';
COMMENT ON COLUMN roleferry.stat_accounts.reused_connections IS 'requests that went out on a connection that was open already';
COMMENT ON COLUMN roleferry.stat_accounts.p50_ms IS 'from the request''s start to the end of its answer; off by less than a quarter, like p95_ms and p99_ms';
COMMENT ON COLUMN roleferry.stat_accounts.failed_at IS 'of the last request that did not succeed';
COMMENT ON COLUMN roleferry.stat_accounts.since IS 'when these numbers began';

CREATE FUNCTION roleferry.job_statistics(
    OUT sent bigint, OUT done bigint, OUT failed bigint, OUT unknown bigint, OUT retried bigint, OUT other bigint)
RETURNS record
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_job_statistics';
COMMENT ON FUNCTION roleferry.job_statistics() IS
'what became of jobs since stat_reset(); retried: they wait again; other: expired, suppressed or cancelled';

CREATE FUNCTION roleferry.stat_reset(account text DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_stat_reset';
COMMENT ON FUNCTION roleferry.stat_reset(text) IS
'begins the statistics of an account anew, or those of the whole database';

CREATE FUNCTION roleferry.metrics()
RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_metrics';
COMMENT ON FUNCTION roleferry.metrics() IS
'the counters in Prometheus'' text format';

CREATE FUNCTION roleferry.healthy(OUT healthy boolean, OUT reason text)
RETURNS record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'roleferry_healthy';
COMMENT ON FUNCTION roleferry.healthy() IS
'for readiness checks: is there a dispatcher for this database, and may it send? If not, why?';

-- Whoever may watch the server may watch this.
GRANT USAGE ON SCHEMA roleferry TO pg_monitor;
GRANT SELECT ON roleferry.stat_accounts TO pg_monitor;
GRANT EXECUTE ON FUNCTION roleferry.account_statistics(), roleferry.job_statistics(), roleferry.metrics(), roleferry.healthy()
    TO pg_monitor;

CREATE FUNCTION roleferry.requests_under_way(
    OUT job_id bigint, OUT task text, OUT account text, OUT attempt integer, OUT phase text, OUT age interval,
    OUT reused_connection boolean, OUT awaited boolean)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 64
AS 'MODULE_PATHNAME', 'roleferry_requests_under_way';
COMMENT ON FUNCTION roleferry.requests_under_way() IS
'what the dispatcher has under way at this moment: it is asked, nothing is kept';

CREATE VIEW roleferry.stat_activity AS SELECT * FROM roleferry.requests_under_way();
COMMENT ON VIEW roleferry.stat_activity IS
'requests under way at this moment, in which phase and for how long; a question has no job; awaited: a session waits for it';
GRANT SELECT ON roleferry.stat_activity TO pg_monitor;
GRANT EXECUTE ON FUNCTION roleferry.requests_under_way() TO pg_monitor;

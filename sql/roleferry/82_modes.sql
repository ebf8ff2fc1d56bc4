--
-- Modes: what is not sent
--

CREATE FUNCTION roleferry.server_mode()
RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_server_mode';
COMMENT ON FUNCTION roleferry.server_mode() IS
'roleferry.mode of the whole server, which no session gets below: live, sandbox, capture or off';

CREATE FUNCTION roleferry.captured(
    OUT job_id bigint, OUT enqueued_at timestamptz, OUT task text, OUT args jsonb, OUT account text,
    OUT request jsonb, OUT problem text)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 10
AS 'MODULE_PATHNAME', 'roleferry_captured';
COMMENT ON FUNCTION roleferry.captured() IS
'what roleferry.mode capture keeps from being sent, also what this transaction has just enqueued: your own jobs, or all for readers and operators; request: what would leave, the key masked, or NULL and the problem';

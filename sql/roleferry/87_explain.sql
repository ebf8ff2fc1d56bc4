--
-- What would become of a job
--

CREATE FUNCTION roleferry.explain_email(
    from_addr        text,
    to_addr          text,
    subject          text,
    body_html        text        DEFAULT NULL,
    reply_to         text        DEFAULT NULL,
    custom_args      jsonb       DEFAULT NULL,
    body_text        text        DEFAULT NULL,
    cc               text[]      DEFAULT NULL,
    bcc              text[]      DEFAULT NULL,
    headers          jsonb       DEFAULT NULL,
    tags             text[]      DEFAULT NULL,
    accounts         text[]      DEFAULT NULL,
    idempotency_key  text        DEFAULT NULL,
    delivery         text        DEFAULT NULL,
    provider_options jsonb       DEFAULT NULL,
    run_at           timestamptz DEFAULT NULL,
    priority         integer     DEFAULT NULL,
    queue            text        DEFAULT NULL,
    expires_at       timestamptz DEFAULT NULL,
    max_attempts     integer     DEFAULT NULL,
    order_key        text        DEFAULT NULL,
    tenant_key       text        DEFAULT NULL,
    on_invalid       text        DEFAULT 'error',
    stream           text        DEFAULT NULL,
    on_conflict      text        DEFAULT NULL,
    unsubscribe      boolean     DEFAULT NULL,
    on_done          text        DEFAULT NULL,
    OUT item         text,
    OUT name         text,
    OUT verdict      text,
    OUT reason       text,
    OUT until        timestamptz,
    OUT request      jsonb)
RETURNS SETOF record
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000 ROWS 8
AS 'MODULE_PATHNAME', 'roleferry_explain_email';
COMMENT ON FUNCTION roleferry.explain_email(text, text, text, text, text, jsonb, text, text[], text[], jsonb, text[], text[], text, text, jsonb, timestamptz, integer, text, timestamptz, integer, text, text, text, text, text, boolean, text) IS
'what would become of this mail now, without doing it: queue, mode, suppression, each account and why it is taken or passed over, and in the last row the result with the request that would leave, the key masked';

CREATE FUNCTION roleferry.explain(
    task text, args jsonb,
    OUT item text, OUT name text, OUT verdict text, OUT reason text, OUT until timestamptz, OUT request jsonb)
RETURNS SETOF record
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000 ROWS 8
AS 'MODULE_PATHNAME', 'roleferry_explain';
COMMENT ON FUNCTION roleferry.explain(text, jsonb) IS
'the same for a job of any task: of a SQL task its function, role and policy';

--
-- Enqueueing
--

CREATE FUNCTION roleferry.outbox_check()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'roleferry_outbox_check';
COMMENT ON FUNCTION roleferry.outbox_check() IS
'checks a new job, fills in what follows from it, and wakes the dispatcher when the transaction commits';

CREATE TRIGGER outbox_check BEFORE INSERT ON roleferry.outbox
    FOR EACH ROW EXECUTE FUNCTION roleferry.outbox_check();

CREATE FUNCTION roleferry.enqueue_email(
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
    on_done          text        DEFAULT NULL)
RETURNS bigint
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100
AS 'MODULE_PATHNAME', 'roleferry_enqueue_email';
COMMENT ON FUNCTION roleferry.enqueue_email(text, text, text, text, text, jsonb, text, text[], text[], jsonb, text[], text[], text, text, jsonb, timestamptz, integer, text, timestamptz, integer, text, text, text, text, text, boolean, text) IS
'puts one e-mail into the outbox and returns the job''s id; it leaves when the transaction commits (an idempotency_key already used returns the first job''s id, and is an error with another payload; on_conflict => ''keep'' returns that id all the same, ''replace'' changes a job that still waits; on_invalid => ''reject'' makes a bad mail a dead letter instead of an error)';

--
-- Sending while the caller waits
--

CREATE TYPE roleferry.email_receipt AS (
    status      text,
    message_id  text,
    provider    text,
    job_id      bigint,
    reason      text,
    http_status integer
);
COMMENT ON TYPE roleferry.email_receipt IS
'what became of a mail: sent, queued (it waits in the outbox), running (no answer yet), or how it ended otherwise; never an error';

CREATE FUNCTION roleferry.send_email(
    from_addr        text,
    to_addr          text,
    subject          text,
    body_html        text     DEFAULT NULL,
    reply_to         text     DEFAULT NULL,
    custom_args      jsonb    DEFAULT NULL,
    body_text        text     DEFAULT NULL,
    cc               text[]   DEFAULT NULL,
    bcc              text[]   DEFAULT NULL,
    headers          jsonb    DEFAULT NULL,
    tags             text[]   DEFAULT NULL,
    accounts         text[]   DEFAULT NULL,
    idempotency_key  text     DEFAULT NULL,
    delivery         text     DEFAULT NULL,
    provider_options jsonb    DEFAULT NULL,
    timeout          interval DEFAULT NULL,
    stream           text     DEFAULT NULL,
    unsubscribe      boolean  DEFAULT NULL)
RETURNS SETOF roleferry.email_receipt
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100000 ROWS 1
AS 'MODULE_PATHNAME', 'roleferry_send_email';
COMMENT ON FUNCTION roleferry.send_email(text, text, text, text, text, jsonb, text, text[], text[], jsonb, text[], text[], text, text, jsonb, interval, text, boolean) IS
'sends one e-mail and waits (timeout, by default 60 s) for what becomes of it; where a rollback could follow it only puts it into the outbox, as enqueue_email() does, and its status is ''queued''';

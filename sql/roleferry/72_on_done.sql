--
-- What follows a provider's job: on_done
--

CREATE FUNCTION roleferry.on_done_tell(
    on_done         text,
    role            text,
    tenant_key      text,
    job_id          bigint,
    task            text,
    status          text,
    provider        text,
    message_id      text,
    reason          text,
    http_status     integer,
    idempotency_key text)
RETURNS text
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_on_done_tell';
COMMENT ON FUNCTION roleferry.on_done_tell(text, text, text, bigint, text, text, text, text, text, integer, text) IS
'enqueues the task on_done with this receipt, for a job that was settled late; returns the reason; used by the extension itself';

CREATE FUNCTION roleferry.dead_letter_on_done()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'roleferry_dead_letter_on_done';
COMMENT ON FUNCTION roleferry.dead_letter_on_done() IS
'enqueues the task on_done of a job that ended as a dead letter, once for each state that it comes into';

-- A restored row was told of where it was dumped.
CREATE TRIGGER on_done BEFORE INSERT OR UPDATE OF state ON roleferry.dead_letter
    FOR EACH ROW WHEN (NEW.on_done IS NOT NULL AND NEW.on_done_state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION roleferry.dead_letter_on_done();

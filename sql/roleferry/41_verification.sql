--
-- Verification: verdicts on e-mail addresses, and the paid jobs behind them
--

CREATE TYPE roleferry.email_verdict AS (
    email       text,
    status      text,
    raw         text,
    flags       text[],
    suggestion  text,
    checked_at  timestamptz,
    source      text
);
COMMENT ON TYPE roleferry.email_verdict IS
'a verdict on an e-mail address: status is valid, invalid, risky, unknown or pending; raw, flags and suggestion are the provider''s words; source is the provider''s name, cache, or syntax (what is no address is not asked about)';

CREATE TABLE roleferry.email_verdict_cache (
    email       text COLLATE "C" PRIMARY KEY,
    checked_at  timestamptz NOT NULL,
    status      text NOT NULL CONSTRAINT email_verdict_cache_status_check
                CHECK (status IN ('valid', 'invalid', 'risky', 'unknown')),
    provider    text NOT NULL,
    raw         text,
    suggestion  text,
    flags       text[]
);
CREATE INDEX email_verdict_cache_checked_at_idx ON roleferry.email_verdict_cache (checked_at);
COMMENT ON TABLE roleferry.email_verdict_cache IS
'verdicts that were paid for, by address in lower case; how long each kind answers is a setting, unknown ones answer only the job that asked';

-- One paid job at a provider, for many jobs of ours.  A job that is in the hands
-- of a batch has worker -1 in the outbox.
CREATE TABLE roleferry.batch (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at     timestamptz,
    page            integer NOT NULL DEFAULT 1,
    items_total     bigint NOT NULL,
    items_done      bigint NOT NULL DEFAULT 0,
    single          boolean NOT NULL DEFAULT false,
    step            text NOT NULL CONSTRAINT batch_step_check
                    CHECK (step IN ('send', 'find', 'poll', 'fetch', 'done', 'refused', 'failed', 'unknown')),
    task            text NOT NULL,
    account         text NOT NULL,
    installation    text NOT NULL,
    provider_job_id text,
    reason          text,
    jobs            bigint[] NOT NULL,
    items           text[] NOT NULL
);
CREATE INDEX batch_created_at_idx ON roleferry.batch (account, created_at);
CREATE INDEX batch_under_way_idx ON roleferry.batch (id) WHERE finished_at IS NULL;
COMMENT ON TABLE roleferry.batch IS
'one paid request at a provider for what many jobs asked; its name there is installation.id, by which it is found again when the answer was lost';
COMMENT ON COLUMN roleferry.batch.step IS
'send: may be out; find: it is looked for; poll, fetch: the provider has it; done, refused (never taken), failed, unknown: over';
COMMENT ON COLUMN roleferry.batch.single IS 'one address, answered at once: it cannot be looked for';
COMMENT ON COLUMN roleferry.batch.jobs IS 'jobs that wait for it';
COMMENT ON COLUMN roleferry.batch.items IS 'what it asks for; empty when it is over';

CREATE FUNCTION roleferry.verify_emails(
    emails  text[],
    account text     DEFAULT NULL,
    timeout interval DEFAULT NULL,
    max_age interval DEFAULT NULL)
RETURNS SETOF roleferry.email_verdict
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100000 ROWS 25
AS 'MODULE_PATHNAME', 'roleferry_verify_emails';
COMMENT ON FUNCTION roleferry.verify_emails(text[], text, interval, interval) IS
'verdicts on e-mail addresses, one row for each element in its order, from the cache (of at most max_age) or from a provider; what takes longer than timeout (by default 60 s) is pending: it goes on, and the next call has it';

CREATE FUNCTION roleferry.enqueue_verify_emails(
    emails          text[],
    account         text        DEFAULT NULL,
    max_age         interval    DEFAULT NULL,
    idempotency_key text        DEFAULT NULL,
    run_at          timestamptz DEFAULT NULL,
    priority        integer     DEFAULT NULL,
    queue           text        DEFAULT NULL,
    expires_at      timestamptz DEFAULT NULL,
    max_attempts    integer     DEFAULT NULL,
    tenant_key      text        DEFAULT NULL,
    on_conflict     text        DEFAULT NULL,
    on_done         text        DEFAULT NULL)
RETURNS bigint
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100
AS 'MODULE_PATHNAME', 'roleferry_enqueue_verify_emails';
COMMENT ON FUNCTION roleferry.enqueue_verify_emails(text[], text, interval, text, timestamptz, integer, text, timestamptz, integer, text, text, text) IS
'puts the verification of e-mail addresses into the outbox and returns the job''s id; its verdicts are in the cache when it is done';

SELECT pg_catalog.pg_extension_config_dump('roleferry.email_verdict_cache', '');

--
-- Credits
--

-- What calls have cost.  Written with the job's outcome.
CREATE TABLE roleferry.credit_use (
    at              timestamptz NOT NULL,
    server          oid NOT NULL,
    account         text NOT NULL,
    endpoint        text NOT NULL,
    job_id          bigint,
    credits         bigint NOT NULL
);
CREATE INDEX credit_use_server_at_idx ON roleferry.credit_use (server, at);
COMMENT ON TABLE roleferry.credit_use IS
'each call that cost something, for as long as roleferry.message_retention says';
COMMENT ON COLUMN roleferry.credit_use.credits IS
'what the provider said it cost, else what it was taken to cost: the account option cost_per_call, or what was asked for';
COMMENT ON COLUMN roleferry.credit_use.endpoint IS 'what was asked for: a task, or a step of it';
COMMENT ON COLUMN roleferry.credit_use.job_id IS 'the job that paid; empty: a call without one';

-- Accounts that nothing goes out by.
CREATE TABLE roleferry.account_stop (
    account         text NOT NULL,
    server          oid NOT NULL,
    kind            text NOT NULL CONSTRAINT account_stop_kind_check CHECK (kind IN ('quota')),
    reason          text NOT NULL,
    until           timestamptz NOT NULL,
    stopped_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (server, kind)
);
COMMENT ON TABLE roleferry.account_stop IS
'accounts that are stopped because the provider said that no credit is left; resume_account() lets them go';
COMMENT ON COLUMN roleferry.account_stop.server IS
'the account''s foreign server: one that is dropped and made anew is another account, and gets a fresh chance';
COMMENT ON COLUMN roleferry.account_stop.until IS 'when it ends by itself, as the provider said; infinity: never';

SELECT pg_catalog.pg_extension_config_dump('roleferry.credit_use', '');
SELECT pg_catalog.pg_extension_config_dump('roleferry.account_stop', '');

CREATE TRIGGER account_row_server BEFORE INSERT ON roleferry.account_stop
    FOR EACH ROW EXECUTE FUNCTION roleferry.account_row_server('account');

CREATE TRIGGER rules_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON roleferry.account_stop
    FOR EACH STATEMENT EXECUTE FUNCTION roleferry.rules_changed();

CREATE FUNCTION roleferry.resume_account(account text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    server_oid oid;
    ended bigint;
BEGIN
    SELECT s.oid INTO server_oid
      FROM pg_catalog.pg_foreign_server s
      JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'roleferry'
     WHERE s.srvname = resume_account.account;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account "%" does not exist', resume_account.account
            USING ERRCODE = '42704', HINT = 'The view roleferry.accounts lists them.';
    END IF;
    DELETE FROM roleferry.account_stop s WHERE s.server = server_oid;
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN roleferry.end_account_pause(resume_account.account) OR ended > 0;
END
$$;
COMMENT ON FUNCTION roleferry.resume_account(text) IS
'lets mail and calls go out again by an account that was stopped or paused; false: it was not';

CREATE VIEW roleferry.credits AS
    SELECT f.srvname::text AS account,
           coalesce(u.calls, 0) AS calls, coalesce(u.spent, 0) AS spent, u.last_at,
           l.max_requests AS budget, l.per, l.used, l.remaining, l.next_at,
           s.stopped_at, s.reason, s.until AS resumes_at
      FROM pg_catalog.pg_foreign_server f
      JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = f.srvfdw AND w.fdwname = 'roleferry'
      LEFT JOIN LATERAL (SELECT count(*) AS calls, sum(c.credits)::bigint AS spent, max(c.at) AS last_at
                           FROM roleferry.credit_use c WHERE c.server = f.oid OR (c.account = f.srvname
                            AND NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_server o WHERE o.oid = c.server))) u ON true
      LEFT JOIN roleferry.rate_limits l ON l.account = f.srvname AND l.counts = 'credits'
      LEFT JOIN roleferry.account_stop s ON s.until > now() AND s.server = f.oid;
COMMENT ON VIEW roleferry.credits IS
'what each account has spent (calls, spent: as far as credit_use goes back), each of its budgets and how far it is used, and whether it is stopped, why and until when';

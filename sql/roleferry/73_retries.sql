--
-- Retries of jobs that ask a provider
--

CREATE TABLE roleferry.retry_policy (
    task            text COLLATE "C" NOT NULL DEFAULT '*'
                    CONSTRAINT retry_policy_task_check CHECK (task IN ('*', 'send_email', 'apollo_search', 'verify_emails', 'enrich_people')),
    outcome         text COLLATE "C" NOT NULL
                    CONSTRAINT retry_policy_outcome_check CHECK (outcome IN ('transient', 'ambiguous', 'config', 'malformed')),
    max_attempts    integer CONSTRAINT retry_policy_max_attempts_check CHECK (max_attempts BETWEEN 1 AND 1000),
    base            interval CONSTRAINT retry_policy_base_check CHECK (base BETWEEN '0' AND '1 year'),
    cap             interval CONSTRAINT retry_policy_cap_check CHECK (cap BETWEEN '0' AND '1 year'),
    PRIMARY KEY (task, outcome)
);
COMMENT ON TABLE roleferry.retry_policy IS
'how jobs of a task are tried again after failures of a class, where that is not as built in; for SQL tasks see register_task()';
COMMENT ON COLUMN roleferry.retry_policy.task IS '*: of every task that has no row of its own';
COMMENT ON COLUMN roleferry.retry_policy.outcome IS 'class of the last attempt''s outcome';
COMMENT ON COLUMN roleferry.retry_policy.max_attempts IS
'failures after which such a one ends the job; empty: roleferry.max_attempts; a job''s own max_attempts goes first';
COMMENT ON COLUMN roleferry.retry_policy.base IS 'the first wait is anything up to this, each further one up to twice as long; empty: as built in';
COMMENT ON COLUMN roleferry.retry_policy.cap IS 'no wait is longer; empty: as built in';

SELECT pg_catalog.pg_extension_config_dump('roleferry.retry_policy', '');

CREATE TRIGGER rules_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON roleferry.retry_policy
    FOR EACH STATEMENT EXECUTE FUNCTION roleferry.rules_changed();

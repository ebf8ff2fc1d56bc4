--
-- People
--

CREATE TYPE roleferry.person AS (
    name                text,
    first_name          text,
    last_name           text,
    title               text,
    email               text,
    email_status        text,
    linkedin            text,
    organization_name   text,
    organization_domain text,
    person_id           text,
    source              text,
    confidence          double precision,
    age                 interval
);
COMMENT ON TYPE roleferry.person IS
'a person as a provider knows him or her: person_id is the provider''s, source its name, or cache when it could not be asked; confidence 0.9 with an e-mail address and 0.5 without; age: of what was remembered, empty when it was just asked for';

-- What searches found: a page for each question, account and page number.
CREATE TABLE roleferry.search_cache (
    digest          bytea NOT NULL,
    account         text COLLATE "C" NOT NULL,
    page            integer NOT NULL,
    rows            integer NOT NULL,
    more            boolean NOT NULL,
    fetched_at      timestamptz NOT NULL,
    domain          text NOT NULL,
    people          jsonb NOT NULL,
    PRIMARY KEY (digest, account, page)
);
CREATE INDEX search_cache_fetched_at ON roleferry.search_cache (fetched_at);
COMMENT ON TABLE roleferry.search_cache IS
'what searches found, page by page: fresh for roleferry.search_fresh, kept for roleferry.search_stale for when no provider can be asked';
COMMENT ON COLUMN roleferry.search_cache.digest IS 'hash of the question: domain, titles, seniorities, locations';
COMMENT ON COLUMN roleferry.search_cache.rows IS 'people that were asked for on this page';
COMMENT ON COLUMN roleferry.search_cache.more IS 'whether the next page may have people';

SELECT pg_catalog.pg_extension_config_dump('roleferry.search_cache', '');

-- People who were paid for.
CREATE TABLE roleferry.person_cache (
    provider        text COLLATE "C" NOT NULL,
    person_id       text COLLATE "C" NOT NULL,
    email           text,
    fetched_at      timestamptz NOT NULL,
    person          jsonb NOT NULL,
    PRIMARY KEY (provider, person_id)
);
CREATE INDEX person_cache_email ON roleferry.person_cache (email);
CREATE INDEX person_cache_fetched_at ON roleferry.person_cache (fetched_at);
COMMENT ON TABLE roleferry.person_cache IS
'people who were paid for, by the provider''s id: for roleferry.person_fresh nobody is paid for again; one without an e-mail address is known not to be had';
COMMENT ON COLUMN roleferry.person_cache.email IS 'in lower case';
COMMENT ON COLUMN roleferry.person_cache.person IS 'a list of one, as in search_cache.people';

SELECT pg_catalog.pg_extension_config_dump('roleferry.person_cache', '');

CREATE FUNCTION roleferry.apollo_search(
    domain      text,
    titles      text[]   DEFAULT NULL,
    seniorities text[]   DEFAULT NULL,
    locations   text[]   DEFAULT NULL,
    max_results integer  DEFAULT NULL,
    enrich      boolean  DEFAULT NULL,
    max_credits integer  DEFAULT NULL,
    account     text     DEFAULT NULL,
    timeout     interval DEFAULT NULL,
    wait        boolean  DEFAULT NULL)
RETURNS SETOF roleferry.person
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100000 ROWS 25
AS 'MODULE_PATHNAME', 'roleferry_apollo_search';
COMMENT ON FUNCTION roleferry.apollo_search(text, text[], text[], text[], integer, boolean, integer, text, interval, boolean) IS
'people of a firm, as the account or the first of several finds them (max_results, by default 25, in at most timeout, by default 10 s; wait: also for an account that has to wait); a search is free and shows no e-mail addresses at Apollo: unless enrich is false they are paid for, a credit each, at most max_credits, by default max_results, and nobody twice';

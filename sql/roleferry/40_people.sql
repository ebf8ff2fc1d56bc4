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
    confidence          double precision
);
COMMENT ON TYPE roleferry.person IS
'a person as a provider knows him or her: person_id is the provider''s, source its name, confidence 0.9 with an e-mail address and 0.5 without';

CREATE FUNCTION roleferry.apollo_search(
    domain      text,
    titles      text[]   DEFAULT NULL,
    seniorities text[]   DEFAULT NULL,
    locations   text[]   DEFAULT NULL,
    max_results integer  DEFAULT NULL,
    account     text     DEFAULT NULL,
    timeout     interval DEFAULT NULL)
RETURNS SETOF roleferry.person
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100000 ROWS 25
AS 'MODULE_PATHNAME', 'roleferry_apollo_search';
COMMENT ON FUNCTION roleferry.apollo_search(text, text[], text[], text[], integer, text, interval) IS
'people of a firm, as the provider of an account finds them (max_results, by default 25, in at most timeout, by default 10 s); a search is free and shows no e-mail addresses at Apollo';

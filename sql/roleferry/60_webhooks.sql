--
-- Webhooks: verified, taken once, applied
--

CREATE FUNCTION roleferry.verify_signature(
    scheme    text,
    keys      text[],
    headers   jsonb,
    body      bytea,
    tolerance interval    DEFAULT NULL,
    at        timestamptz DEFAULT NULL)
RETURNS boolean
LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'roleferry_verify_signature';
COMMENT ON FUNCTION roleferry.verify_signature(text, text[], jsonb, bytea, interval, timestamptz) IS
'did the holder of one of the keys sign this request, no longer ago than tolerance, by default 5 minutes? scheme is stripe, sendgrid, mailgun, standard or none';

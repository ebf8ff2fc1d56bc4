--
-- Accounts
--

CREATE FUNCTION roleferry.fdw_validator(options text[], catalog oid)
RETURNS void
LANGUAGE C STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'roleferry_fdw_validator';
COMMENT ON FUNCTION roleferry.fdw_validator(text[], oid) IS
'checks the options of the foreign servers that are roleferry''s accounts';

CREATE FOREIGN DATA WRAPPER roleferry NO HANDLER VALIDATOR roleferry.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER roleferry IS
'accounts at providers: one foreign server each, e.g. CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider ''sendgrid'', secret ''sendgrid'')';

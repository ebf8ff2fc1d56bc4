--
-- Leaving a stream by the link in a mail (RFC 8058)
--

CREATE FUNCTION roleferry.unsubscribe(token text)
RETURNS boolean
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_unsubscribe';
COMMENT ON FUNCTION roleferry.unsubscribe(text) IS
'takes the address in a mail''s unsubscribe token off the mail''s stream, again and again if need be: true; false: it is no token of ours, and nothing is done';

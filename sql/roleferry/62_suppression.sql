--
-- Addresses that get no mail
--

-- What addresses are hashed with, so that one that was forgotten is still known.
-- Made when it is first needed; part of a dump, or a restore would send again to
-- whoever was forgotten.
CREATE TABLE roleferry.suppression_key (
    one             boolean PRIMARY KEY DEFAULT true CONSTRAINT suppression_key_one_check CHECK (one),
    key             bytea NOT NULL CONSTRAINT suppression_key_key_check CHECK (octet_length(key) = 32)
);
COMMENT ON TABLE roleferry.suppression_key IS 'the key that addresses of roleferry.suppression are hashed with';

CREATE TABLE roleferry.suppression (
    address_key     bytea NOT NULL,
    scope           text COLLATE "C" NOT NULL,
    reason          text NOT NULL CONSTRAINT suppression_reason_check
                    CHECK (reason IN ('bounced', 'soft_bounces', 'complained', 'unsubscribed', 'manual', 'imported')),
    since           timestamptz NOT NULL DEFAULT now(),
    event_id        bigint,
    address         text,
    note            text,
    PRIMARY KEY (address_key, scope)
);
COMMENT ON TABLE roleferry.suppression IS 'addresses that get no mail, or none of a stream';
COMMENT ON COLUMN roleferry.suppression.address_key IS 'HMAC-SHA-256 of the address in lower case, by roleferry.suppression_key';
COMMENT ON COLUMN roleferry.suppression.scope IS 'global, or the stream that the address gets no mail of';
COMMENT ON COLUMN roleferry.suppression.event_id IS 'the event that said so';
COMMENT ON COLUMN roleferry.suppression.address IS 'in lower case; NULL: it was forgotten';

-- Bounces that may have been a full mailbox.
CREATE TABLE roleferry.soft_bounce (
    address_key     bytea PRIMARY KEY,
    bounces         integer NOT NULL,
    first_at        timestamptz NOT NULL,
    last_at         timestamptz NOT NULL
);
COMMENT ON TABLE roleferry.soft_bounce IS 'soft bounces in a row, by address: roleferry.soft_bounce_limit of them suppress it';

SELECT pg_catalog.pg_extension_config_dump('roleferry.suppression_key', '');
SELECT pg_catalog.pg_extension_config_dump('roleferry.suppression', '');
SELECT pg_catalog.pg_extension_config_dump('roleferry.soft_bounce', '');

CREATE FUNCTION roleferry.address_key(address text)
RETURNS bytea
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_address_key';
COMMENT ON FUNCTION roleferry.address_key(text) IS
'what an address is known by in roleferry.suppression; NULL while nothing was ever suppressed';

CREATE FUNCTION roleferry.make_suppression_key()
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    INSERT INTO roleferry.suppression_key (key)
    SELECT sha256(decode(replace(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))
    ON CONFLICT DO NOTHING;
END;
COMMENT ON FUNCTION roleferry.make_suppression_key() IS
'makes the key of roleferry.suppression where there is none yet';

CREATE FUNCTION roleferry.check_scope(scope text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(scope, '') = '' OR octet_length(scope) > 64 OR scope ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION '"scope" is neither global nor the name of a stream'
            USING ERRCODE = '22023', HINT = 'A stream''s name has 1 to 64 bytes and no control character.';
    END IF;
    RETURN scope;
END
$$;
COMMENT ON FUNCTION roleferry.check_scope(text) IS 'the scope, or an error where it cannot be one';

CREATE FUNCTION roleferry.suppress(address text, reason text DEFAULT 'manual', scope text DEFAULT 'global', note text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added boolean;
BEGIN
    IF suppress.reason IS NULL OR suppress.reason NOT IN ('bounced', 'soft_bounces', 'complained', 'unsubscribed', 'manual', 'imported') THEN
        RAISE EXCEPTION '"reason" is no reason to suppress an address'
            USING ERRCODE = '22023', HINT = 'Valid values are: bounced, soft_bounces, complained, unsubscribed, manual, imported.';
    END IF;
    IF suppress.address IS NULL THEN
        RAISE EXCEPTION '"address" is null' USING ERRCODE = '22023';
    END IF;
    PERFORM roleferry.check_scope(suppress.scope);
    PERFORM roleferry.make_suppression_key();
    INSERT INTO roleferry.suppression AS s (address_key, scope, reason, address, note)
    VALUES (roleferry.address_key(suppress.address), suppress.scope, suppress.reason,
            roleferry.fold_address(suppress.address), suppress.note)
    ON CONFLICT ON CONSTRAINT suppression_pkey DO NOTHING
    RETURNING true INTO added;
    RETURN coalesce(added, false);
END
$$;
COMMENT ON FUNCTION roleferry.suppress(text, text, text, text) IS
'no mail goes to the address any more: none at all (scope global) or none of a stream; false: it was suppressed so before';

CREATE FUNCTION roleferry.fold_address(address text)
RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'roleferry_fold_address';
COMMENT ON FUNCTION roleferry.fold_address(text) IS
'the address in lower case and without a name; an error where it is none';

CREATE FUNCTION roleferry.unsuppress(address text, scope text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed bigint;
BEGIN
    IF unsuppress.address IS NULL THEN
        RAISE EXCEPTION '"address" is null' USING ERRCODE = '22023';
    END IF;
    -- Asked once: it is volatile, and would else be asked of each row.
    DELETE FROM roleferry.suppression s
     WHERE s.address_key = (SELECT roleferry.address_key(unsuppress.address))
       AND (unsuppress.scope IS NULL OR s.scope = unsuppress.scope);
    GET DIAGNOSTICS removed = ROW_COUNT;
    DELETE FROM roleferry.soft_bounce b WHERE b.address_key = (SELECT roleferry.address_key(unsuppress.address));
    RETURN removed;
END
$$;
COMMENT ON FUNCTION roleferry.unsuppress(text, text) IS
'mail may go to the address again: in one scope, or without one in all; returns how many entries were removed';

CREATE FUNCTION roleferry.forget(address text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    folded text := roleferry.fold_address(forget.address);
    anywhere text := '%' || replace(replace(replace(folded, '\', '\\'), '_', '\_'), '%', '\%') || '%';
    -- As a whole: ann@example.net is no part of joann@example.net.
    whole text := '(?<![a-z0-9.!#$%&''*+/=?^_`{|}~-])' || regexp_replace(folded, '([^a-z0-9@])', '\\\1', 'g')
                  || '(?![a-z0-9-]|\.[a-z0-9])';
    kept text;
    changed bigint;
    total bigint;
BEGIN
    IF forget.address IS NULL THEN
        RAISE EXCEPTION '"address" is null' USING ERRCODE = '22023';
    END IF;
    PERFORM roleferry.make_suppression_key();
    INSERT INTO roleferry.suppression (address_key, scope, reason)
    VALUES (roleferry.address_key(folded), 'global', 'manual')
    ON CONFLICT ON CONSTRAINT suppression_pkey DO NOTHING;
    UPDATE roleferry.suppression s SET address = NULL, note = NULL
     WHERE s.address_key = (SELECT roleferry.address_key(folded));
    GET DIAGNOSTICS total = ROW_COUNT;
    DELETE FROM roleferry.soft_bounce b WHERE b.address_key = (SELECT roleferry.address_key(folded));
    UPDATE roleferry.message m SET to_addr = NULL, subject = NULL
     WHERE lower(m.to_addr) LIKE anywhere
       AND roleferry.fold_address(m.to_addr) = folded;
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    UPDATE roleferry.dead_letter d
       SET args = NULL, excerpt = NULL, error = NULL, reason = regexp_replace(d.reason, whole, '***', 'gi')
     WHERE d.state <> 'unknown' AND lower(concat_ws(' ', d.args, d.reason, encode(d.excerpt, 'escape'), d.error)) ~ whole;
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    FOREACH kept IN ARRAY ARRAY['result_0', 'result_1', 'result_2'] LOOP
        EXECUTE format('UPDATE roleferry.%I r SET result = NULL WHERE lower(r.result::text) LIKE $1 AND lower(r.result::text) ~ $2', kept)
          USING anywhere, whole;
        GET DIAGNOSTICS changed = ROW_COUNT;
        total := total + changed;
    END LOOP;
    FOREACH kept IN ARRAY ARRAY['attempt_0', 'attempt_1', 'attempt_2', 'attempt_kept'] LOOP
        EXECUTE format('UPDATE roleferry.%I a SET reason = regexp_replace(a.reason, $1, ''***'', ''gi''), excerpt = NULL, error = NULL'
                       ' WHERE lower(concat_ws('' '', a.reason, encode(a.excerpt, ''escape''), a.error)) ~ $1', kept)
          USING whole;
        GET DIAGNOSTICS changed = ROW_COUNT;
        total := total + changed;
    END LOOP;

    -- What is known of the person, and what providers reported.
    UPDATE roleferry.message_life l
       SET reason = regexp_replace(l.reason, whole, '***', 'gi'), taken_off = array_replace(l.taken_off, folded, '***')
     WHERE lower(l.reason) ~ whole OR folded = ANY (l.taken_off);
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    DELETE FROM roleferry.person_cache p WHERE p.email = folded;
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    DELETE FROM roleferry.search_cache s WHERE lower(s.people::text) LIKE anywhere AND lower(s.people::text) ~ whole;
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    DELETE FROM roleferry.email_verdict_cache v WHERE v.email = folded;
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    UPDATE roleferry.webhook_event e SET raw = NULL
     WHERE e.raw IS NOT NULL AND e.next_at IS NULL
       AND NOT EXISTS (SELECT FROM roleferry.outbox o WHERE o.id = ANY (e.jobs))
       AND lower(encode(e.raw, 'escape')) LIKE anywhere AND lower(encode(e.raw, 'escape')) ~ whole;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN total + changed;
END
$$;
COMMENT ON FUNCTION roleferry.forget(text) IS
'erases an address from messages, dead letters, results, attempts, caches, events and suppressions, and keeps the keyed hash that it is known by: it gets no mail any more; returns how many rows changed';

CREATE VIEW roleferry.suppressions AS
    SELECT s.address, s.scope, s.reason, s.since, s.event_id, s.note, s.address IS NULL AS forgotten
      FROM roleferry.suppression s;
COMMENT ON VIEW roleferry.suppressions IS
'addresses that get no mail, or none of a stream, why and since when; forgotten ones without the address';

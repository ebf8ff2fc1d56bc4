--
-- What becomes of mails after a provider took them
--

-- One row for each mail that something was reported of.  Every column is merged
-- so that the order in which events come makes no difference; what is told of
-- other recipients than to_addr is not here.
CREATE TABLE roleferry.message_life (
    job_id          bigint PRIMARY KEY,
    last_event_at   timestamptz,
    accepted_at     timestamptz,
    deferred_at     timestamptz,
    delivered_at    timestamptz,
    bounced_at      timestamptz,
    rejected_at     timestamptz,
    opened_at       timestamptz,
    clicked_at      timestamptz,
    complained_at   timestamptz,
    unsubscribed_at timestamptz,
    deferrals       integer NOT NULL DEFAULT 0,
    opens           integer NOT NULL DEFAULT 0,
    clicks          integer NOT NULL DEFAULT 0,
    hard            boolean NOT NULL DEFAULT false,
    reason          text,
    taken_off       text[]
) WITH (fillfactor = 70);
COMMENT ON TABLE roleferry.message_life IS 'what providers reported of each mail: see the view messages';
COMMENT ON COLUMN roleferry.message_life.delivered_at IS 'first time it was reported, as all of these';
COMMENT ON COLUMN roleferry.message_life.hard IS 'it bounced and always would';
COMMENT ON COLUMN roleferry.message_life.taken_off IS 'recipients of cc and bcc that were suppressed: the mail went without them';
COMMENT ON COLUMN roleferry.message_life.reason IS 'why it bounced or was rejected, in the provider''s words';

-- Events that lack rf_job (late bounces do) are joined by the message's id.
CREATE INDEX message_message_id_idx ON roleferry.message (message_id);

-- Sends whose outcome nobody knows, by age.
CREATE INDEX dead_letter_unknown_idx ON roleferry.dead_letter (finished_at) WHERE state = 'unknown';

SELECT pg_catalog.pg_extension_config_dump('roleferry.message_life', '');

CREATE VIEW roleferry.unknown_sends WITH (security_barrier) AS
    SELECT d.job_id, now() - d.finished_at AS age, d.account, d.reason, d.http_status, d.attempts, d.delivery,
           d.role, d.queue, d.tenant_key, d.args ->> 'to_addr' AS to_addr, d.args ->> 'subject' AS subject,
           d.created_at, d.finished_at
      FROM roleferry.dead_letter d
     WHERE d.state = 'unknown'
       AND (d.role = current_user OR has_table_privilege('roleferry.dead_letter', 'SELECT'));
COMMENT ON VIEW roleferry.unknown_sends IS
'sends whose outcome nobody knows yet, and for how long: an event of the provider''s settles them, or settle()';

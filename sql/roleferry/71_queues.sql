--
-- Queues and routes
--

-- Rows that come with the extension are in every installation's script: a dump
-- holds those that were changed, and what it brings replaces them.
CREATE TABLE roleferry.queue (
    name            text COLLATE "C" PRIMARY KEY
                    CONSTRAINT queue_name_check CHECK (name <> '' AND octet_length(name) <= 200 AND name !~ '[[:cntrl:]]'),
    max_priority    smallint NOT NULL DEFAULT 10
                    CONSTRAINT queue_max_priority_check CHECK (max_priority BETWEEN 0 AND 10),
    concurrency     integer CONSTRAINT queue_concurrency_check CHECK (concurrency >= 1),
    max_depth       integer CONSTRAINT queue_max_depth_check CHECK (max_depth >= 1),
    on_full         text NOT NULL DEFAULT 'error' CONSTRAINT queue_on_full_check CHECK (on_full IN ('error', 'warning')),
    ready_made      boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE roleferry.queue IS 'queues that jobs may be put into; a change takes effect at once';
COMMENT ON COLUMN roleferry.queue.max_priority IS 'the highest priority there is in it: a higher one counts as this';
COMMENT ON COLUMN roleferry.queue.concurrency IS
'jobs of it that are under way at once, at most; empty: as many as roleferry.max_in_flight';
COMMENT ON COLUMN roleferry.queue.max_depth IS
'jobs of it that may be in the outbox, waiting or under way, when one more is enqueued; empty: as many as there are. Transactions under way do not see each other''s';
COMMENT ON COLUMN roleferry.queue.on_full IS 'what enqueueing does then: error refuses the job, warning takes it all the same';
COMMENT ON COLUMN roleferry.queue.ready_made IS 'true: as it came with the extension';

CREATE TABLE roleferry.route (
    rank            integer NOT NULL DEFAULT 10,
    pattern         text COLLATE "C" PRIMARY KEY
                    CONSTRAINT route_pattern_check CHECK (pattern <> '' AND octet_length(pattern) <= 200),
    queue           text COLLATE "C" CONSTRAINT route_queue_fkey REFERENCES roleferry.queue (name) ON UPDATE CASCADE,
    ready_made      boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE roleferry.route IS
'which queue a job goes to that names none: the first route in order of rank whose pattern matches the task''s name, else the queue default';
COMMENT ON COLUMN roleferry.route.pattern IS '* stands for any characters, dots included';
COMMENT ON COLUMN roleferry.route.queue IS 'empty: the route is switched off';
COMMENT ON COLUMN roleferry.route.ready_made IS 'true: as it came with the extension';

INSERT INTO roleferry.queue (name, ready_made) VALUES
    ('enrichment', true), ('sequences', true), ('analytics', true), ('default', true);
INSERT INTO roleferry.route (rank, pattern, queue, ready_made) VALUES
    (100, 'apollo_search', 'enrichment', true),
    (100, 'verify_emails', 'enrichment', true),
    (100, 'enrichment.*', 'enrichment', true),
    (100, 'app.services.enrichment.*', 'enrichment', true),
    (100, 'send_email', 'sequences', true),
    (100, 'sequencer.*', 'sequences', true),
    (100, 'app.services.sequencer.*', 'sequences', true),
    (100, 'analytics.*', 'analytics', true),
    (100, 'app.services.analytics.*', 'analytics', true);

SELECT pg_catalog.pg_extension_config_dump('roleferry.queue', 'WHERE NOT ready_made');
SELECT pg_catalog.pg_extension_config_dump('roleferry.route', 'WHERE NOT ready_made');

CREATE FUNCTION roleferry.queue_replace()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.ready_made := NEW IS NOT DISTINCT FROM OLD AND OLD.ready_made;
        RETURN NEW;
    END IF;
    NEW.ready_made := false;
    IF TG_TABLE_NAME = 'queue' THEN
        UPDATE roleferry.queue q
           SET max_priority = NEW.max_priority, concurrency = NEW.concurrency, max_depth = NEW.max_depth, on_full = NEW.on_full,
               ready_made = false
         WHERE q.name = NEW.name AND q.ready_made;
    ELSE
        UPDATE roleferry.route r SET rank = NEW.rank, queue = NEW.queue, ready_made = false
         WHERE r.pattern = NEW.pattern AND r.ready_made;
    END IF;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION roleferry.queue_replace() IS
'lets a new route or queue take the place of the ready-made one of its name, as a restored dump needs it';

CREATE TRIGGER queue_replace BEFORE INSERT OR UPDATE ON roleferry.queue
    FOR EACH ROW EXECUTE FUNCTION roleferry.queue_replace();
CREATE TRIGGER queue_replace BEFORE INSERT OR UPDATE ON roleferry.route
    FOR EACH ROW EXECUTE FUNCTION roleferry.queue_replace();

CREATE FUNCTION roleferry.queues_changed()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'roleferry_queues_changed';
COMMENT ON FUNCTION roleferry.queues_changed() IS
'tells sessions and, when the transaction commits, the dispatcher that routes, queues or pauses were changed';

CREATE TRIGGER queues_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON roleferry.queue
    FOR EACH STATEMENT EXECUTE FUNCTION roleferry.queues_changed();
CREATE TRIGGER queues_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON roleferry.route
    FOR EACH STATEMENT EXECUTE FUNCTION roleferry.queues_changed();

--
-- Pauses
--

CREATE TABLE roleferry.pause (
    kind            text NOT NULL CONSTRAINT pause_kind_check CHECK (kind IN ('queue', 'account', 'all')),
    name            text COLLATE "C" NOT NULL,
    server          oid,
    reason          text NOT NULL,
    until           timestamptz NOT NULL,
    set_at          timestamptz NOT NULL DEFAULT now(),
    set_by          text NOT NULL,
    PRIMARY KEY (kind, name)
);
COMMENT ON TABLE roleferry.pause IS 'what pause_queue(), pause_account() and pause_all() hold back';
COMMENT ON COLUMN roleferry.pause.until IS 'when it ends by itself; infinity: never';

SELECT pg_catalog.pg_extension_config_dump('roleferry.pause', '');

CREATE TRIGGER account_row_server BEFORE INSERT ON roleferry.pause
    FOR EACH ROW WHEN (NEW.kind = 'account') EXECUTE FUNCTION roleferry.account_row_server('name');

CREATE TRIGGER queues_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON roleferry.pause
    FOR EACH STATEMENT EXECUTE FUNCTION roleferry.queues_changed();

-- Only the functions below call it.
CREATE FUNCTION roleferry.set_pause(kind text, name text, server oid, reason text, until timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF set_pause.until <= now() THEN
        RAISE EXCEPTION '"until" is not in the future'
            USING ERRCODE = '22023', HINT = 'Leave it out to pause until it is resumed.';
    END IF;
    DELETE FROM roleferry.pause p WHERE p.kind = set_pause.kind AND (p.name = set_pause.name OR p.server = set_pause.server);
    INSERT INTO roleferry.pause (kind, name, server, reason, until, set_by)
    VALUES (set_pause.kind, set_pause.name, set_pause.server, coalesce(set_pause.reason, 'by ' || session_user),
            coalesce(set_pause.until, 'infinity'), session_user);
END
$$;
COMMENT ON FUNCTION roleferry.set_pause(text, text, oid, text, timestamptz) IS
'writes down a pause; used by pause_queue(), pause_account() and pause_all() only';

CREATE FUNCTION roleferry.pause_queue(name text, reason text DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM roleferry.queue q WHERE q.name = pause_queue.name) THEN
        RAISE EXCEPTION 'there is no queue "%"', pause_queue.name
            USING ERRCODE = '22023', HINT = 'Queues are: ' || (SELECT string_agg(q.name, ', ' ORDER BY q.name) FROM roleferry.queue q) || '.';
    END IF;
    PERFORM roleferry.set_pause('queue', pause_queue.name, NULL, pause_queue.reason, pause_queue.until);
END
$$;
COMMENT ON FUNCTION roleferry.pause_queue(text, text, timestamptz) IS
'starts no job of a queue until then, or until resume_queue(); what is under way ends; over restarts, and in effect within a second of the commit';

-- Has the dispatcher, if there is one, read what was committed about pauses?
CREATE FUNCTION roleferry.pauses_known()
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'roleferry_pauses_known';
COMMENT ON FUNCTION roleferry.pauses_known() IS
'has the dispatcher read the pauses that are committed? Used by drain_queue() only';

CREATE FUNCTION roleferry.drain_queue(name text, timeout interval DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    give_up timestamptz := clock_timestamp() + coalesce(drain_queue.timeout, '30 s');
    paused_at timestamptz;
BEGIN
    SELECT min(p.set_at) INTO paused_at FROM roleferry.pause p
     WHERE p.until > now() AND (p.kind = 'all' OR (p.kind = 'queue' AND p.name = drain_queue.name));
    IF paused_at IS NULL THEN
        RAISE EXCEPTION 'queue "%" is not paused', drain_queue.name
            USING ERRCODE = '55000', HINT = format('Call pause_queue(%L) first.', drain_queue.name);
    END IF;
    IF paused_at = now() THEN
        RAISE EXCEPTION 'the pause of queue "%" is not committed yet', drain_queue.name
            USING ERRCODE = '55000', HINT = 'Until then its jobs are started.';
    END IF;
    LOOP
        IF roleferry.pauses_known()
           AND NOT EXISTS (SELECT FROM roleferry.queue_statistics() s WHERE s.queue = drain_queue.name AND s.running > 0)
           AND NOT EXISTS (SELECT FROM roleferry.outbox o WHERE o.queue = drain_queue.name AND o.worker IS NOT NULL) THEN
            RETURN true;
        END IF;
        IF clock_timestamp() >= give_up THEN
            RETURN false;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
END
$$;
COMMENT ON FUNCTION roleferry.drain_queue(text, interval) IS
'waits, at most for timeout (30 s), until no job of a paused queue is under way any more; true: none is';

CREATE FUNCTION roleferry.resume_queue(name text)
RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (DELETE FROM roleferry.pause p WHERE p.kind = 'queue' AND p.name = resume_queue.name RETURNING p.until)
    SELECT EXISTS (SELECT FROM gone WHERE gone.until > now())
$$;
COMMENT ON FUNCTION roleferry.resume_queue(text) IS 'ends the pause of a queue; false: there was none';

CREATE FUNCTION roleferry.pause_account(account text, reason text DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    server_oid oid;
BEGIN
    SELECT s.oid INTO server_oid
      FROM pg_catalog.pg_foreign_server s
      JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'roleferry'
     WHERE s.srvname = pause_account.account;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account "%" does not exist', pause_account.account
            USING ERRCODE = '42704', HINT = 'The view roleferry.accounts lists them.';
    END IF;
    PERFORM roleferry.set_pause('account', pause_account.account, server_oid, pause_account.reason, pause_account.until);
END
$$;
COMMENT ON FUNCTION roleferry.pause_account(text, text, timestamptz) IS
'passes an account over until then, or until resume_account(); others of a job''s accounts may take over';

CREATE FUNCTION roleferry.pause_all(reason text DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT roleferry.set_pause('all', '', NULL, pause_all.reason, pause_all.until)
$$;
COMMENT ON FUNCTION roleferry.pause_all(text, timestamptz) IS
'starts nothing at all until then, or until resume_all(): no job, no call, no search';

CREATE FUNCTION roleferry.resume_all()
RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (DELETE FROM roleferry.pause p WHERE p.kind = 'all' RETURNING p.until)
    SELECT EXISTS (SELECT FROM gone WHERE gone.until > now())
$$;
COMMENT ON FUNCTION roleferry.resume_all() IS
'ends what pause_all() began, and no pause of a single queue or account; false: there was none';

CREATE VIEW roleferry.queues AS
    SELECT q.name, CASE WHEN p.kind IS NULL THEN 'ready' ELSE 'paused' END AS state, p.reason, p.until,
           q.max_priority, q.concurrency, q.max_depth, q.on_full
      FROM roleferry.queue q
      LEFT JOIN LATERAL (SELECT p.kind, p.reason, p.until FROM roleferry.pause p
                          WHERE p.until > now() AND (p.kind = 'all' OR (p.kind = 'queue' AND p.name = q.name))
                          ORDER BY p.until DESC LIMIT 1) p ON true;
COMMENT ON VIEW roleferry.queues IS 'queues, and whether their jobs are started now';

CREATE FUNCTION roleferry.end_account_pause(account text)
RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (DELETE FROM roleferry.pause p
                   WHERE p.kind = 'account'
                     AND (p.name = end_account_pause.account
                          OR p.server = (SELECT s.oid FROM pg_catalog.pg_foreign_server s WHERE s.srvname = end_account_pause.account))
                  RETURNING p.until)
    SELECT EXISTS (SELECT FROM gone WHERE gone.until > now())
$$;
COMMENT ON FUNCTION roleferry.end_account_pause(text) IS
'ends what pause_account() began, and only that, as resume_account() does, too; false: there was nothing';

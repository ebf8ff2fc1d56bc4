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
    max_depth       bigint CONSTRAINT queue_max_depth_check CHECK (max_depth >= 1),
    on_full         text NOT NULL DEFAULT 'error' CONSTRAINT queue_on_full_check CHECK (on_full IN ('error', 'warning')),
    ready_made      boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE roleferry.queue IS 'queues that jobs may be put into; a change takes effect at once';
COMMENT ON COLUMN roleferry.queue.max_priority IS 'the highest priority there is in it: a higher one counts as this';
COMMENT ON COLUMN roleferry.queue.concurrency IS
'jobs of it that are under way at once, at most; empty: as many as roleferry.max_in_flight';
COMMENT ON COLUMN roleferry.queue.max_depth IS
'jobs in it, at most, as far as enqueuing is concerned: see on_full; counted once a second';
COMMENT ON COLUMN roleferry.queue.on_full IS 'what enqueuing one more raises: an error or a warning';
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

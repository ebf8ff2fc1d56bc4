-- the outbox: ways in, what stands there, and what people see of it
CREATE ROLE regress_roleferry_app;
CREATE SERVER regress_sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE SERVER regress_mailgun FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'mailgun');
GRANT USAGE ON FOREIGN SERVER regress_sendgrid, regress_mailgun TO regress_roleferry_app;
SELECT roleferry.grant_access('regress_roleferry_app', 'sender');
SELECT access, command FROM roleferry.access_matrix() WHERE access = 'sender' ORDER BY command COLLATE "C";
INSERT INTO roleferry.queue (name) VALUES ('digest');
ALTER SEQUENCE roleferry.outbox_id_seq RESTART 1;
SET ROLE regress_roleferry_app;

-- by the function
SELECT roleferry.enqueue_email('ann@example.com', 'bob@example.net', 'One', '<p>1</p>');

-- by plain INSERT and by COPY
INSERT INTO roleferry.outbox (task, args, tenant_key, priority) VALUES
	('send_email', '{"from_addr": "ann@example.com", "to_addr": "bob@example.net", "subject": "Two", "body_text": "2"}', 'acme', 10)
	RETURNING id;
COPY roleferry.outbox (task, args, queue) FROM stdin;
send_email	{"from_addr": "ann@example.com", "to_addr": "bob@example.net", "subject": "Three", "body_text": "3", "accounts": ["regress_mailgun"]}	digest
send_email	{"from_addr": "ann@example.com", "to_addr": "bob@example.net", "subject": "Four", "body_text": "4"}	\N
\.

-- by a trigger on a table of one's own
CREATE TEMP TABLE lead (name text, address text);
CREATE FUNCTION pg_temp.welcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM roleferry.enqueue_email('ann@example.com', NEW.address, 'Welcome, ' || NEW.name, 'x', idempotency_key => 'welcome ' || NEW.address, on_conflict => 'keep');
	RETURN NULL;
END
$$;
CREATE TRIGGER welcome AFTER INSERT ON lead FOR EACH ROW EXECUTE FUNCTION pg_temp.welcome();
INSERT INTO lead VALUES ('Bob', 'bob@example.net'), ('Carol', 'carol@example.net'), ('Robert', 'bob@example.net');

-- a rolled-back mail leaves nothing, not even its key
BEGIN;
INSERT INTO lead VALUES ('Dave', 'dave@example.net');
ROLLBACK;
INSERT INTO lead VALUES ('Dave', 'dave@example.net');

-- a known key: the function returns the first job, a plain INSERT is skipped;
-- with another payload both are refused, unless told to keep the first
SELECT roleferry.enqueue_email('ann@example.com', 'bob@example.net', 'Again', 'x', idempotency_key => 'welcome bob@example.net', on_conflict => 'keep');
INSERT INTO roleferry.outbox (task, args, idempotency_key) VALUES
	('send_email', '{"from_addr": "ann@example.com", "to_addr": "bob@example.net", "subject": "Welcome, Bob", "body_html": "x"}', 'welcome bob@example.net')
	RETURNING id;
SELECT roleferry.enqueue_email('ann@example.com', 'bob@example.net', 'Again', 'x', idempotency_key => 'welcome bob@example.net');
INSERT INTO roleferry.outbox (task, args, idempotency_key) VALUES
	('send_email', '{"from_addr": "ann@example.com", "to_addr": "bob@example.net", "subject": "Again", "body_html": "x"}', 'welcome bob@example.net');

-- what its sender sees, and what not
SELECT task, queue, tenant_key, priority, state, attempts, role, account, reason FROM roleferry.jobs ORDER BY id;
SELECT event, account, http_status, outcome, detail FROM roleferry.job_report(2);
SELECT args FROM roleferry.outbox;
DELETE FROM roleferry.outbox;
SELECT roleferry.activate();
SELECT roleferry.settle(1, 'sent');
RESET ROLE;

-- what stands there
SELECT queue, tenant_key, priority, delivery, accounts, args ->> 'subject' AS subject, idempotency_key
	FROM roleferry.outbox ORDER BY id;
SELECT count(DISTINCT lane) AS lanes, min(attempts), max(attempts), count(worker) AS claimed FROM roleferry.outbox;

-- accounts, and why nothing can go out by them
SELECT * FROM roleferry.accounts ORDER BY account;

-- nothing was activated, and whoever does it is asked
\set VERBOSITY terse
UPDATE roleferry.outbox SET created_at = '2030-01-01 00:00 PST';
SET timezone = 'UTC';
SELECT roleferry.activate();
SELECT roleferry.activate('discard');
SELECT state, reason, count(*) FROM roleferry.dead_letters GROUP BY state, reason;
SELECT event, outcome, detail FROM roleferry.job_report(1);
SELECT roleferry.settle(1, 'sent');
SELECT roleferry.deactivate();
SELECT roleferry.grant_access('regress_roleferry_app', 'root');

TRUNCATE roleferry.dead_letter, roleferry.idempotency;
DROP OWNED BY regress_roleferry_app;
DROP SERVER regress_sendgrid, regress_mailgun;
DROP ROLE regress_roleferry_app;

-- What grant_access() lets a sender, a reader and an operator do, object by
-- object, and what it does not; strangers can do nothing.
\unset ECHO
\set QUIET 1
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP true
\pset format unaligned
\pset tuples_only true
\pset pager off

BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS roleferry;

CREATE ROLE regress_roleferry_sender;
CREATE ROLE regress_roleferry_colleague;
CREATE ROLE regress_roleferry_reader;
CREATE ROLE regress_roleferry_operator;
CREATE ROLE regress_roleferry_webhook;
CREATE ROLE regress_roleferry_stranger;
SELECT roleferry.grant_access('regress_roleferry_sender', 'sender');
SELECT roleferry.grant_access('regress_roleferry_colleague', 'sender');
SELECT roleferry.grant_access('regress_roleferry_reader', 'reader');
SELECT roleferry.grant_access('regress_roleferry_operator', 'operator');
SELECT roleferry.grant_access('regress_roleferry_webhook', 'webhook');

CREATE SERVER regress_sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE SERVER regress_other FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
GRANT USAGE ON FOREIGN SERVER regress_sendgrid
	TO regress_roleferry_sender, regress_roleferry_colleague, regress_roleferry_stranger;

-- One job of each sender in each place.
SET LOCAL ROLE regress_roleferry_sender;
SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 'sender''s', 'x') AS own_job \gset
SET LOCAL ROLE regress_roleferry_colleague;
SELECT roleferry.enqueue_email('a@example.com', 'c@example.com', 'colleague''s', 'x') AS other_job \gset
RESET ROLE;
INSERT INTO roleferry.message (job_id, created_at, sent_at, attempts, account, provider, role)
	VALUES (1001, now(), now(), 1, 'regress_sendgrid', 'sendgrid', 'regress_roleferry_sender'),
	       (1002, now(), now(), 1, 'regress_sendgrid', 'sendgrid', 'regress_roleferry_colleague');
INSERT INTO roleferry.dead_letter (job_id, created_at, attempts, failures, priority, state, reason, task, role, args)
	VALUES (2001, now(), 1, 0, 5, 'unknown', 'test', 'send_email', 'regress_roleferry_sender', '{}'),
	       (2002, now(), 1, 0, 5, 'unknown', 'test', 'send_email', 'regress_roleferry_colleague', '{}');

-- Runs a statement as a role and takes it back: "yes", "no" (42501), or the error.
CREATE FUNCTION pg_temp.may(who text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', 'regress_roleferry_' || who);
	EXECUTE statement;
	RAISE EXCEPTION USING errcode = 'RFYES';
EXCEPTION
	WHEN SQLSTATE 'RFYES' THEN RETURN 'yes';
	WHEN insufficient_privilege THEN RETURN 'no';
	WHEN others THEN RETURN sqlstate || ': ' || sqlerrm;
END
$$;

-- What a query counts as a role.
CREATE FUNCTION pg_temp.counts(who text, query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	found bigint;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', 'regress_roleferry_' || who);
	EXECUTE 'SELECT count(*) FROM (' || query || ') q' INTO found;
	RESET ROLE;
	RETURN found;
END
$$;

CREATE TEMP TABLE matrix (n serial, what text, statement text, sender text, reader text, operator text);
INSERT INTO matrix (what, statement, sender, reader, operator) VALUES
('enqueue an e-mail by the function',
 $$ SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 's', 'x') $$, 'yes', 'no', 'no'),
('enqueue an e-mail by INSERT and read its id',
 $$ INSERT INTO roleferry.outbox (task, args, queue, priority, run_at, expires_at, max_attempts, idempotency_key, order_key, tenant_key, delivery)
    VALUES ('send_email', '{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "s", "body_html": "x"}',
            'default', 5, now(), NULL, 3, 'k', 'o', 't', 'at_most_once') RETURNING id $$, 'yes', 'no', 'no'),
('enqueue in another role''s name',
 $$ INSERT INTO roleferry.outbox (task, args, role)
    VALUES ('send_email', '{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "s", "body_html": "x"}',
            'regress_roleferry_colleague') $$, 'no', 'no', 'no'),
('choose the lane', $$ INSERT INTO roleferry.outbox (task, args, lane) VALUES ('send_email', '{}', 99) $$, 'no', 'no', 'no'),
('choose the accounts behind the check''s back',
 $$ INSERT INTO roleferry.outbox (task, args, accounts) VALUES ('send_email', '{}', '{regress_other}') $$, 'no', 'no', 'no'),
('choose a job''s id', $$ INSERT INTO roleferry.outbox (id, task, args) VALUES (1, 'send_email', '{}') $$, 'no', 'no', 'no'),
('pass a job off as claimed', $$ INSERT INTO roleferry.outbox (task, args, worker) VALUES ('send_email', '{}', 1) $$, 'no', 'no', 'no'),
('pretend attempts', $$ INSERT INTO roleferry.outbox (task, args, attempts) VALUES ('send_email', '{}', 1) $$, 'no', 'no', 'no'),
('pretend an age', $$ INSERT INTO roleferry.outbox (task, args, created_at) VALUES ('send_email', '{}', now()) $$, 'no', 'no', 'no'),
('read ids of jobs', $$ SELECT id FROM roleferry.outbox $$, 'yes', 'yes', 'yes'),
('read arguments of jobs', $$ SELECT args FROM roleferry.outbox $$, 'no', 'yes', 'yes'),
('read roles of jobs', $$ SELECT role FROM roleferry.outbox $$, 'no', 'yes', 'yes'),
('change a job', $$ UPDATE roleferry.outbox SET run_at = now() $$, 'no', 'no', 'no'),
('delete a job', $$ DELETE FROM roleferry.outbox $$, 'no', 'no', 'no'),
('lock a job', $$ SELECT id FROM roleferry.outbox FOR UPDATE $$, 'no', 'no', 'no'),
('empty the outbox', $$ TRUNCATE roleferry.outbox $$, 'no', 'no', 'no'),
('draw from the sequence of ids', $$ SELECT nextval('roleferry.outbox_id_seq') $$, 'no', 'no', 'no'),
('read the view of jobs', $$ SELECT * FROM roleferry.jobs $$, 'yes', 'yes', 'yes'),
('read the view of messages', $$ SELECT * FROM roleferry.messages $$, 'yes', 'yes', 'yes'),
('read the view of dead letters', $$ SELECT * FROM roleferry.dead_letters $$, 'yes', 'yes', 'yes'),
('read the view of attempts', $$ SELECT * FROM roleferry.attempts $$, 'no', 'yes', 'yes'),
('read the view of accounts', $$ SELECT * FROM roleferry.accounts $$, 'no', 'yes', 'yes'),
('read all messages', $$ SELECT * FROM roleferry.message $$, 'no', 'yes', 'yes'),
('forge a message', $$ INSERT INTO roleferry.message (job_id, created_at, sent_at, attempts, account, provider, role)
    VALUES (1, now(), now(), 1, 'a', 'p', 'r') $$, 'no', 'no', 'no'),
('change a message', $$ UPDATE roleferry.message SET sent_at = now() $$, 'no', 'no', 'no'),
('delete a message', $$ DELETE FROM roleferry.message $$, 'no', 'no', 'no'),
('read all dead letters', $$ SELECT * FROM roleferry.dead_letter $$, 'no', 'yes', 'yes'),
('change a dead letter', $$ UPDATE roleferry.dead_letter SET state = 'failed' $$, 'no', 'no', 'no'),
('delete a dead letter', $$ DELETE FROM roleferry.dead_letter $$, 'no', 'no', 'no'),
('change a row through a view', $$ UPDATE roleferry.dead_letters SET note = 'x' $$, 'no', 'no', 'no'),
('delete a row through a view', $$ DELETE FROM roleferry.dead_letters $$, 'no', 'no', 'no'),
('read a table of attempts', $$ SELECT * FROM roleferry.attempt_0 $$, 'no', 'no', 'no'),
('write a table of attempts', $$ DELETE FROM roleferry.attempt_1 $$, 'no', 'no', 'no'),
('read the rotation', $$ SELECT * FROM roleferry.rotation $$, 'no', 'no', 'no'),
('read idempotency keys', $$ SELECT * FROM roleferry.idempotency $$, 'no', 'no', 'no'),
('take an idempotency key', $$ INSERT INTO roleferry.idempotency VALUES ('regress_roleferry_colleague', 'k', 1) $$, 'no', 'no', 'no'),
('release an idempotency key', $$ DELETE FROM roleferry.idempotency $$, 'no', 'no', 'no'),
('read the activation', $$ SELECT * FROM roleferry.activation $$, 'no', 'no', 'yes'),
('write the activation', $$ INSERT INTO roleferry.activation VALUES (true, 1, 1, 1, 'x') $$, 'no', 'no', 'no'),
('activate', $$ SELECT roleferry.activate('hold') $$, 'no', 'no', 'yes'),
('deactivate', $$ SELECT roleferry.deactivate() $$, 'no', 'no', 'yes'),
('settle an unknown send', $$ SELECT roleferry.settle(2001, 'sent') $$, 'no', 'no', 'yes'),
('wake the dispatcher', $$ SELECT roleferry.wake() $$, 'no', 'no', 'yes'),
('ask for a job''s story', $$ SELECT * FROM roleferry.job_report(1) $$, 'yes', 'yes', 'yes'),
('ask whether it may send', $$ SELECT * FROM roleferry.activation_state() $$, 'no', 'yes', 'yes'),
('look at the gates', $$ SELECT * FROM roleferry.account_gates() $$, 'no', 'yes', 'yes'),
('ask for an account''s provider', $$ SELECT roleferry.account_provider('regress_sendgrid') $$, 'no', 'yes', 'yes'),
('ask for the server''s identity', $$ SELECT * FROM roleferry.server_identity() $$, 'no', 'no', 'no'),
('read the matrix of access', $$ SELECT * FROM roleferry.access_matrix() $$, 'no', 'no', 'no'),
('grant access', $$ SELECT roleferry.grant_access('regress_roleferry_stranger', 'operator') $$, 'no', 'no', 'no'),
('make an account', $$ CREATE SERVER regress_mine FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid') $$, 'no', 'no', 'no'),
('make a table in the schema', $$ CREATE TABLE roleferry.mine (a integer) $$, 'no', 'no', 'no');

SELECT plan((3 * (SELECT count(*) FROM matrix) + 2 + 17)::integer);

SELECT is(pg_temp.may('sender', statement), sender,
          CASE sender WHEN 'yes' THEN 'a sender may ' ELSE 'a sender may not ' END || what) FROM matrix ORDER BY n;
SELECT is(pg_temp.may('reader', statement), reader,
          CASE reader WHEN 'yes' THEN 'a reader may ' ELSE 'a reader may not ' END || what) FROM matrix ORDER BY n;
SELECT is(pg_temp.may('operator', statement), operator,
          CASE operator WHEN 'yes' THEN 'an operator may ' ELSE 'an operator may not ' END || what) FROM matrix ORDER BY n;
SELECT is_empty(
	$$ SELECT what FROM matrix WHERE pg_temp.may('stranger', statement) <> 'no' $$,
	'a stranger may do none of this, whatever account he may use');
SELECT is_empty(
	$$ SELECT what FROM matrix WHERE pg_temp.may('webhook', statement) <> 'no' $$,
	'nor may a webhook front, so far');

-- whose rows
SELECT is(pg_temp.counts('sender', 'SELECT FROM roleferry.jobs'), 3::bigint,
          'a sender sees his own jobs, wherever they are');
SELECT is(pg_temp.counts('sender', $$ SELECT FROM roleferry.jobs WHERE role <> 'regress_roleferry_sender' $$), 0::bigint,
          'and nobody else''s');
SELECT is(pg_temp.counts('sender', 'SELECT FROM roleferry.messages WHERE job_id = 1002'), 0::bigint,
          'nor others'' messages');
SELECT is(pg_temp.counts('sender', 'SELECT FROM roleferry.dead_letters WHERE job_id = 2002'), 0::bigint,
          'nor others'' dead letters');
SELECT is(pg_temp.counts('reader', 'SELECT FROM roleferry.jobs'), 6::bigint, 'a reader sees all jobs');
SELECT is(pg_temp.counts('operator', 'SELECT FROM roleferry.jobs'), 6::bigint, 'so does an operator');
SELECT is(pg_temp.counts('reader', 'SELECT FROM roleferry.messages'), 2::bigint, 'a reader sees all messages');
SELECT is(pg_temp.counts('reader', 'SELECT FROM roleferry.dead_letters'), 2::bigint, 'and all dead letters');
SELECT is(pg_temp.counts('sender', format('SELECT FROM roleferry.job_report(%s)', :own_job)), 2::bigint,
          'a sender is told the story of his job');
SELECT is(pg_temp.counts('sender', format('SELECT FROM roleferry.job_report(%s)', :other_job)), 0::bigint,
          'and not that of another''s');
SELECT is(pg_temp.counts('reader', format('SELECT FROM roleferry.job_report(%s)', :other_job)), 2::bigint,
          'a reader is told any story');

-- a function that cheats with its cost is not called with others' rows
CREATE TABLE public.regress_seen (args jsonb);
GRANT INSERT ON public.regress_seen TO regress_roleferry_sender;
CREATE FUNCTION public.regress_peek(jsonb) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
	INSERT INTO public.regress_seen VALUES ($1);
	RETURN true;
END
$$;
SELECT is(pg_temp.counts('sender', 'SELECT FROM roleferry.dead_letters WHERE public.regress_peek(args)'), 1::bigint,
          'a filter of the sender''s own runs');
SELECT is((SELECT count(*) FROM public.regress_seen), 1::bigint, 'over rows that he may see, and no others');

-- whose accounts
SELECT is(pg_temp.may('sender', $$ SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 's', 'x', accounts => '{regress_other}') $$),
          'no', 'a sender cannot name an account without USAGE on it');
SELECT results_eq(
	format('SELECT accounts FROM roleferry.outbox WHERE id = %s', :own_job), $$ VALUES ('{regress_sendgrid}'::text[]) $$,
	'and gets only such when naming none');

-- kinds of access
SELECT throws_ok(
	$$ SELECT roleferry.grant_access('regress_roleferry_stranger', 'admin') $$,
	'22023', 'unrecognized value for "access": "admin"', 'there is no other kind of access');
SELECT throws_ok(
	$$ SELECT roleferry.grant_access('regress_roleferry_stranger', NULL) $$, '22023', NULL, 'and none at all is no kind');

SELECT * FROM finish();
ROLLBACK;

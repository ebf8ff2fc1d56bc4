-- Routes and queues: where a job goes, changes at run time and in the caller's
-- transaction, what is refused, and who may write what.
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

SELECT plan(38);

CREATE SERVER regress_one FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'x');
CREATE ROLE regress_sender;
CREATE ROLE regress_operator;
CREATE ROLE regress_reader;
SELECT roleferry.grant_access('regress_sender', 'sender'), roleferry.grant_access('regress_operator', 'operator'),
       roleferry.grant_access('regress_reader', 'reader') \g /dev/null
GRANT USAGE ON FOREIGN SERVER regress_one TO regress_sender;
GRANT USAGE ON SCHEMA public TO regress_sender, regress_operator, regress_reader;
SET LOCAL search_path = public, pg_catalog;

-- Queue and priority of a mail with these arguments.
CREATE FUNCTION public.regress_place(arguments text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	mail bigint;
BEGIN
	SET LOCAL ROLE regress_sender;
	EXECUTE $q$ SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 'Hello', body_text => 'x',
	                   accounts => '{regress_one}' $q$ || arguments || ')' INTO mail;
	RESET ROLE;
	RETURN (SELECT queue || ' ' || priority FROM roleferry.outbox WHERE id = mail);
END
$$;

--
-- What is there
--
SELECT results_eq(
	$$ SELECT name COLLATE "default", max_priority, concurrency FROM roleferry.queue WHERE ready_made ORDER BY name $$,
	$$ VALUES ('analytics', 10::smallint, NULL::integer), ('default', 10::smallint, NULL),
	          ('enrichment', 10::smallint, NULL), ('sequences', 10::smallint, NULL) $$,
	'four queues are there from the beginning');
SELECT results_eq(
	$$ SELECT pattern COLLATE "default", queue COLLATE "default" FROM roleferry.route WHERE ready_made ORDER BY pattern $$,
	$$ VALUES ('analytics.*', 'analytics'), ('apollo_search', 'enrichment'), ('app.services.analytics.*', 'analytics'),
	          ('app.services.enrichment.*', 'enrichment'), ('app.services.sequencer.*', 'sequences'), ('enrichment.*', 'enrichment'),
	          ('send_email', 'sequences'), ('sequencer.*', 'sequences'), ('verify_emails', 'enrichment') $$,
	'and these routes lead to them');

--
-- Where a mail goes
--
SELECT is(public.regress_place(), 'sequences 5', 'a mail goes to sequences');
SELECT is(public.regress_place($$, queue => 'analytics'$$), 'analytics 5', 'or to the queue it names');
SAVEPOINT before;
SET LOCAL ROLE regress_operator;
SELECT lives_ok($$ INSERT INTO roleferry.queue (name, max_priority) VALUES ('urgent', 7) $$, 'an operator makes a queue');
SELECT lives_ok($$ INSERT INTO roleferry.route (pattern, queue) VALUES ('send_*', 'urgent') $$, 'and a route to it');
RESET ROLE;
SELECT is(public.regress_place(), 'urgent 5', 'which the same transaction''s next mail takes, for its rank is lower');
SELECT is(public.regress_place(', priority => 10'), 'urgent 7', 'a priority above the queue''s highest counts as that');
SELECT is(public.regress_place(', priority => 3'), 'urgent 3', 'one below it stays');
SELECT is(public.regress_place($$, queue => 'analytics', priority => 10$$), 'analytics 10', 'the explicit queue wins');
INSERT INTO roleferry.outbox (task, args, priority)
	VALUES ('send_email', '{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "s", "body_text": "x"}', 9);
SELECT results_eq('SELECT queue, priority FROM roleferry.outbox ORDER BY id DESC LIMIT 1', $$ VALUES ('urgent', 7::smallint) $$,
	'so it is with a plain INSERT');
UPDATE roleferry.route SET rank = 101 WHERE pattern = 'send_*';
SELECT is(public.regress_place(), 'sequences 5', 'a higher rank is tried later');
UPDATE roleferry.route SET queue = NULL WHERE pattern = 'send_email';
SELECT is(public.regress_place(), 'urgent 5', 'a route without a queue is none');
DELETE FROM roleferry.route WHERE pattern = 'send_*';
SELECT is(public.regress_place(), 'default 5', 'without a route a mail goes to the queue default');
ROLLBACK TO before;
SELECT is(public.regress_place(), 'sequences 5', 'what is rolled back holds no longer');
SELECT throws_ok($$ SELECT public.regress_place($q$, queue => 'urgent'$q$) $$, '22023', 'there is no queue "urgent"',
	'nor is its queue there');
PREPARE a_mail AS SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 's', 'x', queue => 'urgent') IS NOT NULL;
SAVEPOINT prepared;
INSERT INTO roleferry.queue (name) VALUES ('urgent');
SELECT results_eq('EXECUTE a_mail', $$ VALUES (true) $$, 'a prepared statement sees a new queue, too');
UPDATE roleferry.queue SET name = 'analytics2' WHERE name = 'analytics';
SELECT results_eq($$ SELECT DISTINCT queue COLLATE "default" FROM roleferry.route WHERE pattern LIKE '%analytics%' $$,
	$$ VALUES ('analytics2') $$, 'routes follow a queue that is renamed');
ROLLBACK TO prepared;

--
-- What is refused
--
SELECT throws_ok($$ INSERT INTO roleferry.route (pattern, queue) VALUES ('x', 'nowhere') $$, '23503', NULL, 'a route to no queue is refused');
SELECT throws_ok($$ DELETE FROM roleferry.queue WHERE name = 'sequences' $$, '23503', NULL, 'so is it to drop a queue that routes lead to');
SELECT throws_ok($$ INSERT INTO roleferry.queue (name, max_priority) VALUES ('x', 11) $$, '23514', NULL, 'a priority above 10');
SELECT throws_ok($$ INSERT INTO roleferry.queue (name) VALUES (E'a\nb') $$, '23514', NULL, 'a control character in its name');
SELECT throws_ok($$ INSERT INTO roleferry.queue (name, concurrency) VALUES ('x', 0) $$, '23514', NULL, 'a concurrency of none');

--
-- A dump: what was changed replaces what the script of CREATE EXTENSION wrote
--
INSERT INTO roleferry.queue (name, concurrency) VALUES ('enrichment', 3);
INSERT INTO roleferry.route (rank, pattern, queue) VALUES (5, 'verify_emails', 'analytics');
SELECT results_eq($$ SELECT concurrency, ready_made FROM roleferry.queue WHERE name = 'enrichment' $$, $$ VALUES (3, false) $$,
	'a queue takes the place of the ready-made one of its name');
SELECT results_eq($$ SELECT rank, queue COLLATE "default", ready_made FROM roleferry.route WHERE pattern = 'verify_emails' $$,
	$$ VALUES (5, 'analytics', false) $$, 'so does a route');
SELECT throws_ok($$ INSERT INTO roleferry.queue (name, concurrency) VALUES ('enrichment', 4) $$, '23505', NULL, 'but only once');
SELECT is((SELECT ready_made FROM roleferry.queue WHERE name = 'analytics'), true, 'the others are as they came');

--
-- Rights
--
SET LOCAL ROLE regress_operator;
SELECT throws_ok($$ UPDATE roleferry.queue SET ready_made = true WHERE name = 'enrichment' $$, '42501', NULL,
	'an operator does not call his rows ready-made');
SET LOCAL ROLE regress_reader;
SELECT throws_ok($$ UPDATE roleferry.queue SET concurrency = 1 $$, '42501', NULL, 'a reader changes none');
RESET ROLE;

--
-- How much a queue holds
--
INSERT INTO roleferry.queue (name, max_depth) VALUES ('regress_small', 3);
CREATE FUNCTION public.regress_fill(how_many integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(roleferry.enqueue_email('a@example.com', 'b@example.com', 'Hello', body_text => 'x',
		accounts => '{regress_one}', queue => 'regress_small')) FROM generate_series(1, how_many)
$$;
SELECT is(public.regress_fill(3), 3::bigint, 'a queue takes as many as its max_depth');
SELECT throws_ok('SELECT public.regress_fill(1)', '54000', 'queue "regress_small" is full', 'and no more');
SELECT throws_ok($$ INSERT INTO roleferry.outbox (task, args, queue) VALUES ('send_email',
	'{"from_addr": "a@example.com", "to_addr": "b@example.com", "subject": "Hi", "body_text": "x", "accounts": ["regress_one"]}', 'regress_small') $$,
	'54000', 'queue "regress_small" is full', 'by a plain INSERT, too');
UPDATE roleferry.queue SET max_depth = 4 WHERE name = 'regress_small';
SELECT is(public.regress_fill(1), 1::bigint, 'a higher bound holds at once');
UPDATE roleferry.queue SET on_full = 'warning' WHERE name = 'regress_small';
SELECT is(public.regress_fill(2), 2::bigint, 'with a warning it takes more');
UPDATE roleferry.queue SET max_depth = NULL, on_full = 'error' WHERE name = 'regress_small';
SELECT is(public.regress_fill(2), 2::bigint, 'without a bound it takes any number');
SELECT throws_ok($$ INSERT INTO roleferry.queue (name, max_depth) VALUES ('regress_none', 0) $$, '23514', NULL, 'a bound of nothing is refused');

SELECT throws_ok($$ SELECT roleferry.drain_queue('regress_small') $$, '55000', 'queue "regress_small" is not paused',
	'a queue that goes on is not drained');
SELECT roleferry.pause_queue('regress_small') \g /dev/null
SELECT throws_ok($$ SELECT roleferry.drain_queue('regress_small') $$, '55000', 'the pause of queue "regress_small" is not committed yet',
	'nor is one whose pause nobody else can see');

SELECT * FROM finish();
ROLLBACK;

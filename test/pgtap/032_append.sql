-- enqueue_email() goes to the table directly.  What somebody has added to the
-- outbox works all the same, whenever it was, and so does what a statement would
-- refuse.
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

SELECT plan(26);

CREATE SERVER regress_append FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');

CREATE FUNCTION public.regress_mail(number integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 'Mail ' || number, body_text => 'x',
		expires_at => '2101-01-01', max_attempts => 3, tenant_key => 't', order_key => 'o' || number, idempotency_key => 'k' || number)
$$;
CREATE FUNCTION public.regress_row(mail bigint) RETURNS jsonb LANGUAGE sql AS $$
	SELECT to_jsonb(o) - 'id' - 'idempotency_key' - 'order_key' - 'args' FROM roleferry.outbox o WHERE id = mail
$$;

-- the row, and its way through every index
CREATE TEMP TABLE mail AS SELECT public.regress_mail(1) AS direct;
SELECT is((SELECT count(*)::integer FROM roleferry.outbox o, mail WHERE o.id = direct), 1, 'the row is there');
SET LOCAL enable_seqscan = off;
SELECT is((SELECT count(*)::integer FROM roleferry.outbox WHERE expires_at = '2101-01-01'), 1,
	'it is found by its expiry');
SELECT is((SELECT count(*)::integer FROM roleferry.outbox o JOIN mail ON o.id = direct
	WHERE lane = (SELECT lane FROM roleferry.outbox i, mail WHERE i.id = direct)), 1, 'and by its lane');
SELECT is((SELECT count(*)::integer FROM roleferry.outbox WHERE role = current_user AND order_key = 'o1'), 1,
	'and by its order key');
SELECT throws_ok(
	$$ INSERT INTO roleferry.outbox (id, task, args) SELECT direct, 'send_email', args FROM roleferry.outbox, mail WHERE id = direct $$,
	'23505', NULL, 'and by its id');
SELECT is(public.regress_mail(1), direct, 'its key is taken') FROM mail;

-- what somebody has added
CREATE TABLE public.regress_seen (id bigint);
CREATE FUNCTION public.regress_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.regress_seen VALUES (NEW.id);
	RETURN NULL;
END
$$;
CREATE TRIGGER regress_note AFTER INSERT ON roleferry.outbox FOR EACH ROW EXECUTE FUNCTION public.regress_note();
CREATE TEMP TABLE other AS SELECT public.regress_mail(2) AS by_statement;
SELECT is((SELECT id FROM public.regress_seen), by_statement, 'a trigger of somebody else''s runs') FROM other;
SELECT is(public.regress_row(direct), public.regress_row(by_statement), 'by a statement the row is the same')
FROM mail, other;
DROP TRIGGER regress_note ON roleferry.outbox;

ALTER TABLE roleferry.outbox ADD CONSTRAINT regress_check CHECK (args ->> 'subject' <> 'Mail 3');
SELECT throws_ok('SELECT public.regress_mail(3)', '23514', NULL, 'a constraint of somebody else''s holds');
ALTER TABLE roleferry.outbox DROP CONSTRAINT regress_check;

CREATE FUNCTION public.regress_read_only() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL transaction_read_only = on;
	RETURN public.regress_mail(6);
EXCEPTION
	WHEN read_only_sql_transaction THEN
		RETURN 'refused';
END
$$;
SELECT is(public.regress_read_only(), 'refused', 'a read-only transaction enqueues nothing');

-- what is known of the outbox is kept from row to row, and forgotten when it changes
CREATE FUNCTION public.regress_by_index(what text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	mails bigint[];
	plan  text;
BEGIN
	SET LOCAL enable_seqscan = off;
	EXECUTE 'EXPLAIN (FORMAT json) SELECT id FROM roleferry.outbox WHERE ' || what INTO plan;
	IF plan !~ 'regress_idx' THEN
		RAISE EXCEPTION 'not by the index: %', plan;
	END IF;
	EXECUTE 'SELECT array_agg(id ORDER BY id) FROM roleferry.outbox WHERE ' || what INTO mails;
	RETURN mails;
END
$$;
CREATE FUNCTION public.regress_tenant(tenant text) RETURNS bigint LANGUAGE sql AS $$
	SELECT roleferry.enqueue_email('a@example.com', 'b@example.com', 'Of ' || tenant, body_text => 'x', tenant_key => tenant)
$$;
CREATE TEMP TABLE index_mails (at integer, id bigint);

INSERT INTO index_mails VALUES (1, public.regress_tenant('before'));
CREATE INDEX regress_idx ON roleferry.outbox (tenant_key);
INSERT INTO index_mails VALUES (2, public.regress_tenant('after'));
SELECT is(public.regress_by_index($$ tenant_key IN ('before', 'after') $$), array_agg(id ORDER BY id),
	'a row of after an index was made is in it') FROM index_mails;

SAVEPOINT regress_dropped;
DROP INDEX roleferry.regress_idx;
INSERT INTO index_mails VALUES (3, public.regress_tenant('without'));
SELECT is((SELECT count(*)::integer FROM roleferry.outbox WHERE tenant_key = 'without'), 1, 'there are rows without it');
ROLLBACK TO regress_dropped;
INSERT INTO index_mails VALUES (4, public.regress_tenant('again'));
SELECT is(public.regress_by_index($$ tenant_key IN ('before', 'after', 'again') $$), array_agg(id ORDER BY id),
	'it is filled when its end was rolled back') FROM index_mails;
DROP INDEX roleferry.regress_idx;

SAVEPOINT regress_made;
CREATE INDEX regress_idx ON roleferry.outbox (tenant_key);
SELECT isnt(public.regress_tenant('made'), NULL, 'one is filled');
ROLLBACK TO regress_made;
SELECT isnt(public.regress_tenant('unmade'), NULL, 'and was never there when it was rolled back');

-- an index that calls a function
CREATE FUNCTION public.regress_fold(value text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(value)';
CREATE INDEX regress_idx ON roleferry.outbox (public.regress_fold(tenant_key)) WHERE public.regress_fold(tenant_key) <> 'none';
CREATE TEMP TABLE folded AS SELECT public.regress_tenant('Folded') AS id UNION ALL SELECT public.regress_tenant('FOLDED');
SELECT is(public.regress_by_index($$ public.regress_fold(tenant_key) = 'folded' AND public.regress_fold(tenant_key) <> 'none' $$),
	array_agg(id ORDER BY id), 'an index on an expression is filled') FROM folded;
SELECT isnt(public.regress_tenant('none'), NULL, 'and asks its condition');
DROP INDEX roleferry.regress_idx;
CREATE INDEX regress_idx ON roleferry.outbox USING brin (created_at);
SELECT isnt(public.regress_tenant('brin'), NULL, 'one of another kind is no trouble');
DROP INDEX roleferry.regress_idx;

-- a row that is refused leaves nothing behind
CREATE UNIQUE INDEX regress_idx ON roleferry.outbox (on_done, tenant_key) NULLS NOT DISTINCT WHERE expires_at IS NULL;
SELECT throws_ok($$ SELECT public.regress_tenant('again') $$, '23505', NULL, 'a unique index of somebody else''s holds');
SELECT isnt(public.regress_tenant('other'), NULL, 'the next row is put in');
DROP INDEX roleferry.regress_idx;

DELETE FROM roleferry.outbox;
ALTER TABLE roleferry.outbox ALTER COLUMN on_done SET NOT NULL;
SELECT throws_ok($$ SELECT public.regress_tenant('null') $$, '23502', NULL, 'a column that must have a value now is asked for it');
ALTER TABLE roleferry.outbox ALTER COLUMN on_done DROP NOT NULL;

-- in the midst of a statement
CREATE FUNCTION public.regress_run(command text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 1;
END
$$;
CREATE TEMP TABLE midst AS
SELECT public.regress_tenant('one') AS one, public.regress_run('CREATE INDEX regress_idx ON roleferry.outbox (tenant_key)'),
	public.regress_tenant('two') AS two, public.regress_run('DROP INDEX roleferry.regress_idx') AS dropped,
	public.regress_tenant('three') AS three, public.regress_run('CREATE INDEX regress_idx ON roleferry.outbox (tenant_key)') AS again,
	public.regress_tenant('four') AS four;
SELECT is(public.regress_by_index($$ tenant_key IN ('one', 'two', 'three', 'four') $$), ARRAY[one, two, three, four],
	'an index may come and go while a statement enqueues') FROM midst;
DROP INDEX roleferry.regress_idx;

-- names are forgotten, too
ALTER SEQUENCE roleferry.outbox_id_seq RENAME TO regress_seq;
SELECT throws_ok($$ SELECT public.regress_tenant('nameless') $$, '55000', NULL, 'a relation that has another name is not found');
ALTER SEQUENCE roleferry.regress_seq RENAME TO outbox_id_seq;
SELECT isnt(public.regress_tenant('named'), NULL, 'until it has its own again');

-- from here on by statements: what is left of the column is one column more
ALTER TABLE roleferry.outbox ADD COLUMN regress_extra text DEFAULT 'filled';
CREATE TEMP TABLE wide AS SELECT public.regress_mail(4) AS id;
SELECT is(regress_extra, 'filled', 'a column of somebody else''s gets its default')
FROM roleferry.outbox JOIN wide USING (id);
ALTER TABLE roleferry.outbox DROP COLUMN regress_extra;
SELECT lives_ok('SELECT public.regress_mail(5)', 'and may be dropped again');

SELECT * FROM finish();
ROLLBACK;

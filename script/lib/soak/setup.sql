-- The soak's database: two accounts, a role, SQL tasks, and what the clients
-- write down in the very transactions that enqueue.

CREATE EXTENSION roleferry;
CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry
    OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url :'sendgrid_url');
CREATE SERVER mailgun FOREIGN DATA WRAPPER roleferry
    OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'mailgun', base_url :'mailgun_url');
CREATE ROLE app LOGIN;
SELECT roleferry.grant_access('app', 'sender');
GRANT USAGE ON FOREIGN SERVER sendgrid, mailgun TO app;
CREATE FUNCTION public.regress_fault(name text, action text, skip int, count int)
    RETURNS void LANGUAGE C AS 'roleferry', 'roleferry_fault_set';
CREATE SCHEMA soak AUTHORIZATION app;

SET ROLE app;
-- kind: "once", or "least" where a provider may get it twice; job: where the
-- client was told.
CREATE TABLE soak.mail (n bigint PRIMARY KEY, kind text NOT NULL, job bigint);
CREATE TABLE soak.task (n bigint PRIMARY KEY, kind text NOT NULL);
-- What tasks have done.  No key: a second time shall be seen.
CREATE TABLE soak.effect (n bigint NOT NULL);

CREATE FUNCTION soak.enqueue(n bigint, kind text, key text DEFAULT NULL, run_at timestamptz DEFAULT now())
RETURNS bigint LANGUAGE sql AS $$
    SELECT roleferry.enqueue_email('sender@mg.example.com', 'user' || n || '@example.net', 'mail ' || n,
               body_text => repeat('soak ', 100), custom_args => jsonb_build_object('n', n::text), idempotency_key => key,
               delivery => CASE kind WHEN 'least' THEN 'at_least_once' END, max_attempts => 100, run_at => run_at)
$$;
CREATE FUNCTION soak.args(n bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('from_addr', 'sender@mg.example.com', 'to_addr', 'user' || n || '@example.net',
               'subject', 'mail ' || n, 'body_text', repeat('soak ', 100),
               'custom_args', jsonb_build_object('n', n::text))
$$;

CREATE FUNCTION soak.work(n bigint) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO soak.effect VALUES (n) RETURNING effect.n
$$;
-- Fails half the time, after its effect.
CREATE FUNCTION soak.flaky(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO soak.effect VALUES (n);
    IF random() < 0.5 THEN
        RAISE EXCEPTION 'not yet' USING ERRCODE = '58000';
    END IF;
    RETURN n;
END
$$;
-- Its effect is a mail.
CREATE FUNCTION soak.chain(n bigint) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO soak.effect VALUES (n);
    INSERT INTO soak.mail VALUES (n, 'once', soak.enqueue(n, 'once')) RETURNING n
$$;
RESET ROLE;

SELECT roleferry.register_task('soak.work', 'soak.work(bigint)');
SELECT roleferry.register_task('soak.batch', 'soak.work(bigint)', batch => true);
SELECT roleferry.register_task('soak.flaky', 'soak.flaky(bigint)', max_attempts => 100, retry_base => '50 ms', retry_cap => '1 s');
SELECT roleferry.register_task('soak.chain', 'soak.chain(bigint)');
SELECT roleferry.activate();

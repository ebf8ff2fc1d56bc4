-- The demo's database: four accounts, an application's role, and its table of
-- leads with the trigger that mails them.

CREATE EXTENSION roleferry;

CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry
    OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url :'sendgrid_url');
CREATE SERVER mailgun FOREIGN DATA WRAPPER roleferry
    OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'mailgun', base_url :'mailgun_url');
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry
    OPTIONS (provider 'apollo', secret 'apollo', base_url :'apollo_url');
CREATE SERVER neverbounce FOREIGN DATA WRAPPER roleferry
    OPTIONS (provider 'neverbounce', secret 'neverbounce', base_url :'neverbounce_url');

CREATE ROLE app LOGIN;
SELECT roleferry.grant_access('app', 'sender');
GRANT USAGE ON FOREIGN SERVER sendgrid, mailgun, apollo, neverbounce TO app;
CREATE SCHEMA app AUTHORIZATION app;

-- What takes the providers' webhooks in may do nothing else.
CREATE ROLE front LOGIN;
SELECT roleferry.grant_access('front', 'webhook');
INSERT INTO roleferry.webhook_source (name, scheme, secrets)
    VALUES ('sendgrid', 'sendgrid', '{hook_sendgrid}'), ('mailgun', 'mailgun', '{hook_mailgun}');

SELECT roleferry.activate();

SET ROLE app;
CREATE TABLE app.lead (
    id       integer PRIMARY KEY,
    name     text NOT NULL,
    email    text NOT NULL,
    verdict  text,
    stage    text NOT NULL DEFAULT 'new',
    mail_job bigint
);
INSERT INTO app.lead (id, name, email)
    SELECT n, 'Lead ' || n, 'lead' || n || '@example.net' FROM generate_series(1, 1000) AS n;

CREATE FUNCTION app.mail_lead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.mail_job := roleferry.enqueue_email(
        from_addr   => 'Outreach <team@mg.example.com>',
        to_addr     => NEW.email,
        subject     => 'Hello ' || NEW.name,
        body_html   => '<p>Dear ' || NEW.name || ', shall we talk?</p>',
        custom_args => jsonb_build_object('lead', NEW.id::text));
    RETURN NEW;
END
$$;
CREATE TRIGGER mail_lead BEFORE UPDATE OF stage ON app.lead
    FOR EACH ROW WHEN (OLD.stage = 'new' AND NEW.stage = 'contacted')
    EXECUTE FUNCTION app.mail_lead();

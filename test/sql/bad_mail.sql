-- bad mails: each is refused when it is enqueued, with its field named
CREATE SERVER regress_sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE SERVER regress_mailgun FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'mailgun', domain 'mg.example.com');
\set SHOW_CONTEXT never
\set mail 'SELECT roleferry.enqueue_email(from_addr => ''"Sales, Ann" <ann@example.com>'', to_addr => ''bob@example.net'', subject => ''Hi'', body_html => ''<p>Hi</p>'', '
\set from 'SELECT roleferry.enqueue_email(to_addr => ''bob@example.net'', subject => ''Hi'', body_html => ''x'', from_addr => '
\set to 'SELECT roleferry.enqueue_email(''ann@example.com'', subject => ''Hi'', body_html => ''x'', to_addr => '

-- addresses: one a field, plain or with a name; never quoted in the message
:from '');
:from NULL);
:from 'ann');
:from 'ann@');
:from 'Ann, Sales <ann@example.com>');
:to 'bob@example.net, eve@example.net');
:to E'bob@example.net\r\nBcc: eve@example.net');
:to 'bob@exämple.net');
:to repeat('b', 65) || '@example.net');
:mail reply_to => 'a@example.com; b@example.com');
:mail cc => '{carol@example.net,"Dave <dave@example.net"}');
:mail cc => '{carol@example.net}', bcc => '{eve@example.net,Carol@EXAMPLE.net}');
:mail bcc => '{bob@example.net}');
:mail cc => array_fill('carol@example.net'::text, ARRAY[1000]));

-- subject and bodies
SELECT roleferry.enqueue_email('ann@example.com', 'bob@example.net', ' ', 'x');
SELECT roleferry.enqueue_email('ann@example.com', 'bob@example.net', E'Hi\nBcc: eve@example.net', 'x');
SELECT roleferry.enqueue_email('ann@example.com', 'bob@example.net', repeat('x', 999), 'x');
SELECT roleferry.enqueue_email('ann@example.com', 'bob@example.net', 'Hi');
SELECT roleferry.enqueue_email('ann@example.com', 'bob@example.net', 'Hi', body_text => '');

-- custom_args, headers, tags, provider_options
:mail custom_args => '{"rf_job": "1"}');
:mail custom_args => '{"event": "open"}');
:mail custom_args => '{"lead": {"id": 7}}');
:mail custom_args => jsonb_build_object('long', repeat('x', 10000)));
:mail custom_args => '[1]');
:mail headers => '{"Subject": "another"}');
:mail headers => '{"Content-Type": "text/plain"}');
:mail headers => '{"X-Bad name": "x"}');
:mail headers => E'{"X-Team": "red\\r\\nBcc: eve@example.net"}');
:mail headers => '{"X-Team": "red", "x-team": "blue"}');
:mail tags => '{a,b,c,d,e,f,g,h,i,j,k}');
:mail tags => ARRAY['cold', '']);
:mail provider_options => '{"postmark": {}}');
:mail provider_options => '{"sendgrid": {"api_key": "x"}}');
:mail provider_options => '{"sendgrid": {"send_at": "tomorrow"}}');
:mail provider_options => '{"mailgun": []}');

-- what goes with the mail
:mail priority => 11);
:mail max_attempts => 0);
:mail delivery => 'exactly_once');
:mail queue => '');
:mail run_at => 'infinity');
:mail on_invalid => 'ignore');
:mail accounts => '{regress_gone}');

-- plain INSERT: the same checks, and arguments by name
INSERT INTO roleferry.outbox (task, args) VALUES ('send_fax', '{}');
INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', NULL);
INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '[]');
INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '{}');
INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '{"to": "bob@example.net"}');
INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '{"from_addr": 7}');
INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '{"cc": "carol@example.net"}');
INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '{"headers": "X-Team: red"}');

-- nothing of all this was kept
SELECT count(*) FROM roleferry.outbox;

-- a role without an account is told which right it lacks
CREATE ROLE regress_roleferry_sender;
SELECT roleferry.grant_access('regress_roleferry_sender', 'sender');
SET ROLE regress_roleferry_sender;
:mail queue => 'analytics');
:mail accounts => '{regress_mailgun}');
RESET ROLE;

-- a bad mail among many: kept as a dead letter, and the rest goes on
SELECT roleferry.enqueue_email('ann@example.com', address, 'Hi', 'x', on_invalid => 'reject') IS NOT NULL AS has_id
	FROM unnest(ARRAY['bob@example.net', 'nobody', 'carol@example.net']) address;
SELECT state, outcome, reason, attempts, args FROM roleferry.dead_letters;
SELECT state, count(*) FROM roleferry.jobs GROUP BY state ORDER BY state;

TRUNCATE roleferry.outbox, roleferry.dead_letter;
DROP SERVER regress_sendgrid, regress_mailgun;
DROP OWNED BY regress_roleferry_sender;
DROP ROLE regress_roleferry_sender;

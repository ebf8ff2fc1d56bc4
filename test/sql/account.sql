-- accounts: which options a server may have, and what each refusal says
CREATE ROLE regress_roleferry_owner;
CREATE ROLE regress_roleferry_keeper IN ROLE pg_read_server_files;
GRANT USAGE ON FOREIGN DATA WRAPPER roleferry
	TO regress_roleferry_owner, regress_roleferry_keeper;

-- accepted
CREATE SERVER regress_sendgrid FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', secret 'sendgrid_2.key-1');
CREATE SERVER regress_mailgun FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'mailgun', domain 'mg.Example-1.com', region 'eu',
		secret 'mailgun', base_url 'https://mail.example.com:8443/',
		max_in_flight '10000', quota_group '_shared_1');
ALTER SERVER regress_mailgun OPTIONS (SET region 'us', DROP base_url);
SELECT srvname, srvoptions FROM pg_foreign_server
	WHERE srvname LIKE 'regress!_%' ESCAPE '!' ORDER BY srvname;

-- the provider, and which options belong to it
CREATE SERVER refused FOREIGN DATA WRAPPER roleferry;
CREATE SERVER refused FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'pigeon');
CREATE SERVER refused FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'Mailgun');
CREATE SERVER refused FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'mailgun');
CREATE SERVER refused FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', domain 'mg.example.com');
CREATE SERVER refused FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'mailgun', domain 'mg.example.com', host 'example.com');
ALTER SERVER regress_mailgun OPTIONS (DROP provider);
ALTER SERVER regress_mailgun OPTIONS (DROP domain);
ALTER SERVER regress_mailgun OPTIONS (SET provider 'sendgrid');

-- values; the call is the one that CREATE SERVER makes
\set check 'SELECT roleferry.fdw_validator(ARRAY[''provider=mailgun'', ''domain=mg.example.com'', '
\set server '], ''pg_foreign_server''::regclass);'
:check 'region=de' :server
:check 'max_in_flight=0' :server
:check 'max_in_flight=10001' :server
:check 'max_in_flight=4 ' :server
:check 'quota_group=' :server
:check 'quota_group=1st' :server
:check 'quota_group=a-b' :server
:check 'domain=' :server
:check 'domain=..' :server
:check 'domain=mg/../v4' :server
:check 'domain=mg_1.example.com' :server
:check 'domain=-mg.example.com' :server
:check 'domain=mg.example.com.' :server

-- base URLs
:check 'base_url=http://mail.example.com' :server
:check 'base_url=mail.example.com' :server
:check 'base_url=ftp://mail.example.com' :server
:check 'base_url=https://' :server
:check 'base_url=https:///mail.example.com' :server
:check 'base_url=https://mail.example.com/v3' :server
:check 'base_url=https://mail.example.com//' :server
:check 'base_url=https://mail.example.com/.' :server
:check 'base_url=https://user:password@mail.example.com' :server
:check 'base_url=https://mail.example.com?to=me' :server
:check 'base_url=https://mail.example.com/#me' :server
:check 'base_url=https://mail.example.com:99999' :server
:check E'base_url=https://mail.example.com\r\nX: y' :server
:check 'base_url=https://mail.example.com' :server
:check 'base_url=https://[2001:db8::1]:8443/' :server

-- names of secrets
SELECT repeat('x', 63) AS longest, repeat('x', 64) AS too_long \gset
:check 'secret=' || :'longest' :server
:check 'secret=' || :'too_long' :server
:check 'secret=' :server
:check 'secret=.hidden' :server
:check 'secret=../mailgun' :server
:check 'secret=/etc/passwd' :server
:check 'secret=two words' :server
:check 'secret=SG.abcdefgh' :server
:check 'secret=key-0123456789abcdef0123456789abcdef' :server

-- providers of people and verdicts, and how Apollo is spoken to
\set lookup '], ''pg_foreign_server''::regclass);'
SELECT roleferry.fdw_validator(ARRAY['provider=apollo', 'secret=apollo', 'dialect=legacy' :lookup
SELECT roleferry.fdw_validator(ARRAY['provider=hunter', 'secret=hunter' :lookup
SELECT roleferry.fdw_validator(ARRAY['provider=apollo', 'dialect=old' :lookup
SELECT roleferry.fdw_validator(ARRAY['provider=neverbounce', 'dialect=legacy' :lookup
SELECT roleferry.fdw_validator(ARRAY['provider=neverbounce',
	'secret=private_0123456789abcdef0123456789abcdef' :lookup

-- keys are not options
CREATE SERVER refused FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', api_key 'sesame');
ALTER SERVER regress_sendgrid OPTIONS (ADD "Password" 'sesame');
CREATE USER MAPPING FOR PUBLIC SERVER regress_sendgrid OPTIONS (password 'sesame');
CREATE USER MAPPING FOR PUBLIC SERVER regress_sendgrid;

-- nothing but servers has options
ALTER FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
CREATE FOREIGN TABLE refused (a integer) SERVER regress_sendgrid;
CREATE FOREIGN TABLE refused (a integer) SERVER regress_sendgrid OPTIONS (secret 'x');

-- an owner without the right can neither name a key nor redirect one
ALTER SERVER regress_mailgun OWNER TO regress_roleferry_owner;
SET ROLE regress_roleferry_owner;
CREATE SERVER regress_plain FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid');
ALTER SERVER regress_plain OPTIONS (ADD region 'eu');
ALTER SERVER regress_plain OPTIONS (ADD secret 'sendgrid');
ALTER SERVER regress_plain OPTIONS (ADD base_url 'https://mail.example.com');
ALTER SERVER regress_mailgun OPTIONS (SET provider 'sendgrid', DROP domain);
ALTER SERVER regress_mailgun OPTIONS (SET region 'eu');
ALTER SERVER regress_mailgun OPTIONS (DROP secret);
ALTER SERVER regress_mailgun OPTIONS (ADD secret 'mailgun');

-- a member of pg_read_server_files may
SET ROLE regress_roleferry_keeper;
CREATE SERVER regress_kept FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', secret 'sendgrid');
ALTER SERVER regress_kept OPTIONS (SET secret 'other', ADD base_url 'https://mail.example.com');
RESET ROLE;

DROP SERVER regress_sendgrid, regress_mailgun, regress_plain, regress_kept;
REVOKE USAGE ON FOREIGN DATA WRAPPER roleferry
	FROM regress_roleferry_owner, regress_roleferry_keeper;
DROP ROLE regress_roleferry_owner, regress_roleferry_keeper;

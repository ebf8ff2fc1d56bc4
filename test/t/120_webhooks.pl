# Webhooks come in: what is let in, what takes effect, and how often.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Digest::SHA  qw(hmac_sha256_hex hmac_sha256 hmac_sha256_base64);
use MIME::Base64 qw(encode_base64);
use RoleferryNode;
use RoleferrySigner;
use Test::More;

my $node = RoleferryNode->start_pair('main', email_accounts => 'sendgrid');
my $signer = RoleferrySigner->new($node->basedir . '/signer');

$node->write_secret('hook_stripe', 'whsec_new');
$node->write_secret('hook_stripe_old', 'whsec_old');
$node->write_secret('hook_mailgun', 'signing-key');
$node->write_secret('hook_sendgrid', $signer->public_key);
$node->write_secret('hook_token', 'hunter2hunter2');
$node->sql(
	q{
CREATE SCHEMA app AUTHORIZATION app;
CREATE ROLE front LOGIN;
SELECT roleferry.grant_access('front', 'webhook');
INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES
	('stripe', 'stripe', '{hook_stripe,hook_stripe_old}'),
	('mailgun', 'mailgun', '{hook_mailgun}'),
	('sendgrid', 'sendgrid', '{hook_sendgrid}'),
	('apollo', 'none', '{hook_token}'),
	('broken', 'stripe', '{no_such_file}');
INSERT INTO roleferry.webhook_source (name, scheme, secrets, enabled) VALUES ('off', 'stripe', '{hook_stripe}', false);
INSERT INTO roleferry.webhook_source (name, scheme, secrets, shadow) VALUES ('shadow', 'stripe', '{hook_stripe}', true);
INSERT INTO roleferry.webhook_source (name, scheme, secrets, content_key) VALUES
	('twice', 'stripe', '{hook_stripe}', '{type,data.object.id}');
SET ROLE app;
CREATE TABLE app.seen (source text, event text, who text, PRIMARY KEY (source, event));
CREATE TABLE app.log (source text, event text);
CREATE FUNCTION app.on_event(source text, event jsonb) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO app.seen VALUES (source, coalesce(event ->> 'id', event ->> 'sg_event_id', event #>> '{event-data,id}', event ->> 'request_id'), current_user);
	   INSERT INTO app.log VALUES (source, event ->> 'id') $$;
CREATE FUNCTION app.on_bad(source text, event jsonb) RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN IF event ->> 'n' = 'bad' THEN RAISE EXCEPTION 'cannot take this'; END IF; END $$;
RESET ROLE;
INSERT INTO roleferry.webhook_handler (source, function, role) SELECT s, 'app.on_event', 'app'
  FROM unnest('{stripe,mailgun,sendgrid,apollo,shadow,twice}'::text[]) s;
});

sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }
sub bytes   { return q{'\x} . unpack('H*', $_[0]) . q{'} }

# As the front: the rows, each "status http_status event_id reason".
sub receive
{
	my ($source, $headers, $body) = @_;

	return $node->safe_psql(
		'postgres',
		sprintf(
			q{SELECT concat_ws(' ', status, http_status, event_id, reason) FROM roleferry.webhook_receive(%s, %s, %s)},
			literal($source), literal($headers), bytes($body)),
		extra_params => [ '-U', 'front' ]);
}

sub count  { return $node->sql("SELECT count(*) FROM $_[0]") }
sub stripe { return $signer->stripe($_[0], $_[1] || 'whsec_new', $_[2]) }

my $event =
  '{"id": "evt_1", "object": "event", "type": "invoice.paid", "created": 1700000000, "livemode": false, "data": {"object": {"id": "in_1"}}}';

# Once.
is( receive('stripe', stripe($event), $event),
	'accepted 200 evt_1 applied',
	'a signed event is accepted');
is($node->sql('SELECT * FROM app.seen'),
	'stripe|evt_1|app', 'and its handler ran as its role');
is( receive('stripe', stripe($event), $event),
	'duplicate 200 evt_1 applied',
	'again it is a duplicate, with the first outcome');
is( receive('stripe', stripe($event, 'whsec_old', -200), $event),
	'duplicate 200 evt_1 applied',
	'also when it was signed anew, with the other secret');
is(count('app.log'), 1, 'which has no effect');
is( $node->sql(
		q{SELECT type || ' ' || kind || ' ' || extract(epoch FROM occurred_at)::int FROM roleferry.webhook_events}
	),
	'invoice.paid other 1700000000',
	'the record says what and when');
is( $node->sql(
		q{SELECT convert_from(raw, 'UTF8') FROM roleferry.webhook_event}),
	$event,
	'and has the bytes');
my $thin =
  '{"id": "evt_thin", "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found", "created": "2026-01-02T03:04:05.123456789Z"}';
is( receive('stripe', stripe($thin), $thin),
	'accepted 200 evt_thin applied',
	'a thin event is an event');
$event =~ s/evt_1/evt_2/;
is( receive('twice', stripe($event), $event),
	'accepted 200 evt_2 applied',
	'with a content key, an event is accepted');
$event =~ s/evt_2/evt_3/;
is( receive('twice', stripe($event), $event),
	'duplicate 200 evt_3 applied',
	'and the same under another id is a duplicate');

# Rejected: the same words to whoever asks, and nothing is written.
my $rows = count('roleferry.webhook_event');
my $no = 'the request was not accepted';
is( receive('stripe', stripe($event, 'whsec_other'), $event),
	"rejected 401 $no",
	'another key is rejected');
is( receive('stripe', stripe($event), "$event "),
	"rejected 401 $no",
	'so is another body');
is( receive('stripe', stripe($event, 'whsec_new', -301), $event),
	"rejected 401 $no",
	'and an old one');
is( receive('stripe', stripe($event, 'whsec_new', 310), $event),
	"rejected 401 $no",
	'one from the future');
is( receive('stripe', '{}', $event),
	"rejected 401 $no",
	'one without a signature');
is(receive('stripe', '[1]', $event), "rejected 401 $no", 'without headers');
is( receive('nowhere', stripe($event), $event),
	"rejected 404 $no",
	'one for nobody');
is( receive('off', stripe($event), $event),
	"rejected 404 $no",
	'or for a source that is off');
is( receive('broken', stripe($event), $event),
	"rejected 503 $no",
	'without a secret they are to try again');
is( receive('stripe', stripe($event), 'x' x 5242881),
	"rejected 413 $no",
	'too large a body is not even read');
is( $node->sql(
		q{SELECT concat_ws(' ', status, http_status) FROM roleferry.webhook_receive(NULL, NULL, NULL)}
	),
	'rejected 404',
	'nothing at all is nobody');
is(count('roleferry.webhook_event'), $rows, 'none of them wrote a row');
like(
	$node->sql(
		q{SELECT reason || ': ' || hint FROM roleferry.webhook_rejections WHERE source = 'stripe' ORDER BY number OFFSET 1 LIMIT 1}
	),
	qr/made the signature: .*re-encoded/,
	'the operator is told that the body may have been re-encoded');
is($node->sql(q{SELECT count(*) FROM roleferry.webhook_rejections}),
	11, 'and of each of them');
is( $node->sql(
		q{SELECT reason FROM roleferry.webhook_rejections WHERE source = 'broken'}
	),
	'no secret of the source can be used',
	'with its reason');

# Mailgun's signature covers only timestamp and token.
my $mail = $signer->mailgun('signing-key', 'tok',
	'{"id": "m1", "event": "opened", "timestamp": 1700000000.5}');
is( receive('mailgun', '{}', $mail),
	'accepted 200 m1 applied',
	'mailgun: an event is accepted');
(my $forged = $mail) =~ s/"m1"/"m2"/;
is( receive('mailgun', '{}', $forged),
	'duplicate 200 m2 applied',
	'another event with its signature is a replay');
is( $node->sql(
		q{SELECT string_agg(event, ',') FROM app.seen WHERE source = 'mailgun'}
	),
	'm1',
	'and has no effect');

# Batches.
sub sg { return $signer->sendgrid($_[0]) }
my @members = map {
	sprintf
	  '{"email":"u%d@example.net","event":"open","sg_event_id":"e%d","timestamp":1700000000,"n":"%s"}',
	  $_, $_, $_ == 2
	  ? 'bad'
	  : 'good'
} 1 .. 3;
my $batch = '[' . join(",\r\n", @members[ 0, 2 ]) . "]\r\n";
is( receive('sendgrid', sg($batch), $batch),
	"accepted 200 e1 applied\naccepted 200 e3 applied",
	'each event of a batch is accepted');
$node->sql(
	q{INSERT INTO roleferry.webhook_handler (source, event, function, role, max_attempts, retry_base, retry_cap)
	VALUES ('sendgrid', 'ope*', 'app.on_bad', 'app', 3, '1 day', '30 days')}
);
$batch = '[' . join(',', @members, '17', '{"event":"open"',) . '}]';
like(
	receive('sendgrid', sg($batch), $batch),
	qr/^duplicate 200 e1 applied\nfailed 200 e2 app\.on_bad: P0001: cannot take this\nduplicate 200 e3 applied\nfailed 200 sha256:\w+ .*\n(accepted|failed) 200 sha256:\w+ .*$/,
	'a handler that fails and members that are none lose nothing of the rest'
);
is( $node->sql(
		q{SELECT status || ' ' || attempts || ' ' || applied FROM roleferry.webhook_event WHERE event_id = 'e2'}
	),
	'failed 1 true',
	'what failed is recorded');
is($node->sql(q{SELECT count(*) FROM app.seen WHERE event = 'e2'}),
	1, 'its other handler has done its work');
is($node->sql(q{SELECT count(*) FROM roleferry.webhook_retry()}),
	0, 'there is nothing of its own to be tried again');
is( $node->sql(
		q{SELECT status || ' ' || (next_at > now()) FROM roleferry.webhook_events WHERE event_id = 'e2'}
	),
	'failed true',
	'a job is to try the handler again');
$node->sql(
	q{UPDATE roleferry.outbox SET run_at = now(); SELECT roleferry.wake()});
$node->wait_until(
	'it is not dead',
	30,
	sub {
		$node->sql(
			q{UPDATE roleferry.outbox SET run_at = now() WHERE worker IS NULL AND run_at > now(); SELECT roleferry.wake()}
		);
		$node->sql(
			q{SELECT status FROM roleferry.webhook_events WHERE event_id = 'e2'}
		) eq 'dead';
	});
is( $node->sql(
		q{SELECT concat_ws(' ', attempts, coalesce(next_at::text, 'never'), error) FROM roleferry.webhook_events WHERE event_id = 'e2'}
	),
	'3 never P0001: cannot take this',
	'after its last failure it is dead');
$node->sql(
	q{CREATE OR REPLACE FUNCTION app.on_bad(source text, event jsonb) RETURNS void LANGUAGE sql AS $$ SELECT $$}
);
is( $node->sql(
		q{SELECT status, event_id, reason FROM roleferry.webhook_replay('sendgrid', type => 'open', dry_run => true) WHERE event_id = 'e2'}
	),
	'failed|e2|dead',
	'a dry run says what would be taken up');
is( $node->sql(
		q{SELECT status, event_id, reason FROM roleferry.webhook_replay('sendgrid', type => 'open') WHERE event_id = 'e2'}
	),
	'accepted|e2|dead',
	'a replay takes it up');
is( $node->sql(q{SELECT count(*) FROM app.log WHERE source = 'sendgrid'}),
	$node->sql(q{SELECT count(*) FROM app.seen WHERE source = 'sendgrid'}),
	'and only what had failed');
is( $node->sql(
		q{SELECT status || ' ' || applied FROM roleferry.webhook_event WHERE event_id = 'e2'}
	),
	'applied true',
	'then it is done');

# Shadow; unsigned ones; handlers' rights.
$event =~ s/evt_3/evt_4/;
is( receive('shadow', stripe($event), $event),
	'accepted 200 evt_4 shadow',
	'in shadow an event is recorded');
is($node->sql(q{SELECT count(*) FROM app.seen WHERE source = 'shadow'}),
	0, 'and has no effect');
is($node->sql(q{SELECT status FROM roleferry.webhook_replay('shadow')}),
	'accepted', 'until it is replayed');
is($node->sql(q{SELECT event FROM app.seen WHERE source = 'shadow'}),
	'evt_4', 'then it has');
like(
	receive(
		'apollo',
		'{"x-roleferry-token": "hunter2hunter2"}',
		'{"request_id": "-1"}'),
	qr/^accepted 200 sha256/,
	'who knows the secret may give a hint');
is( receive('apollo', '{"x-roleferry-token": "hunter"}', '{}'),
	"rejected 401 $no",
	'nobody else');

foreach my $statement (
	'SELECT * FROM roleferry.webhook_event',
	'SELECT * FROM roleferry.webhook_source',
	'SELECT roleferry.webhook_replay()',
	q{SELECT roleferry.verify_signature('none', '{a}', '{}', '')},
	q{INSERT INTO roleferry.webhook_handler (source, function) VALUES ('stripe', 'app.on_event')}
  )
{
	my ($ret, $out, $err) =
	  $node->psql('postgres', $statement, extra_params => [ '-U', 'front' ]);
	like($err, qr/permission denied/, "a front may not: $statement");
}
$node->sql(
	q{CREATE ROLE op LOGIN; SELECT roleferry.grant_access('op', 'operator'); GRANT USAGE ON SCHEMA app TO op}
);
my (undef, undef, $err) = $node->psql(
	'postgres',
	q{INSERT INTO roleferry.webhook_handler (source, function, role) VALUES ('stripe', 'app.on_event', 'app')},
	extra_params => [ '-U', 'op' ]);
like(
	$err,
	qr/may not make handlers that run as "app"/,
	'nobody lends a handler a role that is not his');
(undef, undef, $err) = $node->psql('postgres',
	q{INSERT INTO roleferry.webhook_handler (source, function) VALUES ('stripe', 'app.on_event')}
);
like($err, qr/does not run as a superuser/, 'a superuser names another role');
$node->sql(q{ALTER ROLE app SUPERUSER});
$event =~ s/evt_4/evt_5/;
like(
	receive('stripe', stripe($event), $event),
	qr/^failed 200 evt_5 .*is a superuser/,
	'nor does one whose role became a superuser');
$node->sql(q{ALTER ROLE app NOSUPERUSER});

# A front's search_path has no say in what runs with more rights.
$node->sql(
	q{CREATE SCHEMA evil; GRANT CREATE, USAGE ON SCHEMA evil TO front;
CREATE TABLE evil.caught (who text); GRANT ALL ON evil.caught TO PUBLIC});
$node->safe_psql(
	'postgres', q{
CREATE FUNCTION evil.eq(text, text) RETURNS boolean LANGUAGE sql AS $$ INSERT INTO evil.caught VALUES (current_user); SELECT true $$;
CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = text, RIGHTARG = text)},
	extra_params => [ '-U', 'front' ]);
$event =~ s/evt_5/evt_6/;
is( $node->safe_psql(
		'postgres',
		sprintf(
			q{SET search_path = evil, pg_catalog; SELECT status FROM roleferry.webhook_receive('stripe', %s, %s)},
			literal(stripe($event)),
			bytes($event)),
		extra_params => [ '-U', 'front' ]),
	'accepted',
	'a front may have any search_path');
is(count('evil.caught'), 0, 'and nothing of it is run with more rights');

# Nor has what a handler sets a say in what the front does next.
$node->sql(
	q{
INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES ('sets', 'stripe', '{hook_stripe}');
CREATE FUNCTION app.sets(text, jsonb) RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN PERFORM set_config('search_path', 'evil', false), set_config('work_mem', '65MB', true), set_config('app.name', 'x', false); END $$;
INSERT INTO roleferry.webhook_handler (source, function, role) VALUES ('sets', 'app.sets', 'app')}
);
is( $node->safe_psql(
		'postgres',
		sprintf(
			q{SET search_path = public; SELECT status FROM roleferry.webhook_receive('sets', %s, %s);
SELECT current_setting('search_path') || current_setting('work_mem') || coalesce(current_setting('app.name', true), '')},
			literal(stripe($event)),
			bytes($event)),
		extra_params => [ '-U', 'front' ]),
	"accepted\npublic4MB",
	'what a handler has set ends with it');

# Nor is anything left behind that would run with the front's rights.
my %left_behind = (
	temporary => q{CREATE TEMPORARY TABLE seen (n integer)},
	deferred => q{INSERT INTO app.later VALUES (1)},
	prepared => q{EXECUTE 'PREPARE next_statement AS SELECT 1'});
$node->sql(
	q{
SET ROLE app;
CREATE TABLE app.later (n integer);
CREATE TABLE app.ran_as (who text);
CREATE FUNCTION app.run_later() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO app.ran_as VALUES (current_user); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER run_later AFTER INSERT ON app.later
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.run_later();
});
foreach my $what (sort keys %left_behind)
{
	$node->sql(
		qq{
INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES ('$what', 'stripe', '{hook_stripe}');
CREATE FUNCTION app.leave_$what(text, jsonb) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $left_behind{$what}; END \$\$;
INSERT INTO roleferry.webhook_handler (source, function, role, retry_base) VALUES ('$what', 'app.leave_$what', 'app', '0 s')}
	);
	like(
		receive($what, stripe($event), $event),
		qr/^failed 200 evt_6 app\.leave_$what: 42501: .* security-restricted operation/,
		"nothing $what is left by a handler");
}
ok( $node->poll_query_until(
		'postgres',
		q{SELECT count(*) = 3 FROM roleferry.webhook_events WHERE source IN ('temporary', 'deferred', 'prepared') AND status = 'applied'}
	),
	'as jobs, in sessions of their role, they may do all that');
is($node->sql('SELECT who FROM app.ran_as'),
	'app', 'what is deferred is run as the role, too');

# The id of a request names none of several events in it.
$node->write_secret('hook_standard',
	'whsec_' . encode_base64('forwarded', ''));
$node->sql(
	q{INSERT INTO roleferry.webhook_source (name, scheme, provider, secrets) VALUES ('forwarded', 'standard', 'sendgrid', '{hook_standard}')}
);

sub forwarded
{
	my ($id, @events) = @_;
	my $at = time;
	my $body = join ',', map {
		qq({"event": "delivered", "email": "$_\@example.net", "timestamp": 1700000000, "sg_event_id": "$_"})
	} @events;
	my $signature = hmac_sha256_base64("$id.$at.[$body]", 'forwarded');

	return receive(
		'forwarded',
		qq({"webhook-id": "$id", "webhook-timestamp": "$at", "webhook-signature": "v1,$signature="}),
		"[$body]");
}

is( forwarded('msg_1', 'fw_1', 'fw_2'),
	"accepted 200 fw_1 applied\naccepted 200 fw_2 applied",
	'each event of a batch that is forwarded is taken');
is(forwarded('msg_1', 'fw_1', 'fw_2'),
	"duplicate 200 fw_1 applied\nduplicate 200 fw_2 applied", 'once');
is( forwarded('msg_2', 'fw_3'),
	'accepted 200 msg_2 applied',
	'one that comes alone is known by the id that is signed');

# In order.
is( $node->sql(
		q{SET ROLE app; SELECT roleferry.advance('a', 'epoch'), roleferry.advance('a', 'epoch'), roleferry.advance('a', 'epoch', 1),
	roleferry.advance('a', '1969-01-01', 5), roleferry.advance('b', '1969-01-01')}
	),
	't|f|t|f|t',
	'an object goes forward only');

# Over JSON: the text as it came.
my $json =
  "{ \"id\": \"evt_7\",\"id\":\"evt_7\", \"type\" :\"x\", \"n\": 1.0e5, \"u\": \"\\u00e9\" }\r\n";
is( $node->safe_psql(
		'postgres',
		sprintf(
			q{SELECT status FROM roleferry.webhook_receive_json('stripe', %s, convert_from(%s, 'UTF8')::json)},
			literal(stripe($json)),
			bytes($json)),
		extra_params => [ '-U', 'front' ]),
	'accepted',
	'as json, the bytes are those that were signed');
is( $node->safe_psql(
		'postgres',
		sprintf(
			q{SELECT status FROM roleferry.webhook_receive_json('stripe', %s, convert_from(%s, 'UTF8')::jsonb::json)},
			literal(stripe($json)),
			bytes($json)),
		extra_params => [ '-U', 'front' ]),
	'rejected',
	'through jsonb they are not');

$node->stop;
done_testing();

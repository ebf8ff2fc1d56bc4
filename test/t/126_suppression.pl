
# Copyright (c) 2026, roleferry authors

# Who is suppressed gets no mail: told at enqueue, and again when the mail is
# about to leave; whatever was done to the list in between, by whom, in a copy.

use strict;
use warnings;

use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $json = JSON::PP->new->canonical;
my ($node, $simulator) = RoleferryNode->start_pair('main',
	conf =>
	  "roleferry.sweep_interval = '100ms'\nroleferry.soft_bounce_limit = 3\n"
);
my $arguments = q{'sender@mg.example.com', '%s', 'Hello', '<p>x</p>'};
my $installation =
  $node->sql('SELECT installation FROM roleferry.activation');

$node->sql(
	q{
CREATE FUNCTION public.regress_events(provider text, body text) RETURNS text
	SET search_path = pg_catalog, pg_temp LANGUAGE C AS 'roleferry', 'roleferry_events_test'}
);

# One mail by enqueue_email(), and what became of it.
sub mail_to
{
	my ($address, $more) = @_;
	my $id =
	  $node->sql('SET ROLE app; SELECT roleferry.enqueue_email('
		  . sprintf($arguments, $address)
		  . ($more ? ", $more" : '')
		  . ')');

	$node->wait_drained;
	return ($id,
		$node->sql("SELECT state FROM roleferry.jobs WHERE id = $id"));
}

sub state_of_mail_to
{
	my ($id, $state) = mail_to(@_);

	return $state;
}

sub times_accepted
{
	my ($id) = @_;
	my %accepted = $simulator->accepted_counts;

	return $accepted{"$installation.$id"} || 0;
}

sub report
{
	return $node->sql('SELECT public.regress_events(\'sendgrid\', '
		  . RoleferryNode::quote_literal($json->encode([@_]))
		  . ')');
}

#
# At enqueue
#
is(state_of_mail_to('bob@example.net'),
	'sent', 'whoever is not suppressed gets mail');
is( $node->sql(
		q{SELECT roleferry.suppress('Bob <BOB@example.net>', note => 'asked by phone')}
	),
	't',
	'an address is suppressed');
is($node->sql(q{SELECT roleferry.suppress('bob@example.net')}), 'f', 'once');
is( $node->sql(
		'SELECT address, scope, reason, note, forgotten FROM roleferry.suppressions'
	),
	'bob@example.net|global|manual|asked by phone|f',
	'and listed');
my ($id, $state) = mail_to('"B" <bob@Example.NET>');
is($state, 'suppressed', 'its mail ends as suppressed, without an error');
is(times_accepted($id), 0, 'and was seen by nobody');
is( $node->sql(
		"SELECT reason, attempts FROM roleferry.dead_letters WHERE job_id = $id"
	),
	'the recipient is suppressed (global): manual|0',
	'the dead letter says why');
is(state_of_mail_to('bobby@example.net'), 'sent', 'others get theirs');
{
	my ($first) = mail_to('bob@example.net', q{idempotency_key => 'once'});
	my ($second) = mail_to('bob@example.net', q{idempotency_key => 'once'});
	is($second, $first, 'a key of a suppressed mail is taken like any other');
}
is( $node->sql(
		'SET ROLE app; SELECT status, reason FROM roleferry.send_email('
		  . sprintf($arguments, 'bob@example.net') . ')'),
	'suppressed|the recipient is suppressed (global): manual',
	'a caller who waits is told at once');
$id = $node->sql(
	q{SET ROLE app; INSERT INTO roleferry.outbox (task, args) VALUES ('send_email',
	'{"from_addr": "a@mg.example.com", "to_addr": "bob@example.net", "subject": "s", "body_text": "t"}') RETURNING id}
);
$node->wait_drained;
is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $id"),
	'suppressed', 'a plain INSERT ends so when its turn comes');
is(times_accepted($id), 0, 'unsent');

#
# At dispatch
#
{
	$id =
	  $node->sql('SET ROLE app; SELECT roleferry.enqueue_email('
		  . sprintf($arguments, 'carol@example.net')
		  . q{, run_at => now() + interval '1 hour')});
	$node->sql(
		q{SELECT roleferry.suppress('carol@example.net', 'complained')});
	$node->sql(
		"UPDATE roleferry.outbox SET run_at = now() WHERE id = $id; SELECT roleferry.wake()"
	);
	$node->wait_drained;
	is( $node->sql(
			"SELECT state, reason FROM roleferry.dead_letters WHERE job_id = $id"
		),
		'suppressed|the recipient is suppressed (global): complained',
		'who complains while a mail waits does not get it');
	is(times_accepted($id), 0, 'for certain');
}
($id, $state) = mail_to('dave@example.net',
	q{cc => ARRAY['Bob <bob@example.net>', 'erin@example.net'], bcc => ARRAY['carol@example.net']}
);
is($state, 'sent', 'a suppressed recipient in copy does not stop the others');
{
	my ($accepted) =
	  $simulator->journal(phase => 'accepted', rf_job => "$installation.$id");
	my $text = $json->encode($accepted);
	like($text, qr/erin\@example\.net/, 'who get the mail');
	unlike(
		$text,
		qr/bob\@example\.net|carol\@example\.net/,
		'without the suppressed ones');
	is( $node->sql(
			"SELECT taken_off FROM roleferry.messages WHERE job_id = $id"),
		'{bob@example.net,carol@example.net}',
		'which is recorded');
}

#
# Streams
#
is( $node->sql(
		q{SELECT roleferry.suppress('frank@example.net', 'unsubscribed', 'news')}
	),
	't',
	'a stream is left');
is(state_of_mail_to('frank@example.net', q{stream => 'news'}),
	'suppressed', 'and sends no more');
is(state_of_mail_to('frank@example.net', q{stream => 'account'}),
	'sent', 'but others do: a password can be reset');
is(state_of_mail_to('frank@example.net'), 'sent',
	'also what is of no stream');
is( $node->sql(q{SELECT roleferry.unsuppress('frank@example.net', 'other')}),
	'0', 'another scope has no entry');
is($node->sql(q{SELECT roleferry.unsuppress('frank@example.net')}),
	'1', 'it can be undone');
is(state_of_mail_to('frank@example.net', q{stream => 'news'}),
	'sent', 'and is');

#
# Fed by events
#
my ($bounced) = mail_to('grace@example.net', q{stream => 'news'});
is( (   $simulator->journal(
			phase => 'accepted',
			rf_job => "$installation.$bounced"))[0]{custom_args}{rf_stream},
	'news',
	'a mail tells its stream');
my %of_news = (
	rf_job => "$installation.$bounced",
	rf_stream => 'news',
	timestamp => 1_700_000_000);
report({ event => 'unsubscribe', email => 'grace@example.net', %of_news });
is(state_of_mail_to('grace@example.net', q{stream => 'news'}),
	'suppressed', 'unsubscribing is of the stream');
is(state_of_mail_to('grace@example.net', q{stream => 'account'}),
	'sent', 'only');
report(
	{
		event => 'group_resubscribe',
		email => 'grace@example.net',
		%of_news, timestamp => 1_700_000_009
	});
is(state_of_mail_to('grace@example.net', q{stream => 'news'}),
	'sent', 'until it is taken back');
report(
	{
		event => 'bounce',
		type => 'bounce',
		email => 'Grace@example.net',
		rf_job => "00000000deadbeef.$bounced"
	});
is(state_of_mail_to('grace@example.net'),
	'sent', 'another installation\'s bounces are its own affair');
report(
	{
		event => 'bounce',
		type => 'bounce',
		email => 'Grace@example.net',
		%of_news
	});
is(state_of_mail_to('grace@example.net', q{stream => 'account'}),
	'suppressed', 'a hard bounce is of all');
report({ event => 'spamreport', email => 'heidi@example.net' });
is(state_of_mail_to('heidi@example.net'),
	'suppressed', 'so is a complaint, though it names no mail');
is( $node->sql(
		q{SELECT string_agg(reason || ' ' || event_id, ', ' ORDER BY address) FROM roleferry.suppressions
	WHERE address IN ('grace@example.net', 'heidi@example.net') AND scope = 'global'}
	),
	'bounced 1, complained 1',
	'and says by which event');
{
	my @soft = map {
		{
			event => 'bounce',
			type => 'blocked',
			email => 'ivan@example.net',
			timestamp => 1_700_000_000 + $_
		}
	} 1 .. 6;
	report(@soft[ 0, 1 ]);
	report({ event => 'delivered', email => 'ivan@example.net' });
	report(@soft[ 2, 3 ]);
	is(state_of_mail_to('ivan@example.net'),
		'sent', 'soft bounces with a delivery between are forgiven');
	report($soft[4]);
	is(state_of_mail_to('ivan@example.net'),
		'suppressed', 'three in a row are not');
}
{
	# A server that is down for a while: many at once, none looked at twice.
	my @many = map {
		{
			event => 'bounce',
			type => 'blocked',
			email => 'many' . $_ % 40 . '@example.net',
			timestamp => 1_700_000_000 + $_
		}
	} 1 .. 120;
	my $calls = $node->sql(
		q{BEGIN; SET LOCAL track_functions = 'all'; SELECT public.regress_events('sendgrid', }
		  . RoleferryNode::quote_literal($json->encode(\@many))
		  . q{) IS NULL; SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'address_key'; COMMIT}
	);
	is($calls, "f\n120", 'the address of each soft bounce is hashed once');
	is( $node->sql(
			q{SELECT count(*) FROM roleferry.suppressions WHERE reason = 'soft_bounces' AND address LIKE 'many%'}
		),
		40,
		'and each that bounced three times is suppressed');
}

#
# Import, export, forgetting
#
$node->sql(
	q{
CREATE TABLE public.staging AS SELECT 'import' || n || '@example.net' AS address FROM generate_series(1, 500) AS n;
SELECT count(*) FROM (SELECT roleferry.suppress(address, 'imported') FROM public.staging) AS s}
);
is(state_of_mail_to('import500@example.net'),
	'suppressed', 'a list can be imported');
my $exported = $node->sql(
	q{COPY (SELECT address, scope, reason, since FROM roleferry.suppressions WHERE reason = 'imported') TO STDOUT}
);
is(scalar(split /\n/, $exported), 500, 'and exported');

# What others remember of her goes, and nothing of who has a longer name.
$node->sql(
	q{
INSERT INTO roleferry.person_cache VALUES ('apollo', '1', 'grace@example.net', now(), '[]'), ('apollo', '2', 'a.grace@example.net', now(), '[]');
INSERT INTO roleferry.search_cache VALUES ('\x01', 'apollo', 1, 1, false, now(), 'example.net', '[{"email": "Grace@example.net"}]'),
	('\x02', 'apollo', 1, 1, false, now(), 'example.net', '[{"email": "a.grace@example.net"}]');
INSERT INTO roleferry.email_verdict_cache (email, checked_at, status, provider)
	VALUES ('grace@example.net', now(), 'valid', 'neverbounce'), ('a.grace@example.net', now(), 'valid', 'neverbounce');
INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES ('forgets', 'stripe', '{x}');
INSERT INTO roleferry.webhook_event (source, event_id, type, kind, status, raw) VALUES
	('forgets', '1', 'x', 'other', 'applied', '{"email":"grace@example.net"}'),
	('forgets', '2', 'x', 'other', 'failed', '{"email":"grace@example.net"}'),
	('forgets', '3', 'x', 'other', 'applied', '{"email":"a.grace@example.net"}');
UPDATE roleferry.webhook_event SET next_at = 'infinity' WHERE status = 'failed' AND source = 'forgets';
});
$node->sql(q{SELECT roleferry.forget('Grace@example.net')});
is( $node->sql(
		q{SELECT (SELECT string_agg(person_id, ' ') FROM roleferry.person_cache),
	(SELECT string_agg(digest::text, ' ') FROM roleferry.search_cache),
	(SELECT string_agg(email, ' ') FROM roleferry.email_verdict_cache),
	(SELECT string_agg(event_id, ' ' ORDER BY event_id) FROM roleferry.webhook_event WHERE raw IS NOT NULL AND source = 'forgets')}
	),
	'2|\x02|a.grace@example.net|2 3',
	'caches and events forget her, and nobody else');
is( $node->sql(
		q{SELECT count(*) FROM roleferry.suppressions WHERE address = 'grace@example.net'}
	),
	'0',
	'a forgotten address is not listed');
is( $node->sql(
		q{SELECT count(*) FROM roleferry.message WHERE to_addr ~* 'grace'}),
	'0',
	'nor in any message');
is(state_of_mail_to('grace@example.net'), 'suppressed', 'but gets no mail');
is($node->sql(q{SELECT roleferry.forget('judy@example.net')}),
	'1', 'also one that was never written to');
is(state_of_mail_to('judy@example.net'),
	'suppressed', 'gets none from then on');

{
	my $dump = $node->basedir . '/dump.sql';
	command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ],
		'a dump');
	$node->sql('CREATE DATABASE copy');
	command_ok(
		[
			'psql', '-X', '-q', '-v',
			'ON_ERROR_STOP=1', '-f', $dump, '-d',
			$node->connstr('copy')
		],
		'and its restore');
	is( $node->safe_psql(
			'copy',
			"SELECT count(*) FROM roleferry.suppression WHERE address_key = roleferry.address_key('grace\@example.net')"
		),
		$node->sql(
			"SELECT count(*) FROM roleferry.suppression WHERE address_key = roleferry.address_key('grace\@example.net')"
		),
		'a restored database knows whom it has forgotten');
	$id = $node->safe_psql('copy',
			'SET ROLE app; SELECT roleferry.enqueue_email('
		  . sprintf($arguments, 'judy@example.net')
		  . ')');
	is( $node->safe_psql(
			'copy', "SELECT state FROM roleferry.jobs WHERE id = $id"),
		'suppressed',
		'and writes to none of them');
}

is( $node->sql(
		q{SELECT count(*) FROM roleferry.jobs WHERE state NOT IN ('sent', 'suppressed')}
	),
	'0',
	'no mail ended otherwise');
$node->stop;
done_testing();

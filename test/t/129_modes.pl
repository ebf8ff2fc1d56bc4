
# Copyright (c) 2026, roleferry authors

# roleferry.mode: nothing leaves in a stricter mode than live, by whichever
# path, and whoever chose it; roleferry.redirect_all_to: mail reaches nobody
# else.  Counted where mails arrive.

use strict;
use warnings;

use Cwd            qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP       ();
use MIME::Base64   qw(decode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $json = JSON::PP->new->canonical;
my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	simulator => ['--keep-raw'],
	conf => q{
roleferry.sweep_interval = '100ms'
roleferry.search_fresh = 0
roleferry.search_stale = 0
});
my $mail = q{'sender@mg.example.com', '%s', 'Hello', '<p>x</p>'};

$node->add_verifier('neverbounce');
$node->sql(
	sprintf q{
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%s');
GRANT USAGE ON FOREIGN SERVER apollo TO app;
CREATE ROLE ops LOGIN;
SELECT roleferry.grant_access('ops', 'operator');
CREATE FUNCTION public.welcome(address text) RETURNS bigint LANGUAGE sql
	AS $$ SELECT roleferry.enqueue_email('sender@mg.example.com', address, 'From a task', 'x') $$;
SELECT roleferry.register_task('app.welcome', 'public.welcome(text)');
}, $simulator->url('apollo'));

# Everything that any provider was sent.
sub requests
{
	return scalar(my @lines = $simulator->journal(phase => 'body'));
}

sub server_mode
{
	my ($mode) = @_;

	$node->sql("ALTER SYSTEM SET roleferry.mode = '$mode'");
	$node->sql('SELECT pg_reload_conf()');
	$node->wait_until("the server's mode is $mode",
		10, sub { $node->sql('SELECT roleferry.server_mode()') eq $mode });
	return;
}

# As the role "app", in a session of that mode; its last line.
sub app
{
	my ($mode, $sql) = @_;
	my @lines = split /\n/,
	  $node->sql(($mode ? "SET roleferry.mode = '$mode';" : '')
		. "SET ROLE app; $sql");

	return $lines[-1];
}

sub error_of
{
	my ($mode, $sql) = @_;
	my (undef, undef, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET roleferry.mode = '$mode';\nSET ROLE app;\n$sql"
	);

	return $err;
}

sub enqueue
{
	my ($mode, $address, $more) = @_;

	return app($mode,
			'SELECT roleferry.enqueue_email('
		  . sprintf($mail, $address)
		  . ($more ? ", $more" : '')
		  . ')');
}

#
# A session in capture mode
#
{
	my $id = enqueue('capture', 'ann@example.net');

	is($node->wait_job_end($id), 'captured',
		'a mail of a session in capture mode ends as captured');
	is( app(undef,
			"SELECT task, account, args ->> 'to_addr', request #>> '{body,personalizations,0,to,0,email}', request #>> '{headers,Authorization}', problem FROM roleferry.captured() WHERE job_id = $id"
		),
		'send_email|sendgrid|ann@example.net|ann@example.net|Bearer ***|',
		'its request can be looked at, without the key');
	is( $node->sql(
			"SELECT count(*) FROM roleferry.dead_letters WHERE job_id = $id"),
		0,
		'it is no dead letter to anybody');
	like(
		error_of('live', "SELECT roleferry.retry($id)"),
		qr/ERROR:  55000: job $id was captured/,
		'and is not tried again');
	is( app('capture',
			'SELECT status, provider, reason FROM roleferry.send_email('
			  . sprintf($mail, 'bea@example.net') . ')'),
		'captured|sendgrid|roleferry.mode is "capture": nothing was sent',
		'who waits is told so');
	is( app('capture',
			sprintf
			  q{INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '{"from_addr": "a@mg.example.com", "to_addr": "cid@example.net", "subject": "s", "body_text": "t"}');
		SELECT args ->> 'to_addr' FROM roleferry.captured() ORDER BY job_id DESC LIMIT 1}
		),
		'cid@example.net',
		'a plain INSERT is captured, too');
	is( app('capture',
			q{SELECT count(*) FROM roleferry.captured() WHERE request #>> '{headers,X}' IS NULL AND request::text LIKE '%test-key%'}
		),
		0,
		'no key stands in any request');
	$node->wait_drained;

	my $task = app('capture',
		q{SELECT roleferry.enqueue('app.welcome', '{"address": "dan@example.net"}')}
	);
	is($node->wait_job_end($task), 'done', 'a SQL task of such a session runs');
	$node->wait_drained;
	is( $node->sql(
			q{SELECT count(*), min(j.state) FROM roleferry.captured() c JOIN roleferry.jobs j ON j.id = c.job_id WHERE c.args ->> 'to_addr' = 'dan@example.net'}
		),
		'1|captured',
		'and the mail that it enqueues is captured, too');

	$id = app('capture',
		q{SELECT roleferry.enqueue_verify_emails(ARRAY['eve@example.net'])});
	is($node->wait_job_end($id), 'captured', 'so is a lookup that costs money');
	$id = app('capture',
		q{SELECT roleferry.enqueue_apollo_search(domain => 'example.com', titles => ARRAY['CEO'])}
	);
	is($node->wait_job_end($id), 'captured', 'and a search');
	like(
		error_of(
			'capture',
			q{SELECT * FROM roleferry.verify_emails(ARRAY['eve@example.net'])}
		),
		qr/ERROR:  55000: roleferry\.mode is "capture": no provider is asked/,
		'who waits for one gets an error');
	is(requests(), 0, 'nobody was sent anything');
}

# What is rolled back is not there, and can be looked at before.
is( app('capture', q{BEGIN;
	SELECT roleferry.enqueue_email('sender@mg.example.com', 'first@example.net', 'Hello', 'x', cc => ARRAY['copy@example.net'], accounts => '{mailgun}') AS first \gset
	SAVEPOINT s;
	SELECT roleferry.enqueue_email('sender@mg.example.com', 'second@example.net', 'Hello', 'x');
	ROLLBACK TO s;
	SELECT status FROM roleferry.send_email('sender@mg.example.com', 'third@example.net', 'Hello', 'x');
	SELECT string_agg(coalesce(request #>> '{body,to}', args ->> 'to_addr'), ' ' ORDER BY job_id), min(request #>> '{body,cc}') FROM roleferry.captured() WHERE job_id >= :first}
	),
	'first@example.net third@example.net|copy@example.net',
	'a transaction sees what it would send, and not what it has taken back');
is( $node->sql(
		q{SELECT count(*) FROM roleferry.captured() WHERE args ->> 'to_addr' = 'first@example.net'}
	),
	0,
	'once it is rolled back there is nothing');
is( $node->sql(
		q{SET ROLE ops; SELECT count(*) > 0 FROM roleferry.captured()}),
	't',
	'operators see what others have captured');
$node->sql(
	q{CREATE ROLE other; SELECT roleferry.grant_access('other', 'sender')});
is( $node->sql(q{SET ROLE other; SELECT count(*) FROM roleferry.captured()}),
	0, 'other senders do not');

#
# The server's mode, whatever sessions say
#
{
	my $before = requests();

	$node->sql("ALTER DATABASE postgres SET roleferry.mode = 'live'");
	$node->sql("SELECT roleferry.pause_all('until the mode is another')");
	my @early = $node->enqueue(2);
	server_mode('capture');
	my $id = enqueue('live', 'fay@example.net');
	is( $node->sql("SELECT mode FROM roleferry.outbox WHERE id = $id"),
		'capture',
		'a session that wants to be live is not, and its job says so');
	$node->sql('SELECT roleferry.resume_all()');
	is($node->wait_job_end($_), 'captured',
		'it is captured, as is what was enqueued before')
	  foreach $id, @early;
	$node->disown(@early);
	like(
		error_of(
			'live',
			q{SELECT * FROM roleferry.apollo_search(domain => 'example.com', titles => ARRAY['CEO'], enrich => false)}
		),
		qr/ERROR:  55000: .*roleferry\.mode is "capture"/,
		'no question is asked');
	is( $node->wait_job_end(
			app('live',
				q{SELECT roleferry.enqueue_verify_emails(ARRAY['gus@example.net'])}
			)),
		'captured',
		'nothing is paid for');
	is(requests(), $before, 'nobody was sent anything');

	$node->sql("ALTER DATABASE postgres RESET roleferry.mode");
	like(
		$node->sql(
			q{SELECT string_agg(finding, '; ') FROM roleferry.doctor()}),
		qr/roleferry\.mode is "capture" on this server/,
		'doctor() says so');

	# Without a key: nobody is asked, so nothing is missing.
	$node->write_secret('sendgrid', '');
	$node->write_secret('mailgun', '');
	is($node->wait_job_end(enqueue(undef, 'hal@example.net')),
		'captured', 'what is not sent needs no key');
	$node->write_secret('sendgrid', 'SG.test-key');
	$node->write_secret('mailgun', 'mg-test-key');
}

# Off
{
	my $before = requests();

	server_mode('off');
	my $id = enqueue(undef, 'ida@example.net');
	my $lookup = app(undef,
		q{SELECT roleferry.enqueue_verify_emails(ARRAY['ida@example.net'])});
	my $task = app(undef,
		q{SELECT roleferry.enqueue('app.welcome', '{"address": "jim@example.net"}')}
	);
	is($node->wait_job_end($task), 'done', 'SQL tasks run while the server is off');
	$node->wait_turn;
	is( $node->sql(
			"SELECT string_agg(why || ': ' || detail, '; ') FROM roleferry.blocked WHERE job_id = $id"
		),
		'mode: roleferry.mode is "off" on this server',
		'jobs wait, and it can be seen why');
	is($node->sql("SELECT attempts FROM roleferry.outbox WHERE id = $id"),
		0, 'untouched');
	like(
		error_of(
			'live',
			'SELECT * FROM roleferry.send_email('
			  . sprintf($mail, 'kim@example.net') . ')'),
		qr/ERROR:  55000: roleferry\.mode is "off"/,
		'who would wait is refused');
	like(
		error_of(
			'live',
			q{SELECT * FROM roleferry.verify_emails(ARRAY['ida@example.net'])}
		),
		qr/ERROR:  55000: roleferry\.mode is "off"/,
		'whatever he asks for');
	is(requests(), $before, 'nobody was sent anything');

	my $captured = enqueue('capture', 'lea@example.net');
	server_mode('live');
	is($node->wait_job_end($id), 'sent', 'they go when it is live again');
	is($node->wait_job_end($lookup), 'done', 'lookups, too');
	is($node->wait_job_end($captured), 'captured',
		'but for what chose a stricter mode itself');
	like(
		error_of(
			'off',
			'SELECT roleferry.enqueue_email('
			  . sprintf($mail, 'mia@example.net') . ')'),
		qr/ERROR:  55000: roleferry\.mode is "off" in this session/,
		'a session that is off enqueues nothing');
	$node->wait_drained;
}

# Sandbox: the provider checks the mail and sends it to nobody.
{
	my %before = map { $_ => $simulator->stats($_) } qw(sendgrid mailgun);

	foreach my $account (qw(sendgrid mailgun))
	{
		my $id =
		  enqueue('sandbox', 'ned@example.net', "accounts => '{$account}'");

		is($node->wait_job_end($id), 'sent', "$account takes a mail in sandbox mode");
		like(
			$node->sql(
				"SELECT note FROM roleferry.messages WHERE job_id = $id"),
			qr/^roleferry\.mode is "sandbox"/,
			'which says what it was');
		cmp_ok(
			$simulator->stats($account)->{sandbox},
			'==',
			$before{$account}{sandbox} + 1,
			'and was told to send it to nobody');
	}
	like(
		app('sandbox',
			'SELECT status, reason FROM roleferry.send_email('
			  . sprintf($mail, 'oli@example.net')
			  . q{, provider_options => '{"sendgrid": {"mail_settings": {"sandbox_mode": {"enable": false}}}}')}
		),
		qr/^sent\|roleferry\.mode is "sandbox"/,
		'who waits is told, and no option of the mail undoes it');
	cmp_ok(
		$simulator->stats('sendgrid')->{sandbox},
		'==',
		$before{sendgrid}{sandbox} + 2,
		'it was a test');

	is( $node->wait_job_end(
			app('sandbox',
				q{SELECT roleferry.enqueue_apollo_search(domain => 'example.com', titles => ARRAY['CEO'], enrich => false)}
			)),
		'failed',
		'a search fails');
	my $lookup = app('sandbox',
		q{SELECT roleferry.enqueue_verify_emails(ARRAY['pam@example.net'])});
	is($node->wait_job_end($lookup), 'failed', 'what has no test mode fails');
	is( $node->sql(
			"SELECT reason FROM roleferry.dead_letters WHERE job_id = $lookup"
		),
		'roleferry.mode is "sandbox", and there is no test mode for verify_emails',
		'and says why');
	is( $node->sql(
			"BEGIN; SELECT roleferry.retry($lookup); SELECT mode FROM roleferry.outbox WHERE id = $lookup; COMMIT"
		) =~ s/^\n//r,
		'sandbox',
		'tried again by somebody who is live, it is what it was');
	is($node->wait_job_end($lookup), 'failed', 'and fails again');
}

#
# Everything to one address
#
{
	my $id;
	my $at = scalar(my @old = $simulator->journal(phase => 'accepted'));

	$node->sql("SELECT roleferry.pause_all('until mails go elsewhere')");
	$id = enqueue(
		undef,
		'"Q" <quin@example.net>',
		q{cc => ARRAY['c@example.net'], bcc => ARRAY['b@example.net'], accounts => '{sendgrid}'}
	);
	$node->sql(
		q{ALTER SYSTEM SET roleferry.redirect_all_to = 'staging@example.org'}
	);
	$node->sql('SELECT pg_reload_conf()');
	$node->wait_until('the setting is read',
		10, sub { $node->sql('SHOW roleferry.redirect_all_to') });
	$node->wait_turn;
	$node->sql('SELECT roleferry.resume_all()');
	is($node->wait_job_end($id), 'sent', 'a mail is sent');
	is( $node->wait_job_end(
			enqueue(
				undef, 'rob@example.net',
				q{cc => ARRAY['c@example.net'], accounts => '{mailgun}'})),
		'sent',
		'another by another account');

	my @new = $simulator->journal(phase => 'accepted');
	is_deeply(
		[ map { $_->{to} } @new[ $at .. $#new ] ],
		[ ['staging@example.org'], ['staging@example.org'] ],
		'both go to one address, what was enqueued before, too');
	my ($sendgrid) = grep { ($_->{rf_job} // '') =~ /\.$id$/ }
	  $simulator->journal(phase => 'body');
	my $body = $json->decode(decode_base64($sendgrid->{raw_body}));
	is( $body->{headers}{'X-Roleferry-Original-To'}
		  // $body->{personalizations}[0]{headers}{'X-Roleferry-Original-To'},
		'quin@example.net, c@example.net, b@example.net',
		'a header says whom it was for');
	my @others =
	  grep { /\@example\.net$/ } map { @{ $_->{to} } } @new[ $at .. $#new ];
	is("@others", "", "nobody else gets a copy");
	is( $node->sql(
			"SELECT to_addr FROM roleferry.messages WHERE job_id = $id"),
		'"Q" <quin@example.net>',
		'the record says whom it was for');
	unlike(slurp_file($node->logfile) =~ s/.*(?:statement|STATEMENT):.*//gr,
		qr/quin\@example\.net/, 'the log does not');
	my (undef, undef, $err) = $node->psql('postgres',
		q{ALTER SYSTEM SET roleferry.redirect_all_to = 'a@example.org, b@example.org'}
	);
	like(
		$err,
		qr/invalid value for parameter "roleferry\.redirect_all_to"/,
		'it is one address');
	$node->sql('ALTER SYSTEM RESET roleferry.redirect_all_to');
	$node->sql('SELECT pg_reload_conf()');
}

#
# explain_email(): by the gates that decide, and without effects
#
{
	my $before = requests();
	my $explain =
	  'SELECT name, verdict, reason, until > now() FROM roleferry.explain_email('
	  . sprintf($mail, 'sue@example.net') . ')';

	$node->sql(
		q{INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('sendgrid', 1, '1 hour')}
	);
	$node->wait_turn;
	is( app(undef, "$explain WHERE item = 'account'") . '; '
		  . app(undef, "$explain WHERE item = 'result'"),
		'mailgun|next||; sendgrid|sends||',
		'who is asked first is taken') for 1 .. 3;
	is( $node->sql(
			'SELECT max(used) FROM roleferry.rate_limits WHERE account = \'sendgrid\''
		),
		0,
		'no token is taken by asking');
	is($node->wait_job_end(enqueue(undef, 'sue@example.net')), 'sent',
		'a mail takes it');
	is( app(undef,
			"$explain AND item = 'account' AND name = 'sendgrid'" =~
			  s/ AND item/ WHERE item/r),
		'sendgrid|passed over|a rate limit is used up|t',
		'a full window is told, and until when');
	is(app(undef, "$explain WHERE item = 'result'"),
		'mailgun|sends||', 'then it is the next');
	$node->sql(
		q{SELECT roleferry.force_circuit('mailgun', 'open', 'they are down')}
	);
	$node->wait_turn;
	like(
		app(undef, "$explain WHERE name = 'mailgun'"),
		qr/^mailgun\|passed over\|its circuit is open: .*they are down/,
		'so is an open circuit');
	is(app(undef, "$explain WHERE item = 'result'"),
		'|waits||t', 'then it waits, and until when is known');
	$node->sql(
		q{DELETE FROM roleferry.rate_limit; SELECT roleferry.pause_account('sendgrid', 'a person says so')}
	);
	$node->wait_turn;
	like(
		app(undef, "$explain WHERE name = 'sendgrid'"),
		qr/^sendgrid\|passed over\|paused by a person/,
		'and a pause');
	$node->sql(
		q{SELECT roleferry.resume_account('sendgrid'); SELECT roleferry.force_circuit('mailgun', 'closed', 'they are up', now() + interval '1 second'); SELECT roleferry.pause_queue('sequences', 'wait')}
	);
	$node->wait_turn;
	like(
		app(undef, "$explain WHERE item = 'queue'"),
		qr/^sequences\|closed\|it is paused/,
		'a paused queue');
	$node->sql(q{SELECT roleferry.resume_queue('sequences')});
	is(requests(), $before + 1, 'nothing was sent but the one mail');
}

#
# The example of doc/testing.md, as it stands there
#
SKIP:
{
	my ($example) =
	  slurp_file(dirname(abs_path(__FILE__)) . '/../../doc/testing.md') =~
	  /^```sql\n(.*?)^```$/ms;

	skip 'pgTAP is not installed here', 1
	  unless $node->sql(
		q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pgtap'});
	$node->sql('CREATE EXTENSION pgtap');
	is( $node->sql("SET search_path = public;\n$example") =~ s/^\n//gmr,
		join("\n",
			'1..4',
			'ok 1 - a new customer is welcomed',
			'ok 2 - that is what SendGrid would read',
			'ok 3 - one mail each',
			'ok 4 - and none for whom was taken back'),
		'the example for users of pgTAP passes');
}

$node->assert_invariants;
$node->teardown_node;
done_testing();

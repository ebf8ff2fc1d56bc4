
# Copyright (c) 2026, roleferry authors

# What a provider answers decides what happens to the mail and to the account:
# Retry-After is honoured within bounds, a storm of errors opens the circuit,
# failover follows only a proof that the mail was not taken, and what nobody
# knows waits for settle().

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX qw(setlocale strftime LC_TIME);
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

setlocale(LC_TIME, 'C');

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.breaker_failures = 3
roleferry.breaker_cooldown = '500ms'
roleferry.retry_after_max = '4s'
});

# A server of its own has a gate of its own: no case closes another's.
sub make_account
{
	my ($name, %options) = @_;
	my $provider = delete $options{provider} || 'sendgrid';
	my %all = (
		provider => $provider,
		secret => $provider,
		base_url => $simulator->url($provider),
		$provider eq 'mailgun' ? (domain => 'mg.example.com') : (),
		%options);
	my $list = join ', ', map { "$_ '$all{$_}'" } sort keys %all;

	$node->sql(qq{
CREATE SERVER $name FOREIGN DATA WRAPPER roleferry OPTIONS ($list);
GRANT USAGE ON FOREIGN SERVER $name TO app});
	return;
}

sub answer
{
	my ($subject, $provider, %action) = @_;
	my $count = delete $action{count};

	return $simulator->rule({ name => $subject, provider => $provider,
			defined $count ? (count => $count) : (),
			match => { subject => "^$subject\$" }, action => \%action });
}

sub send_mail
{
	my ($subject, $accounts, %more) = @_;

	return ($node->enqueue(1, subject => $subject, accounts => $accounts, %more))[0];
}

# When each provider has read the mail, in order.
sub requests
{
	my ($subject, %match) = @_;

	return map { $_->{t} } $simulator->journal(phase => 'body', subject => $subject, %match);
}

sub column
{
	my ($id, $column, $view) = @_;

	$view ||= 'attempts';
	return $node->sql("SELECT $column FROM roleferry.$view WHERE job_id = $id ORDER BY 1 LIMIT 1");
}

sub sent_by
{
	my ($id) = @_;

	return column($id, 'account', 'messages');
}

sub account_row
{
	my ($name) = @_;

	return $node->sql("SELECT state, reason FROM roleferry.accounts WHERE account = '$name'");
}

sub log_text
{
	return slurp_file($node->logfile);
}

sub raises
{
	my ($query, $sqlstate, $name, %params) = @_;
	my ($status, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query", %params);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($stderr, qr/ERROR:  $sqlstate:/, $name);
	return;
}

$node->wait_dispatcher(30);

#
# Row 17: 429.  All cases wait at the same time, each on an account of its own.
#

my $now = time;
my @waits = (
	# Retry-After, least and most seconds until the second request
	[ '2', 1.9, 4.5 ],
	[ '0', 0.9, 3.5 ],
	[ '86400', 3.9, 7 ],
	[ strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime($now + 4)), undef, 7 ],
	[ strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime($now - 3600)), 0.9, 3.5 ],
	[ 'soon', 0.9, 3.5 ],
	[ '-5', 0.9, 3.5 ],
	[ '99999999999999999999999', 0.9, 7 ],
	[ '', 0.9, 3.5 ]);
my @waiting;

foreach my $number (0 .. $#waits)
{
	make_account("throttled_$number");
	answer("throttled $number", 'sendgrid', count => 1, status => 429,
		headers => { 'Retry-After' => $waits[$number][0] });
	push @waiting, send_mail("throttled $number", ["throttled_$number"]);
}
# A whole lane that is refused at once asks again once, not as often as it is long.
make_account('busy');
answer('busy', 'sendgrid', status => 429, headers => { 'Retry-After' => '0' });
my @busy = map { send_mail('busy', ['busy'], max_attempts => 2) } 1 .. 3;
my $busy_until = time + 4;

$node->wait_until('the mail is not refused', 10, sub { account_row('throttled_2') !~ /^ready/ });
like(account_row('throttled_2'), qr/^paused\|too many requests/,
	'an account that was told to wait is paused, in the provider\'s words');
is($node->sql("SELECT until > now() AND until <= now() + interval '4 s' FROM roleferry.accounts WHERE account = 'throttled_2'"),
	't', 'a day is cut to roleferry.retry_after_max');
is($node->sql("SELECT attempts, failures FROM roleferry.outbox WHERE id = $waiting[2]"),
	'1|0', 'waiting for an account charges no failure');
like($node->sql("SELECT detail FROM roleferry.job_report($waiting[2]) WHERE event = 'waiting'"),
	qr/not before|throttled_2 is paused/, 'the report says what the job waits for');

foreach my $number (0 .. $#waits)
{
	my ($text, $least, $most) = @{ $waits[$number] };

	$node->job_ends_as($waiting[$number], 'sent', "Retry-After \"$text\": the mail is sent in the end");
	my @at = requests("throttled $number");
	is(scalar @at, 2, "Retry-After \"$text\": two requests and no more");
	cmp_ok($at[1], '>=', defined $least ? $at[0] + $least : int($now + 4), "Retry-After \"$text\": not before it is time");
	cmp_ok($at[1] - $at[0], '<', $node->patient($most), "Retry-After \"$text\": and soon after");
	like(log_text(), qr/LOG: .*account "throttled_$number" is paused: /,
		"Retry-After \"$text\": the log tells of the pause");
}
usleep(($busy_until - time) * 1e6) if time < $busy_until;
{
	my @at = grep { $_ < $busy_until } requests('busy');

	cmp_ok(scalar @at, '<=', 3 * 6, 'Retry-After "0" makes no busy loop');
	$node->wait_until('the mails are not tried again', 10, sub { requests('busy') > 3 });
	pass('and the mails are tried again');
	is($node->sql("SELECT max(failures) FROM roleferry.outbox WHERE id IN (@{[ join ',', @busy ]})"),
		0, 'however often it is refused, no failure is charged');
	$simulator->clear_rules('busy');
	$node->job_ends_as($_, 'sent', 'a mail refused for a while is sent') for @busy;
}
$simulator->clear_rules;

# The cap that nobody changed.
$node->sql('ALTER SYSTEM SET roleferry.retry_after_max = 3600');
$node->sql('SELECT pg_reload_conf()');
make_account('patient');
answer('patient', 'sendgrid', status => 429, headers => { 'Retry-After' => '86400' });
{
	my $id = send_mail('patient', [ 'patient', 'mailgun' ]);

	$node->job_ends_as($id, 'sent', 'a throttled mail is sent');
	is(sent_by($id), 'mailgun', 'at once, by the next account');
	is($node->sql("SELECT until - now() BETWEEN interval '3500 s' AND interval '3600 s' FROM roleferry.accounts WHERE account = 'patient'"),
		't', 'by default a provider can close its account for an hour at most');
}

#
# Row 18: a storm of 500s, then good weather.
#

make_account('storm', max_in_flight => 1);
answer('storm', 'sendgrid', status => 500);
my $storm_began = time;
my @storm = map { send_mail('storm', ['storm']) } 1 .. 20;
$node->wait_until('the circuit does not open', 10, sub { account_row('storm') =~ /^open/ });
like(account_row('storm'), qr/^open\|internal error/, 'a storm of 500s opens the circuit');
usleep(($storm_began + 4 - time) * 1e6) if time < $storm_began + 4;
$node->wait_until('an open circuit is not probed', 10, sub { requests('storm') > 3 });
$simulator->clear_rules('storm');
my @probes = grep { $_ < $storm_began + 4 } requests('storm');
cmp_ok(scalar @probes, '<=', 3 + 4, 'an open circuit is probed by few requests while the storm lasts');
foreach my $number (3 .. $#probes)
{
	cmp_ok($probes[$number] - $probes[ $number - 1 ], '>=', 0.49, 'one probe a cooldown, and no more');
}
$node->wait_job_end($_) for @storm;
my $refused = () = $simulator->journal(phase => 'refused', rule => 'storm');
my $states = $node->sql("SELECT state, count(*) FROM roleferry.jobs WHERE id IN (@{[ join ',', @storm ]}) GROUP BY 1 ORDER BY 1");
is($states, 'sent|' . (20 - $refused) . "\nunknown|$refused",
	'what met a 500 is unknown, everything else is sent when the storm is over');
is(scalar @{ [ requests('storm') ] }, 20, 'every mail made one request');
like(log_text(), qr/LOG: .*account "storm": circuit opened: internal error.*account "storm": circuit closed/s,
	'the log tells of both transitions');
is(account_row('storm'), 'ready|', 'the account is ready again');

# A mail that may go twice ends all the same.
make_account('stubborn');
answer('stubborn', 'sendgrid', status => 500);
{
	my $id = send_mail('stubborn', ['stubborn'], delivery => 'at_least_once', max_attempts => 2);

	$node->wait_until('the second request does not come', 20, sub {
		# The wait before it is random and up to 30 s: cut it short.
		$node->sql("UPDATE roleferry.outbox SET run_at = now() WHERE id = $id AND worker IS NULL AND run_at > now()");
		$node->sql('SELECT roleferry.wake()');
		return $node->job_state($id) eq 'failed';
	});
	is(scalar @{ [ requests('stubborn') ] }, 2, 'max_attempts bounds the requests of an at_least_once mail');
	is(column($id, 'attempts, failures', 'dead_letters'), '2|2', 'and each was charged');
}

#
# Failover: only where the mail is proven not taken.
#

my @failovers = (
	# name, answer of the first account, outcome of its attempt
	[ '429', { status => 429 }, 'throttle', 'paused' ],
	[ 'credits', { status => 401, body => '{"errors":[{"message":"Maximum credits exceeded","field":null,"help":null}]}' },
		'quota', 'stopped' ],
	[ 'identity', { status => 403, body => '{"errors":[{"message":"The from address does not match a verified Sender Identity","field":"from","help":null}]}' },
		'config', 'ready' ],
	[ 'unavailable', { status => 503, headers => { 'Retry-After' => '3' } }, 'throttle', undef ]);

foreach my $case (@failovers)
{
	my ($name, $action, $outcome, $state) = @$case;

	make_account("first_$name");
	answer("failover $name", 'sendgrid', %$action);
	my $id = send_mail("failover $name", [ "first_$name", 'mailgun' ]);
	$node->job_ends_as($id, 'sent', "after $name the mail is sent");
	is(sent_by($id), 'mailgun', "after $name by the next account");
	is(column($id, "account || ' ' || outcome || ' ' || verdict"),
		"first_$name $outcome next_account", "after $name because it was refused");
	is(join(' ', map { $_->{provider} } $simulator->journal(phase => 'body', subject => "failover $name")),
		'sendgrid mailgun', "after $name one request each, in order");
	like(account_row("first_$name"), qr/^$state/, "after $name the account is $state") if $state;
}

make_account('refused', base_url => 'https://localhost:1');
{
	my $id = send_mail('refused', [ 'refused', 'mailgun' ]);

	$node->job_ends_as($id, 'sent', 'a mail whose first account refuses connections is sent');
	is(sent_by($id), 'mailgun', 'by the next account');
	is(column($id, "outcome || ' ' || reason"), 'transient connection refused', 'and the history says why');
}
make_account('no_domain', provider => 'mailgun', domain => 'nowhere.example.com');
{
	my $id = send_mail('no domain', [ 'no_domain', 'sendgrid' ]);

	$node->job_ends_as($id, 'sent', 'a mail whose first account\'s domain is not found is sent');
	is(sent_by($id), 'sendgrid', 'by the next account');
	is(column($id, "outcome || ' ' || http_status"), 'config 404', 'Mailgun\'s 404 is about the account');
}

# The order of roleferry.email_accounts, with nothing said in the mail.
{
	my ($id) = $node->enqueue(1, subject => 'no account named');

	$node->job_ends_as($id, 'sent', 'a mail that names no account is sent');
	is(sent_by($id), 'sendgrid', 'by the first of roleferry.email_accounts');
}

# A key the provider does not know, until it is replaced.
$node->write_secret('wrong', 'SG.wrong-key-of-ours');
make_account('wrong_key', secret => 'wrong');
{
	my $id = send_mail('wrong key', [ 'wrong_key', 'mailgun' ]);

	$node->job_ends_as($id, 'sent', 'a mail whose first account has a bad key is sent');
	is(sent_by($id), 'mailgun', 'by the next account');
	is(column($id, 'outcome'), 'credential', 'the key was refused');
	like(account_row('wrong_key'), qr/^paused\|.*invalid, expired, or revoked/,
		'its account is paused, and says why');
	$id = send_mail('while the key is wrong', [ 'wrong_key', 'mailgun' ]);
	$node->job_ends_as($id, 'sent', 'further mails are sent');
	is(scalar @{ [ requests('while the key is wrong') ] }, 1, 'without asking the refused account again');

	my $waits = send_mail('waits for a key', ['wrong_key']);
	$node->write_secret('wrong', 'SG.test-key');
	$node->job_ends_as($waits, 'sent', 'a new key lets waiting mails go, without a restart');
	is(account_row('wrong_key'), 'ready|', 'and the account is ready');
}

# The key is replaced while the request with the old one is under way.
$node->write_secret('rotated', 'SG.old-key-of-ours');
make_account('rotated', secret => 'rotated');
$simulator->rule({ name => 'hold', provider => 'sendgrid', count => 1,
		match => { subject => '^rotated$' }, action => { hold => 'key' } });
{
	my $id = send_mail('rotated', ['rotated']);

	$node->wait_until('the request is not held', 10, sub { $simulator->held('key') });
	$node->write_secret('rotated', 'SG.test-key');
	$simulator->release('key');
	$node->job_ends_as($id, 'sent', 'a mail refused with the key of yesterday is sent with today\'s');
	is(column($id, 'attempts', 'messages'), '2', 'at the second attempt');
}

# Never where the mail may have been taken, or where it is the mail's fault.
foreach my $case ([ 400, 'failed', 'permanent' ], [ 413, 'failed', 'permanent' ],
	[ 500, 'unknown', 'ambiguous' ], [ 502, 'unknown', 'ambiguous' ],
	[ 503, 'unknown', 'ambiguous' ], [ 408, 'unknown', 'ambiguous' ])
{
	my ($status, $state, $outcome) = @$case;

	make_account("never_$status");
	answer("never $status", 'sendgrid', status => $status);
	my $id = send_mail("never $status", [ "never_$status", 'mailgun' ]);
	$node->job_ends_as($id, $state, "$status makes a mail $state");
	is(column($id, 'outcome', 'dead_letters'), $outcome, "$status is $outcome");
	is(scalar @{ [ requests("never $status") ] }, 1, "after $status no other account is asked");
}
make_account('twice');
answer('twice', 'sendgrid', status => 500, accept => \1);
{
	my $id = send_mail('twice', [ 'twice', 'mailgun' ], delivery => 'at_least_once');

	$node->job_ends_as($id, 'sent', 'an at_least_once mail is sent although its first answer was a 500');
	is(sent_by($id), 'mailgun', 'by the next account');
}

#
# settle(): what nobody knew, by who found out.
#

answer('taken', 'sendgrid', status => 500, accept => \1);
my @unknown = map { send_mail($_, ['never_500']) } 'taken', 'never 500';
$node->job_ends_as($_, 'unknown', 'a mail that met a 500 is unknown') for @unknown;
is($node->sql("SELECT roleferry.settle($unknown[0], 'sent', 'found in the activity feed')"),
	'sent', 'an unknown mail can be settled as sent');
is($node->job_state($unknown[0]), 'sent', 'and is sent then');
is(column($unknown[0], 'note, account, provider', 'messages'),
	'found in the activity feed|never_500|sendgrid', 'with the note, by the account that had it');
is($node->sql("SELECT count(*) FROM roleferry.dead_letters WHERE job_id = $unknown[0]"),
	0, 'and is no dead letter any more');
is($node->sql("SELECT roleferry.settle($unknown[1], 'not_sent')"),
	'failed', 'an unknown mail can be settled as not sent');
is($node->job_state($unknown[1]), 'failed', 'and is failed then');
like(column($unknown[1], 'note', 'dead_letters'), qr/^settled as not sent by /, 'with a note of who said so');

my ($known) = $node->enqueue(1);
$node->wait_job_end($known);
raises("SELECT roleferry.settle($unknown[0], 'sent')", '55000', 'what was settled is not settled again');
raises("SELECT roleferry.settle($unknown[1], 'sent')", '55000', 'in whatever way it was settled');
raises("SELECT roleferry.settle($known, 'not_sent')", '55000', 'a mail known to be sent is not settled');
raises("SELECT roleferry.settle(-1, 'sent')", '55000', 'a job that is none is not settled');
raises("SELECT roleferry.settle(NULL, 'sent')", '22023', 'settle() needs a job');
raises("SELECT roleferry.settle($known, 'perhaps')", '22023', 'settle() knows two verdicts');
raises("SELECT roleferry.settle($known, NULL)", '22023', 'settle() needs a verdict');
raises("SET ROLE app; SELECT roleferry.settle($known, 'sent')", '42501', 'a sender may not settle');

#
# The provider's words are kept, and the key in them is not.
#

# This simulator's keys are the ones that are sent; as text and as Mailgun sends them.
my %echoes = (
	sendgrid => 'Key SG.test-key may not write to victim@example.org, really',
	mailgun => 'Key mg-test-key (Basic YXBpOm1nLXRlc3Qta2V5) may not write to victim@example.org, really');

foreach my $provider (sort keys %echoes)
{
	my $key = $provider eq 'sendgrid' ? qr/SG\.test-key/ : qr/mg-test-key|YXBpOm1nLXRlc3Qta2V5/;
	my $body = $provider eq 'sendgrid' ?
	  qq({"errors":[{"message":"$echoes{$provider}","field":"from"}]}) :
	  qq({"message":"$echoes{$provider}"});

	foreach my $status (400, 429)
	{
		my $name = "echo_${provider}_$status";

		make_account($name, provider => $provider);
		answer($name, $provider, status => $status, body => $body, count => 1);
		my $id = send_mail($name, [$name]);
		$node->wait_until('no refusal', 10, sub { column($id, 'reason') ne '' });
		like(column($id, 'reason'), qr/may not write to .*really/, "$provider, $status: its words are the reason");
		unlike(column($id, 'reason'), $key, "$provider, $status: the reason does not hold the key");
		unlike(column($id, 'reason'), qr/victim/, "$provider, $status: nor an address");
		my $excerpt = column($id, "convert_from(excerpt, 'UTF8')");
		like($excerpt, qr/may not write to/, "$provider, $status: the excerpt holds the answer");
		unlike($excerpt, $key, "$provider, $status: but not the key");
		unlike(account_row($name), $key, "$provider, $status: the account's state does not hold the key");
	}
	ok(log_text() !~ $key, "$provider: the log does not hold the key");
	answer("id of $provider", $provider, headers => { 'X-Message-Id' => 'SG.test-key' },
		body => '{"id":"<mg-test-key>","message":"Queued."}');
	my $id = send_mail("id of $provider", [$provider]);
	$node->job_ends_as($id, 'sent', "a mail whose id is the key of $provider is sent");
	unlike(column($id, "concat_ws(' ', message_id, raw_message_id)", 'messages'), $key,
		"$provider: the message id does not hold the key");
}

#
# The states of accounts.
#

make_account('keyless', secret => 'nowhere');
is($node->sql(q{SELECT string_agg(account || ' ' || state, ', ' ORDER BY account) FROM roleferry.accounts
	WHERE account IN ('keyless', 'mailgun', 'patient', 'storm')}),
	'keyless unusable, mailgun ready, patient paused, storm ready', 'each account shows its state');
is(account_row('keyless'), 'unusable|secret file "nowhere" does not exist', 'an account without its key says so');

$node->assert_invariants('nothing is lost or sent without a commit', at_least_once => 1);
my %twice = %{ $node->accepted };
is_deeply([ grep { $twice{$_} > 1 } keys %twice ],
	[ (map { $_->{custom_args}{n} } $simulator->journal(phase => 'accepted', subject => 'twice'))[0]
		|| (map { $_->{custom_args}{n} } $simulator->journal(phase => 'body', subject => 'twice'))[0] ],
	'no mail is accepted twice but the one that may be');

$node->stop;
done_testing();

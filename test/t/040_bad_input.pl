
# Copyright (c) 2026, roleferry authors

# What is wrong with a mail or an account is said to whoever wrote it, at once,
# with the field named; nothing of it reaches a provider, and a key is taken
# only from a file that nobody else can read.

use strict;
use warnings;
use utf8;

use Encode qw(decode_utf8 encode_utf8);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main');
my $secrets = $node->basedir . '/secrets';

# What a statement raises, as "SQLSTATE message", in one session for all cases.
$node->sql(q{
CREATE FUNCTION public.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || said || coalesce(' / ' || nullif(hint, ''), '');
END $$;
CREATE ROLE stranger LOGIN;
SELECT roleferry.grant_access('stranger', 'sender');
});

sub dollar
{
	my ($text) = @_;

	return "\$quoted\$$text\$quoted\$";
}

sub try_as
{
	my ($role, @statements) = @_;
	my $select = join ";\n", map { 'SELECT public.try(' . dollar($_) . ')' } @statements;

	return map { decode_utf8($_) } split /\n/,
	  $node->sql(encode_utf8("SET ROLE $role;\n$select"));
}

# enqueue_email() with one argument that is not as it should be.
sub call_with
{
	my (%changed) = @_;
	my %arguments = (
		from_addr => q{'sender@mg.example.com'},
		to_addr => q{'reader@example.net'},
		subject => q{'bad'},
		body_html => q{'<p>hello</p>'},
		%changed);

	return 'SELECT roleferry.enqueue_email('
	  . join(', ', map { "$_ => $arguments{$_}" } sort keys %arguments) . ')';
}

# The same as a row of the outbox: args is a JSON text.
sub row_with
{
	my (%changed) = @_;
	my %members = (
		from_addr => '"sender@mg.example.com"',
		to_addr => '"reader@example.net"',
		subject => '"bad"',
		body_html => '"<p>hello</p>"',
		%changed);

	return '{' . join(', ', map { qq{"$_": $members{$_}} } sort keys %members) . '}';
}

sub insert_with
{
	return q{INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', } . dollar_json(row_with(@_)) . ')';
}

sub dollar_json
{
	my ($text) = @_;

	$text =~ s/'/''/g;
	return "'$text'";
}

sub requests
{
	my ($subject) = @_;

	return $simulator->journal(phase => 'body', subject => $subject);
}

$node->wait_dispatcher(30);

#
# Row 26 and the rest of the list, field by field.
#

my $cr = q{E'a\rb'};
my $lf = q{E'a\nBcc: victim@example.org'};
my @bad = (
	# what, changed arguments, the problem
	[ 'a line feed in the subject', { subject => $lf }, '"subject" holds a control character' ],
	[ 'a carriage return in the subject', { subject => $cr }, '"subject" holds a control character' ],
	[ 'a tab in the subject', { subject => q{E'a\tb'} }, '"subject" holds a control character' ],
	[ 'a DEL in the subject', { subject => q{E'a\x7fb'} }, '"subject" holds a control character' ],
	[ 'a line feed in the recipient', { to_addr => q{E'a@example.net\nBcc: b@example.net'} }, '"to_addr" holds a control character' ],
	[ 'a line feed after the recipient', { to_addr => q{E'a@example.net\n'} }, '"to_addr" holds a control character' ],
	[ 'a line feed in the sender\'s name', { from_addr => q{E'"a\r\nX: y" <a@mg.example.com>'} }, '"from_addr" holds a control character' ],
	[ 'a line feed in reply_to', { reply_to => q{E'a@example.net\nX: y'} }, '"reply_to" holds a control character' ],
	[ 'a line feed in a cc', { cc => q{ARRAY['a@example.net', E'b@example.net\nX: y']} }, '"cc[2]" holds a control character' ],
	[ 'a line feed in a bcc', { bcc => q{ARRAY[E'b@example.net\rX: y']} }, '"bcc[1]" holds a control character' ],
	[ 'a line feed in a custom argument', { custom_args => q('{"a": "b\nX: y"}') }, undef ],
	[ 'a line feed in the name of a custom argument', { custom_args => q('{"a\nX: y": "b"}') }, undef ],
	[ 'a line feed in a header', { headers => q('{"X-A": "b\nX: y"}') }, '"headers" holds a control character' ],
	[ 'a line feed in a header\'s name', { headers => q('{"X-A\r\nX": "b"}') }, '"headers" holds a name that is no header name' ],
	[ 'a colon in a header\'s name', { headers => q('{"X-A: b": "c"}') }, '"headers" holds a name that is no header name' ],
	[ 'a line feed in a tag', { tags => q(ARRAY[E'a\nb']) }, '"tags[1]" holds a control character' ],
	[ 'two recipients in one field', { to_addr => q{'a@example.net, b@example.net'} }, '"to_addr" holds more than one address' ],
	[ 'two senders', { from_addr => q{'a@mg.example.com,b@mg.example.com'} }, '"from_addr" holds more than one address' ],
	[ 'two addresses in a cc', { cc => q{ARRAY['a@example.net; b@example.net']} }, '"cc[1]" holds more than one address' ],
	[ 'no address', { to_addr => q{'nobody'} }, '"to_addr" is not one e-mail address' ],
	[ 'an empty address', { to_addr => q{''} }, '"to_addr" is empty' ],
	[ 'a null address', { to_addr => 'NULL' }, '"to_addr" is empty' ],
	[ 'a null sender', { from_addr => 'NULL' }, '"from_addr" is empty' ],
	[ 'a recipient twice', { cc => q{ARRAY['reader@EXAMPLE.net']} }, undef ],
	[ 'an empty subject', { subject => q{''} }, '"subject" is empty' ],
	[ 'a blank subject', { subject => q{'  '} }, '"subject" is empty' ],
	[ 'a null subject', { subject => 'NULL' }, '"subject" is empty' ],
	[ 'a subject of 999 bytes', { subject => q{repeat('x', 999)} }, '"subject" is too long' ],
	[ 'an empty body', { body_html => q{''} }, '"body_html" is empty' ],
	[ 'no body', { body_html => 'NULL' }, '"body_html" is empty' ],
	[ '10 001 bytes of custom arguments', { custom_args => q{jsonb_build_object('a', repeat('x', 10000))} }, '"custom_args" is too large' ],
	[ 'a custom argument with our prefix', { custom_args => q('{"rf_job": "1"}') }, '"custom_args" holds the reserved name "rf_job"' ],
	[ 'a custom argument of SendGrid\'s events', { custom_args => q('{"event": "delivered"}') }, '"custom_args" holds the reserved name "event"' ],
	[ 'nested custom arguments', { custom_args => q('{"a": {"b": 1}}') }, '"custom_args" holds a value that is no string, number or boolean' ],
	[ 'custom arguments that are a list', { custom_args => q('[1]') }, '"custom_args" is not a JSON object' ],
	[ 'a reserved header', { headers => q('{"bCC": "victim@example.org"}') }, '"headers" holds the reserved header "bCC"' ],
	[ 'a header of Mailgun\'s', { headers => q('{"X-Mailgun-Drop-Message": "yes"}') }, '"headers" holds the reserved header "X-Mailgun-Drop-Message"' ],
	[ 'eleven tags', { tags => q{ARRAY(SELECT 't' || n FROM generate_series(1, 11) n)} }, '"tags" holds too many tags' ],
	[ 'a null tag', { tags => q{ARRAY[NULL]::text[]} }, '"tags[1]" is null' ],
	[ 'a provider option nobody knows', { provider_options => q('{"sendgrid": {"nonsense": 1}}') }, undef ],
	[ 'no accounts', { accounts => q{'{}'} }, '"accounts" is an empty list' ],
	[ 'a delivery nobody knows', { delivery => q{'exactly_once'} }, '"delivery" is not a way of delivery' ],
	[ 'a priority beyond 10', { priority => 11 }, '"priority" is not between 0 and 10' ],
	[ 'a priority beyond smallint', { priority => 65541 }, '"priority" is not between 0 and 10' ],
	[ 'no attempts', { max_attempts => 0 }, '"max_attempts" is not between 1 and 1000' ],
	[ 'an infinite run_at', { run_at => q{'infinity'} }, '"run_at" is infinite' ],
	[ 'an empty idempotency_key', { idempotency_key => q{''} }, '"idempotency_key" is empty' ],
	[ 'a line feed in the tenant', { tenant_key => $cr }, '"tenant_key" holds a control character' ],
	[ 'a bad on_invalid', { on_invalid => q{'ignore'} }, '"on_invalid" is not a way to treat a bad job' ],
	[ 'a mail of 31 MB', { body_html => q{repeat('x', 31000000)} }, '"body_html" is too large' ]);

my @said = try_as('app', map { call_with(%{ $_->[1] }) } @bad);
foreach my $number (0 .. $#bad)
{
	my ($what, $changed, $problem) = @{ $bad[$number] };
	my ($field) = sort keys %$changed;

	$problem = qq("$field) unless defined $problem;
	like($said[$number], qr/^22023 \Q$problem\E/, "$what is refused, with the field named");
	unlike($said[$number], qr/victim|\@example/, "$what: the message quotes no address");
}
like($said[-1], qr/no account takes a mail of \d+ bytes/, 'a mail that is too large for all is told its size');

# What jsonb itself does not take.
my ($nul) = try_as('app', call_with(custom_args => q('{"a": "b\u0000c"}')));
like($nul, qr/^22P05 /, 'a NUL in a custom argument is refused');
is($node->sql('SELECT count(*) FROM roleferry.jobs'), 0, 'none of them left a job behind');

#
# The same by INSERT and by COPY.
#

my @bad_rows = (
	[ 'a line feed in the subject', { subject => '"a\nBcc: v"' }, '"subject" holds a control character' ],
	[ 'two addresses', { to_addr => '"a@example.net, b@example.net"' }, '"to_addr" holds more than one address' ],
	[ 'a subject that is a number', { subject => '5' }, '"subject" is not a string' ],
	[ 'an argument nobody knows', { attachments => '[]' }, '"attachments" is not an argument of send_email' ],
	[ 'a cc that is a string', { cc => '"a@example.net"' }, '"cc" is not a list of strings' ],
	[ 'a header that is reserved', { headers => '{"To": "x"}' }, '"headers" holds the reserved header "To"' ],
	[ 'a custom argument that is reserved', { custom_args => '{"rf_x": "y"}' }, '"custom_args" holds the reserved name "rf_x"' ]);
my @said_rows = try_as('app', (map { insert_with(%{ $_->[1] }) } @bad_rows),
	q{INSERT INTO roleferry.outbox (task, args) VALUES ('send_fax', '{}')},
	q{INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '[]')},
	q{INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '"text"')},
	q{INSERT INTO roleferry.outbox (task, args, role) VALUES ('send_email', '{}', 'postgres')},
	q{INSERT INTO roleferry.outbox (task, args, lane) VALUES ('send_email', '{}', 77)},
	q{UPDATE roleferry.outbox SET args = '{}'},
	q{DELETE FROM roleferry.outbox});
foreach my $number (0 .. $#bad_rows)
{
	my ($what, $members, $problem) = @{ $bad_rows[$number] };

	like($said_rows[$number], qr/^22023 \Q$problem\E/, "INSERT: $what is refused, with the field named");

	my ($status, undef, $stderr) = $node->psql('postgres', <<"EOC");
\\set VERBOSITY verbose
SET ROLE app;
COPY roleferry.outbox (task, args) FROM STDIN (FORMAT csv, QUOTE '\$');
send_email,\$@{[ row_with() ]}\$
send_email,\$@{[ row_with(%$members) ]}\$
\\.
EOC
	like($stderr, qr/22023: \Q$problem\E/, "COPY: $what is refused, with the field named");
}
is_deeply([ map { substr $_, 0, 5 } @said_rows[ @bad_rows .. $#said_rows ] ],
	[ qw(22023 22023 22023 42501 42501 42501 42501) ],
	'a task, a shape or a column that is not the sender\'s is refused');
is($node->sql('SELECT count(*) FROM roleferry.jobs'), 0, 'a COPY with one bad row leaves none behind');

# A transaction that failed takes its good mails along.
$node->psql('postgres', 'SET ROLE app; BEGIN; ' . call_with(subject => q{'half'}) . '; '
	  . call_with(subject => q{''}) . '; COMMIT');
is($node->sql('SELECT count(*) FROM roleferry.jobs'), 0, 'an error leaves nothing half-written');
is(scalar @{ [ $simulator->journal ] }, 0, 'no provider has heard of any of this');

# on_invalid => 'reject' keeps the bad mail instead.
{
	my $id = $node->sql('SET ROLE app; ' . call_with(subject => $lf, on_invalid => q{'reject'}));

	is($node->sql("SELECT state, reason, role FROM roleferry.dead_letters WHERE job_id = $id"),
		'failed|"subject" holds a control character|app', 'a rejected mail is a dead letter with its reason');
	is($node->sql("SELECT args ->> 'to_addr' FROM roleferry.dead_letters WHERE job_id = $id"),
		'reader@example.net', 'and keeps its arguments');
	$id = $node->sql('SET ROLE app; ' . call_with(subject => q{'rejected not'}, on_invalid => q{'reject'}));
	$node->wait_job_state($id, 'sent');
	pass('a good mail is sent, whatever on_invalid says');
}

#
# What only looks dangerous arrives as it was written.
#

foreach my $provider ('sendgrid', 'mailgun')
{
	my $subject = qq{"quoted" \\r\\n %0d%0a -- 100% <b> ü 📬 $provider};
	my $value = qq{a"b\\nc; d=e & f ü};
	my %same = (accounts => "ARRAY['$provider']", headers => q('{"X-Team": "plain"}'),
		custom_args => q('{"odd": "plain"}'));
	my @ids = map { $node->sql(encode_utf8("SET ROLE app; $_")) } (
		call_with(%same, subject => "'plain $provider'"),
		call_with(%same, subject => dollar($subject), headers => 'jsonb_build_object(\'X-Team\', ' . dollar($value) . ')',
			custom_args => 'jsonb_build_object(\'odd\', ' . dollar($value) . ')'));
	$node->wait_job_state($_, 'sent') for @ids;
	my ($request) = requests($subject);
	ok($request, "$provider: an odd subject arrives as it was written");
	is($request->{custom_args}{odd}, $value, "$provider: and an odd custom argument");
	is_deeply([ sort keys %{ $request->{custom_args} } ], [qw(odd rf_job)], "$provider: and none besides");
	is_deeply($request->{to}, ['reader@example.net'], "$provider: it goes to whom it was written to, and to nobody else");
	my ($usual) = requests("plain $provider");
	is($request->{header_lines}, $usual->{header_lines}, "$provider: the request has no extra header");
}

# A mail for one of the providers only.
{
	my $id = $node->sql('SET ROLE app; ' . call_with(
			subject => q{'27 MB'}, body_html => q{repeat('x', 27000000)},
			accounts => q{ARRAY['mailgun', 'sendgrid']}));

	is($node->sql("SELECT accounts FROM roleferry.outbox WHERE id = $id UNION ALL SELECT '{sendgrid}' WHERE NOT EXISTS (SELECT FROM roleferry.outbox WHERE id = $id)"),
		'{sendgrid}', 'a mail too large for Mailgun passes it over');
	$node->wait_until('the large mail is not sent', 30, sub { $node->job_state($id) eq 'sent' });
	is($node->sql("SELECT account FROM roleferry.messages WHERE job_id = $id"), 'sendgrid', 'and goes out by SendGrid');
}

#
# Accounts and rights.
#

my ($no_account, $no_usage, $none_usable) = (
	try_as('app', call_with(accounts => q{ARRAY['nowhere']})),
	try_as('stranger', call_with(accounts => q{ARRAY['sendgrid']}), call_with()));
like($no_account, qr/^42704 there is no e-mail account "nowhere"/, 'an account that does not exist is refused');
like($no_usage, qr/^42501 role "stranger" may not use account "sendgrid" .*GRANT USAGE ON FOREIGN SERVER sendgrid TO stranger/,
	'an account without USAGE is refused, with the command that helps');
like($none_usable, qr/^42501 role "stranger" may use no e-mail account/, 'a role without any account is refused');

my $server = 'CREATE SERVER x FOREIGN DATA WRAPPER roleferry OPTIONS';
my @bad_accounts = (
	[ 'a base URL without TLS', "$server (provider 'sendgrid', base_url 'http://localhost:1')", qr/^HV024 .*https/ ],
	[ 'a base URL with a path', "$server (provider 'sendgrid', base_url 'https://localhost/x')", qr/^HV024 .*path/ ],
	[ 'a base URL with a user', "$server (provider 'sendgrid', base_url 'https://a:b\@localhost')", qr/^HV024 .*user name or a password/ ],
	[ 'a file as base URL', "$server (provider 'sendgrid', base_url 'file:///etc/passwd')", qr/^HV024 / ],
	[ 'an unknown option', "$server (provider 'sendgrid', colour 'red')", qr/^HV00D invalid option "colour" .*Valid options .*provider, secret, base_url/ ],
	[ 'an unknown provider', "$server (provider 'pigeon')", qr/^HV024 .*Valid providers are: .*sendgrid/ ],
	[ 'no provider', "$server (secret 'sendgrid')", qr/^HV00D option "provider" is required/ ],
	[ 'a missing domain', "$server (provider 'mailgun', secret 'mailgun')", qr/^HV00D option "domain" is required/ ],
	[ 'an inline key', "$server (provider 'sendgrid', api_key 'SG.very-secret')", qr/^HV00D option "api_key" is not accepted/ ],
	[ 'a key where a file is named', "$server (provider 'sendgrid', secret 'SG.very-secret')", qr/^HV024 .*not the key/ ],
	[ 'a file outside the directory', "$server (provider 'sendgrid', secret '../pgdata/PG_VERSION')", qr/^HV024 .*file name/ ],
	[ 'a hidden file', "$server (provider 'sendgrid', secret '.pgpass')", qr/^HV024 .*file name/ ],
	[ 'a user mapping', "CREATE USER MAPPING FOR app SERVER sendgrid OPTIONS (password 'SG.very-secret')", qr/^HV00D .*takes no user mappings .*secret/ ],
	[ 'a user mapping without options', 'CREATE USER MAPPING FOR app SERVER mailgun', qr/^HV00D .*takes no user mappings/ ],
	[ 'a foreign table', 'CREATE FOREIGN TABLE public.ft (a int) SERVER sendgrid OPTIONS (a \'b\')', qr/^HV00D .*no foreign tables/ ]);
my @said_accounts = try_as('postgres', map { $_->[1] } @bad_accounts);
foreach my $number (0 .. $#bad_accounts)
{
	like($said_accounts[$number], $bad_accounts[$number][2], "$bad_accounts[$number][0] is refused");
	unlike($said_accounts[$number], qr/very-secret/, "$bad_accounts[$number][0]: the message quotes no value");
}

# An owner of accounts who is no superuser decides neither file nor host.
$node->sql(q{
CREATE ROLE owner LOGIN;
GRANT USAGE ON FOREIGN DATA WRAPPER roleferry TO owner;
CREATE SERVER given FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid');
ALTER SERVER given OWNER TO owner;
});
my @as_owner = try_as('owner',
	"$server (provider 'sendgrid', secret 'sendgrid')",
	"$server (provider 'sendgrid', base_url 'https://localhost:1')",
	q{ALTER SERVER given OPTIONS (ADD base_url 'https://evil.example.net')},
	q{ALTER SERVER given OPTIONS (SET secret 'mailgun')},
	q{ALTER SERVER given OPTIONS (SET provider 'mailgun', ADD domain 'evil.example.net')},
	q{ALTER SERVER given OPTIONS (DROP secret)},
	q{ALTER SERVER given OPTIONS (ADD secret 'sendgrid')});
is_deeply([ map { substr $_, 0, 5 } @as_owner ], [ ('42501') x 5, 'no er', '42501' ],
	'a server\'s owner can take a secret away, and can neither point it nor send it anywhere');
$node->sql('DROP SERVER given');

#
# Secret files that are not fit to be used.
#

my %unfit = (
	missing => 'secret file "missing" does not exist',
	readable => 'secret file "readable" has mode 0644',
	symlink => 'secret file "symlink" .*symbolic link',
	directory => 'secret file "directory" is not a regular file',
	empty => 'secret file "empty" is empty',
	lines => 'secret file "lines" holds more than one line',
	fifo => 'secret file "fifo" is not a regular file');
my %waiting;

append_to_file("$secrets/readable", 'SG.test-key');
chmod 0644, "$secrets/readable";
append_to_file($node->basedir . '/elsewhere', 'SG.test-key');
chmod 0600, $node->basedir . '/elsewhere';
symlink $node->basedir . '/elsewhere', "$secrets/symlink" or die $!;
mkdir "$secrets/directory", 0700 or die $!;
$node->write_secret('empty', '');
$node->write_secret('lines', "SG.test-key\nX-Evil: yes");
POSIX::mkfifo("$secrets/fifo", 0600) or die $!;

my $url = $simulator->url('sendgrid');
foreach my $name (sort keys %unfit)
{
	$node->sql(qq{
CREATE SERVER with_$name FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', secret '$name', base_url '$url');
GRANT USAGE ON FOREIGN SERVER with_$name TO app});
	($waiting{$name}) = $node->enqueue(1, subject => "secret $name", accounts => ["with_$name"]);
}
$node->enqueue(1, subject => 'after the secrets');
$node->wait_until('an account with a good key does not send', 20, sub { requests('after the secrets') });
foreach my $name (sort keys %unfit)
{
	like($node->sql("SELECT state || ' ' || reason FROM roleferry.accounts WHERE account = 'with_$name'"),
		qr/^unusable $unfit{$name}/, "a $name secret makes the account unusable, and the view says why");
	$node->wait_until("the report does not name the $name secret", 10, sub {
		my $report = $node->sql("SELECT detail FROM roleferry.job_report($waiting{$name}) WHERE event = 'waiting'");

		return $report =~ /with_$name.*$unfit{$name}/;
	});
	is($node->job_state($waiting{$name}), 'waiting', "a mail waits for the $name secret, and its report says so");
	is($node->sql("SELECT attempts FROM roleferry.outbox WHERE id = $waiting{$name}"),
		0, "waiting for the $name secret charges nothing");
	like(slurp_file($node->logfile), qr/LOG: .*account "with_$name" cannot be used: $unfit{$name}/,
		"the log names the account and the $name secret");
}
is(scalar @{ [ grep { $_->{subject} =~ /^secret / } $simulator->journal(phase => 'body') ] },
	0, 'no key of an unfit file was ever used');
my @complaints = slurp_file($node->logfile) =~ /account "with_missing" cannot be used/g;
cmp_ok(scalar @complaints, '<=', 2, 'the log does not repeat itself');

# Each is mended, and its mail goes.
chmod 0600, "$secrets/readable";
rmdir "$secrets/directory";
unlink map { "$secrets/$_" } qw(symlink fifo);
$node->write_secret($_, 'SG.test-key') for qw(missing symlink directory empty lines fifo);
foreach my $name (sort keys %unfit)
{
	$node->wait_job_state($waiting{$name}, 'sent');
	is(scalar @{ [ requests("secret $name") ] }, 1, "the $name secret is mended, and the mail goes");
}

# The directory itself.
chmod 0777, $secrets;
{
	my ($id) = $node->enqueue(1, subject => 'open directory');

	$node->wait_until('the account is not unusable', 10, sub {
		$node->sql("SELECT state || ' ' || reason FROM roleferry.accounts WHERE account = 'sendgrid'")
		  =~ /^unusable .*mode 0777/;
	});
	$node->wait_until('the report does not name the directory', 10, sub {
		$node->sql("SELECT detail FROM roleferry.job_report($id) WHERE event = 'waiting'") =~ /mode 0777/;
	});
	is(scalar @{ [ requests('open directory') ] }, 0, 'no key is read from a directory that anybody can write');
	chmod 0700, $secrets;
	$node->wait_job_state($id, 'sent');
	pass('its mail goes when the directory is closed');
}

#
# A database that knows no encoding: bytes are UTF-8 or refused.
#

$node->sql(q{CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'});
$node->safe_psql('bytes', qq{
CREATE EXTENSION roleferry;
CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '$url')});
foreach my $case ([ 'subject', q{E'caf\xe9'} ], [ 'body_html', q{E'caf\xe9'} ],
	[ 'to_addr', q{E'"caf\xe9" <a@example.net>'} ], [ 'custom_args', q{jsonb_build_object('a', E'\xff')} ],
	[ 'custom_args', q{jsonb_build_object(E'\xff', 'a')} ], [ 'headers', q{jsonb_build_object('X-A', E'\xc3')} ],
	[ 'tags', q{ARRAY[E'\xed\xa0\x80']} ])
{
	my ($field, $value) = @$case;
	my (undef, undef, $stderr) = $node->psql('bytes',
		"\\set VERBOSITY verbose\n" . call_with($field => $value));

	like($stderr, qr/22023: "$field(\[1\])?" is not valid UTF-8/,
		"SQL_ASCII: bytes that are no UTF-8 in $field are refused");
}

$node->assert_invariants('nothing is lost, sent twice or sent without a commit');

$node->stop;
done_testing();

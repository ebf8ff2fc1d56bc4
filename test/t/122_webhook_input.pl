# Whatever a stranger sends is answered, in any database, and the fronts of
# doc/webhooks.md work as they are printed there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP ();
use RoleferryNode;
use RoleferrySigner;
use Test::More;

my $node = RoleferryNode->start_pair('main', email_accounts => 'sendgrid');
my $signer = RoleferrySigner->new($node->basedir . '/signer');

$node->write_secret('hook', 'whsec_test');
$node->write_secret('hook_sendgrid', $signer->public_key);
$node->sql(q{CREATE ROLE front LOGIN; CREATE ROLE web_anon});
$node->sql(
	qq{CREATE DATABASE $_ TEMPLATE template0 ENCODING '$_' LC_COLLATE 'C' LC_CTYPE 'C'}
) for qw(latin1 sql_ascii);
$node->safe_psql(
	$_, q{
CREATE EXTENSION IF NOT EXISTS roleferry;
SELECT roleferry.grant_access('front', 'webhook');
INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES ('stripe', 'stripe', '{hook}'), ('sendgrid', 'sendgrid', '{hook_sendgrid}'),
	('mailgun', 'mailgun', '{hook}'), ('standard', 'standard', '{hook}'), ('none', 'none', '{hook}');
CREATE FUNCTION public.on_event(source text, event jsonb) RETURNS void LANGUAGE sql AS $$ SELECT $$;
CREATE ROLE handler;
INSERT INTO roleferry.webhook_handler (source, function, role) SELECT name, 'public.on_event', 'handler' FROM roleferry.webhook_source;
} =~ s/CREATE ROLE handler;/$_ eq 'postgres' ? $& : ''/er
) for qw(postgres latin1 sql_ascii);

sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }

sub receive
{
	my ($database, $source, $headers, $body) = @_;

	return $node->safe_psql(
		$database,
		sprintf(
			q{SELECT concat_ws(' ', status, http_status) FROM roleferry.webhook_receive('%s', %s, '\x%s')},
			$source, literal($headers), unpack('H*', $body)),
		extra_params => [ '-U', 'front' ]);
}

# Signed, so that it is read: by nobody else.
my %bodies = (
	'invalid UTF-8' => "{\"id\": \"evt_\xff\xfe\", \"type\": \"\xc3\"}",
	'letters outside of Latin 1' =>
	  "{\"id\": \"evt_\xe2\x82\xac\", \"type\": \"\xf0\x9f\x98\x80\"}",
	'a NUL' => '{"id": "evt_\u0000", "type": "a\u0000b"}',
	'a NUL in what is only handed on' =>
	  '{"id": "evt_nul", "type": "a", "x": "\u0000"}',
	'a raw NUL' => "{\"id\": \"evt_raw\0\", \"type\": \"a\"}",
	'half of a surrogate pair' => '{"id": "evt_half", "type": "\ud800"}',
	'a huge number' => '{"id": "evt_huge", "type": "a", "created": 1e400}',
	'a time out of range' =>
	  '{"id": "evt_time", "type": "a", "created": 9223372036854775807}',
	'an id that is no text' => '{"id": {"a": 1}, "type": ["b"]}',
	'a long id' => '{"id": "'
	  . 'x' x 100_000
	  . '", "type": "'
	  . 'y' x 100_000 . '"}',
	'deep JSON' => '{"id": "evt_deep", "type": "a", "x": '
	  . '[' x 20_000
	  . ']' x 20_000 . '}',
	'deeper JSON' => '[' x 500_000,
	'no JSON' => 'this is no JSON',
	'nothing' => '',
	'a lone number' => '17');

foreach my $database (qw(postgres latin1 sql_ascii))
{
	foreach my $what (sort keys %bodies)
	{
		like(
			receive(
				$database, 'stripe',
				$signer->stripe($bodies{$what}, 'whsec_test'),
				$bodies{$what}),
			qr/^(accepted|failed|duplicate) 200$/,
			"$database: $what is answered");
	}
	my $batch = '['
	  . join(',',
		map { $bodies{$_} } 'an id that is no text',
		'a NUL', 'letters outside of Latin 1',
		'deep JSON')
	  . ',{"event":"open","sg_event_id":"good","email":"a@example.net","timestamp":1}]';
	like(
		receive($database, 'sendgrid', $signer->sendgrid($batch), $batch),
		qr/^((accepted|failed) 200\n)*accepted 200$/,
		"$database: bad members leave the good one alone");
	is( $node->safe_psql(
			$database,
			q{SELECT status FROM roleferry.webhook_event WHERE event_id = 'good'}
		),
		'applied',
		"$database: which has its effect");
}

# Not signed: headers and bodies of all kinds, for each scheme.
my @headers = (
	'{}',
	'[]',
	'null',
	'{"stripe-signature": 1}',
	'{"stripe-signature": "t=1,v1=' . 'a' x 5000 . '"}',
	'{"stripe-signature": ["a", "b"]}',
	'{"x-twilio-email-event-webhook-signature": "MAYCAQACAQA=", "x-twilio-email-event-webhook-timestamp": "1700000000"}',
	'{"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,"}',
	'{"authorization": "Bearer"}',
	'{"a": "' . 'b' x 100_000 . '"}');
foreach my $source (qw(stripe sendgrid mailgun standard none))
{
	my %answers =
	  map { receive('postgres', $source, $_, '[{}]') => 1 } @headers;
	is_deeply(
		\%answers,
		{ 'rejected 401' => 1 },
		"$source: headers of any kind are rejected");
}
is( $node->sql(
		q{SELECT concat_ws(' ', status, http_status) FROM roleferry.webhook_receive('stripe', '{}', convert_to(repeat('x', 100 * 1024 * 1024), 'UTF8'))}
	),
	'rejected 413',
	'100 MB are rejected');
is($node->sql(q{SELECT count(*) FROM roleferry.webhook_rejections}),
	51, 'and each was counted');

# The fronts.
my $doc =
  do { local (@ARGV, $/) = "$FindBin::RealBin/../../doc/webhooks.md"; <> };

sub block
{
	my ($heading, $language) = @_;
	return $doc =~ /^## $heading\n.*?^```$language\n(.*?)^```$/ms
	  ? $1
	  : die "no $language under $heading";
}

# As PostgREST calls it: headers as a setting, the raw body as the one parameter.
$node->sql('CREATE SCHEMA api; GRANT USAGE ON SCHEMA api TO web_anon');
$node->sql(block('PostgREST', 'sql')
	  . ';GRANT EXECUTE ON FUNCTION api.sendgrid(json) TO web_anon');

sub postgrest
{
	my ($headers, $body) = @_;

	return $node->sql(
		sprintf q{
BEGIN;
SET LOCAL ROLE web_anon;
SELECT FROM set_config('request.headers', %s, true);
PREPARE call(json) AS SELECT FROM (SELECT api.sendgrid($1)) AS pgrst_call;
EXECUTE call(convert_from('\x%s', 'UTF8')::json);
SELECT current_setting('response.status');
COMMIT}, literal($headers), unpack('H*', $body));
}
my $octets =
  "[ {\"sg_event_id\":\"pg1\", \"event\" :\"open\",\"n\":1.0e2,\"email\":\"\\u0061\@example.net\",\"timestamp\":1700000000}\r\n]\r\n";
is( postgrest(
		lc($signer->sendgrid($octets)) =~ s/(webhook-signature":")[^"]*/$1/r,
		$octets),
	'401',
	'PostgREST: what is not signed is answered with 401');
my $signed = JSON::PP::decode_json($signer->sendgrid($octets));
is( postgrest(
		JSON::PP::encode_json(
			{ map { lc($_) => $signed->{$_} } keys %$signed }),
		$octets),
	'200',
	'PostgREST: octets that jsonb would change are those that were signed');
is( $node->sql(
		q{SELECT status FROM roleferry.webhook_event WHERE event_id = 'pg1'}),
	'applied',
	'and the event has its effect');

SKIP:
{
	my ($python) = grep { system("$_ -c 'import psycopg2' 2>/dev/null") == 0 }
	  qw(python3 /usr/bin/python3);

	skip 'no psycopg2 for Python here', 6 unless $python;
	my $program = block('Python', 'python');
	my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
	  or die "no port: $!";
	my $port = $socket->sockport;
	my $file = $node->basedir . '/receiver.py';

	close $socket;
	cmp_ok(scalar(() = $program =~ /\n/g),
		'<=', 45, 'the receiver in Python is short');
	open my $handle, '>', $file or die "could not write $file: $!";
	print $handle $program;
	close $handle;
	local $ENV{DSN} = sprintf 'host=%s port=%d user=front dbname=postgres',
	  $node->host, $node->port;
	local $ENV{PORT} = $port;
	my $pid = fork();

	if ($pid == 0)
	{
		open STDERR, '>', '/dev/null';
		exec $python, $file;
		exit 1;
	}
	my $http = HTTP::Tiny->new(timeout => 10);
	my $post = sub {
		my ($path, $headers, $body) = @_;
		$http->post("http://127.0.0.1:$port$path",
			{ headers => JSON::PP::decode_json($headers), content => $body })
		  ->{status};
	};
	$node->wait_until(
		'the receiver does not listen',
		20,
		sub {
			IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
		});
	my $body = '{"id": "evt_py", "type": "a"}';
	is($post->('/stripe', $signer->stripe($body, 'whsec_test'), $body),
		200, 'the receiver takes a signed event');
	is( $node->sql(
			q{SELECT status FROM roleferry.webhook_event WHERE event_id = 'evt_py'}
		),
		'applied',
		'which is committed when it answers');
	is($post->('/stripe', $signer->stripe($body, 'whsec_other'), $body),
		401, 'and refuses another');
	is($post->('/nowhere', '{}', $body), 404, 'and one for nobody');
	is($post->('/none', '{"X-Roleferry-Token": "whsec_test"}', 'hint'),
		200, 'and takes a hint with its token');
	kill 'TERM', $pid;
	waitpid $pid, 0;
}

SKIP:
{
	skip 'no nginx here', 1 unless -x '/usr/sbin/nginx';
	my $directory = $node->basedir;
	(my $server = block('nginx', 'nginx')) =~
	  s{/etc/ssl/\w+/hooks\.(pem|key)}{$directory/hooks.$1}g;
	$server =~ s/listen 443/listen 127.0.0.1:8443/;
	open my $handle, '>', "$directory/nginx.conf" or die $!;
	print $handle
	  "pid $directory/nginx.pid;\nerror_log $directory/nginx.log;\nevents {}\nhttp {\naccess_log off;\n$server}\n";
	close $handle;
	system(
		"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=hooks -keyout $directory/hooks.key -out $directory/hooks.pem 2>/dev/null"
	);
	is( system(
			"/usr/sbin/nginx -t -q -c $directory/nginx.conf 2>$directory/nginx.err"
		),
		0,
		'nginx takes the configuration'
	) or diag(slurp_file("$directory/nginx.err"));
}

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# The link for leaving a stream: in the mail as it arrives, taken back by the
# front of doc/webhooks.md, good for one address and one stream, and forged by
# nobody.

use strict;
use warnings;

use Cwd            qw(abs_path);
use File::Basename qw(dirname);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP     ();
use MIME::Base64 qw(decode_base64);
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
roleferry.unsubscribe_url = 'https://www.example.com/leave?from=mail'
});

$node->sql(
	q{CREATE ROLE front LOGIN; SELECT roleferry.grant_access('front', 'webhook')}
);

sub error_of
{
	my ($sql) = @_;
	my (undef, undef, $err) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE app;\n$sql");

	return $err;
}

# One mail; its job.
sub mail
{
	my ($address, $more) = @_;

	return $node->sql(
		"SET ROLE app; SELECT roleferry.enqueue_email('sender\@mg.example.com', '$address', 'Hello', '<p>x</p>'"
		  . ($more ? ", $more" : '')
		  . ')');
}

# The body of its request, as it arrived.
sub body_of
{
	my ($id) = @_;
	my ($line) =
	  grep { ($_->{rf_job} // '') =~ /\.$id$/ }
	  $simulator->journal(phase => 'body');

	return decode_base64($line->{raw_body});
}

sub unsubscribe
{
	my ($token) = @_;

	return $node->sql('SET ROLE front; SELECT roleferry.unsubscribe('
		  . RoleferryNode::quote_literal($token)
		  . ')');
}

my $news = q{stream => 'news', unsubscribe => true, accounts => '{sendgrid}'};

like(
	error_of(
		q{SELECT roleferry.enqueue_email('s@mg.example.com', 'ann@example.net', 'Hello', 'x', unsubscribe => true)}
	),
	qr/ERROR:  55000: a mail cannot have a link for unsubscribing: .*secret file "unsubscribe"/,
	'without a key such a mail is refused when it is enqueued');
$node->write_secret('unsubscribe', '0123456789abcdef0123456789abcdef');
like(
	error_of(
		q{SELECT roleferry.enqueue_email('s@mg.example.com', 'ann@example.net', 'Hello', 'x', cc => '{bob@example.net}', unsubscribe => true)}
	),
	qr/ERROR:  22023: "unsubscribe" is for mails with one recipient/,
	'so is one to several');
like(
	error_of(
		q{SELECT roleferry.enqueue_email('s@mg.example.com', 'ann@example.net', 'Hello', 'x', headers => '{"list-unsubscribe": "<mailto:x@example.com>"}', unsubscribe => true)}
	),
	qr/ERROR:  22023: "headers" holds List-Unsubscribe/,
	'and one that has the header already');

my $id = mail('Ann@Example.net', $news);
is($node->wait_job_end($id), 'sent', 'a mail is sent');
my $headers = $json->decode(body_of($id))->{headers};
$headers //= $json->decode(body_of($id))->{personalizations}[0]{headers};
is($headers->{'List-Unsubscribe-Post'},
	'List-Unsubscribe=One-Click', 'it has the header of RFC 8058');
like(
	$headers->{'List-Unsubscribe'},
	qr{^<https://www\.example\.com/leave\?from=mail&token=[\w-]+>$},
	'and the link, by SendGrid');
my ($token) = $headers->{'List-Unsubscribe'} =~ /token=([\w-]+)/;
unlike(decode_base64($token =~ tr{-_}{+/}r),
	qr/ann|news/i, 'which tells neither address nor stream');
$id = mail('ann@example.net', $news =~ s/sendgrid/mailgun/r);
is($node->wait_job_end($id), 'sent', 'another is sent');
like(
	body_of($id),
	qr{name="h:List-Unsubscribe"\s+<https://www\.example\.com/leave\?from=mail&token=\Q$token\E>},
	'with the same link, by Mailgun');
$id = mail('bob@example.net', q{stream => 'news', accounts => '{sendgrid}'});
is($node->wait_job_end($id), 'sent', 'a mail without is sent');
unlike(body_of($id), qr/unsubscribe/i, 'without');

#
# Forged, and true
#
is(unsubscribe($_), 'f', 'what is no token of ours does nothing')
  foreach '', 'x', substr($token, 0, -1), $token . 'A', "$token=",
  ($token =~ s/^./A/r eq $token ? $token =~ s/^./B/r : $token =~ s/^./A/r),
  # Bits that belong to no byte: another text, the same bytes.
  ($token =~ s/(.)\z/chr(ord($1) + 1)/er), ucfirst(lc $token), 'A' x 5000;
is($node->sql('SET ROLE front; SELECT roleferry.unsubscribe(NULL)'),
	'f', 'nor does none');
is($node->sql('SELECT count(*) FROM roleferry.suppressions'),
	0, 'nobody was suppressed');
like(
	error_of(q{SELECT roleferry.unsubscribe('x')}),
	qr/ERROR:  42501/,
	'senders take nobody off');

SKIP:
{
	my ($python) = grep { system("$_ -c 'import psycopg2' 2>/dev/null") == 0 }
	  qw(python3 /usr/bin/python3);

	skip 'no psycopg2 for Python here', 5 unless $python;
	my ($program) =
	  slurp_file(dirname(abs_path(__FILE__)) . '/../../doc/webhooks.md') =~
	  /^## Unsubscribing\n.*?^```python\n(.*?)^```$/ms;
	my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
	  or die "no port: $!";
	my $port = $socket->sockport;
	my $file = $node->basedir . '/unsubscribe.py';

	close $socket;
	append_to_file($file, $program);
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
	$node->wait_until(
		'the front listens',
		20,
		sub {
			IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
		});
	my $http = HTTP::Tiny->new(timeout => 10);
	my $url = "http://127.0.0.1:$port/leave?from=mail&token=";
	is($http->get($url . $token)->{status},
		200, 'who follows the link sees a page');
	is($node->sql('SELECT count(*) FROM roleferry.suppressions'),
		0, 'and nothing has happened');
	my $forged = $http->post_form($url . 'forged',
		[ 'List-Unsubscribe' => 'One-Click' ]);
	my $true =
	  $http->post_form($url . $token, [ 'List-Unsubscribe' => 'One-Click' ]);
	is( "$forged->{status} $forged->{content}",
		"$true->{status} $true->{content}",
		'forged or not, the answer is one');
	is($true->{status}, 200, 'which is good');
	is( $node->sql(
			'SELECT address, scope, reason FROM roleferry.suppressions'),
		'ann@example.net|news|unsubscribed',
		'a click takes the address off the stream, and no other');
	kill 'TERM', $pid;
	waitpid $pid, 0;
}

is(unsubscribe($token), 't', 'again it is as true');
is( $node->sql(
		'SELECT address, scope, reason, note FROM roleferry.suppressions'),
	'ann@example.net|news|unsubscribed|by its link',
	'and changes nothing');
is($node->wait_job_end(mail('ann@example.net', $news)),
	'suppressed', 'mails of the stream end as suppressed');
is($node->wait_job_end(mail('ann@example.net')), 'sent', 'others go');
is($node->wait_job_end(mail('bob@example.net', $news)), 'sent', 'others get the stream');

#
# Keys come and go.
#
$node->write_secret('second', 'fedcba9876543210fedcba9876543210');
$node->sql(
	q{ALTER SYSTEM SET roleferry.unsubscribe_secrets = 'second, unsubscribe'}
);
$node->sql('SELECT pg_reload_conf()');
$node->wait_until('the setting is read',
	10, sub { $node->sql('SHOW roleferry.unsubscribe_secrets') });
$node->wait_turn;
is(unsubscribe($token), 't', 'the old key is still taken');
$id = mail('cid@example.net', $news);
is($node->wait_job_end($id), 'sent', 'a mail is sent with the new one');
my ($second) = body_of($id) =~ /token=([\w-]+)/;
$node->sql(q{ALTER SYSTEM SET roleferry.unsubscribe_secrets = 'unsubscribe'});
$node->sql('SELECT pg_reload_conf()');
$node->wait_until(
	'the setting is read',
	10,
	sub { $node->sql('SHOW roleferry.unsubscribe_secrets') eq 'unsubscribe' }
);
is(unsubscribe($second), 'f', 'which alone reads what it made');
# In another encoding than UTF-8 a stream keeps its name.
$node->sql(
	q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'});
is( $node->safe_psql(
		'latin', qq{
SET client_encoding = 'UTF8';
CREATE EXTENSION roleferry;
CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid');
SET roleferry.mode = capture;
SELECT roleferry.enqueue_email('s\@mg.example.com', 'ann\@example.net', 'Gr\xc3\xbc\xc3\x9fe', 'x',
	accounts => '{sendgrid}', stream => 'gr\xc3\xb6\xc3\x9fe', unsubscribe => true) > 0;
SELECT request #>> '{body,subject}', roleferry.unsubscribe(substring(request #>> '{body,headers,List-Unsubscribe}' FROM 'token=([^>]+)'))
  FROM roleferry.captured();
SELECT scope FROM roleferry.suppressions;
}),
	"t\nGr\xc3\xbc\xc3\x9fe|t\ngr\xc3\xb6\xc3\x9fe",
	'also where the server does not speak UTF-8');
unlink $node->basedir . '/secrets/unsubscribe';
$node->wait_until(
	'the key is missed',
	10,
	sub {
		my (undef, undef, $err) =
		  $node->psql('postgres', qq{SELECT roleferry.unsubscribe('$token')});
		$err =~ /no key for unsubscribing can be read/;
	});
pass('without any key nobody can know: an error, not an answer');
unlike(
	slurp_file($node->logfile) =~ s/^.*(?:statement|STATEMENT):.*$//gmr,
	qr/\Q$token\E|0123456789abcdef0123/,
	'neither token nor key is in the log');

$node->assert_invariants;
$node->teardown_node;
done_testing();

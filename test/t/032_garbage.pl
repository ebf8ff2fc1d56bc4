
# Copyright (c) 2026, roleferry authors

# Whatever bytes a provider answers with, in whatever encoding the database is,
# the outcome is recorded and the mail is not sent again; and what the encoding
# can hold reaches the provider as UTF-8.

use strict;
use warnings;
use utf8;

use Encode qw(encode_utf8);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my @kinds = qw(nul surrogate ff deep bigexp emoji empty html not_http nulbytes);
my %encoding = (
	utf8_db => 'UTF8', latin1_db => 'LATIN1', euc_jp_db => 'EUC_JP', ascii_db => 'SQL_ASCII');
my %words = (
	utf8_db => '📬 Grüße, 日本', latin1_db => 'Grüße, café', euc_jp_db => '日本語のメール',
	ascii_db => '📬 Grüße, 日本');
my @databases = sort keys %encoding;

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
max_worker_processes = 16
roleferry.breaker_failures = 10000
});

foreach my $database (@databases)
{
	my ($sendgrid, $mailgun) = map { $simulator->url($_) } qw(sendgrid mailgun);

	$node->sql("CREATE DATABASE $database TEMPLATE template0 ENCODING '$encoding{$database}' LOCALE 'C'");
	$node->safe_psql($database, qq{
CREATE EXTENSION roleferry;
CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '$sendgrid');
CREATE SERVER mailgun FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'mailgun', base_url '$mailgun');
SELECT roleferry.activate()});
}
$node->sql("ALTER SYSTEM SET roleferry.databases = '" . join(', ', 'postgres', @databases) . "'");
$node->sql('SELECT pg_reload_conf()');
$node->wait_until('not every database has its dispatcher', 30, sub { dispatchers() =~ /^(\d+ ){4}\d+$/ });
my $dispatchers = dispatchers();

sub dispatchers
{
	return $node->sql(q{
SELECT string_agg(pid::text, ' ' ORDER BY datname) FROM pg_stat_activity
WHERE backend_type = 'roleferry dispatcher'});
}

# One mail a kind, provider and answer, in one transaction; key => job id.
sub enqueue_all
{
	my ($database) = @_;
	my %id;
	my @cases = map {
		my $kind = $_;
		map { my $provider = $_; map { [ $kind, $provider, $_ ] } qw(taken refused) } qw(sendgrid mailgun)
	} @kinds;
	my $calls = join ";\n", map {
		my ($kind, $provider, $answer) = @$_;

		"SELECT '$kind $provider $answer|' || roleferry.enqueue_email('sender\@mg.example.com', 'reader\@example.net',"
		  . " 'garbage $kind $answer $words{$database}', '<p>$words{$database}</p>',"
		  . " custom_args => jsonb_build_object('word', '$words{$database}'),"
		  . " accounts => ARRAY['$provider'], tenant_key => '$answer')"
	} @cases;
	my $out = $node->safe_psql($database, encode_utf8("SET client_encoding = 'UTF8';\nBEGIN;\n$calls;\nCOMMIT")
		=~ s/SET client_encoding = 'UTF8';\n/$encoding{$database} eq 'SQL_ASCII' ? '' : "SET client_encoding = 'UTF8';\n"/er);

	foreach my $line (split /\n/, $out)
	{
		my ($case, $job) = split /\|/, $line;

		$id{$case} = $job;
	}
	return %id;
}

foreach my $kind (@kinds)
{
	$simulator->rule({ name => "$kind taken", match => { subject => "^garbage $kind taken " },
			action => { garbage => $kind } });
	$simulator->rule({ name => "$kind refused", match => { subject => "^garbage $kind refused " },
			action => { garbage => $kind, status => 400 } });
}

foreach my $database (@databases)
{
	my %id = enqueue_all($database);

	is(scalar keys %id, 4 * @kinds, "$encoding{$database}: mails are enqueued");
	$node->wait_until("$encoding{$database}: the outbox is not empty", 30, sub {
		return $node->safe_psql($database, 'SELECT count(*) FROM roleferry.outbox') eq '0';
	});
	my %state = map { split /\|/ } split /\n/,
	  $node->safe_psql($database, 'SELECT id, state FROM roleferry.jobs');
	foreach my $case (sort keys %id)
	{
		my ($kind, $provider, $answer) = split / /, $case;
		my $expected = $kind eq 'not_http' ? 'unknown' : $answer eq 'taken' ? 'sent' : 'failed';

		is($state{ $id{$case} }, $expected,
			"$encoding{$database}, $provider: a mail that is $answer with $kind is $expected");
	}
	is($node->safe_psql($database, q{SELECT count(*) FROM roleferry.jobs WHERE attempts <> 1}),
		0, "$encoding{$database}: no mail needed a second attempt");
	is($node->safe_psql($database, q{SELECT count(*) FROM roleferry.dead_letters
		WHERE state = 'failed' AND (http_status <> 400 OR reason = '' OR reason IS NULL)}),
		0, "$encoding{$database}: each refusal has its reason");
	is($node->safe_psql($database, q{SELECT count(*) FROM roleferry.dead_letters
		WHERE state = 'failed' AND (excerpt IS NULL OR length(excerpt) = 0)}),
		2, "$encoding{$database}: and its excerpt, but for the two empty ones");
	unlike($node->safe_psql($database, q{SELECT string_agg(message_id || raw_message_id, ' ') FROM roleferry.messages}),
		qr/[^\x21-\x7e ]/, "$encoding{$database}: message ids are plain");
}

# Ground truth.
my %bodies;
my %words_seen;
foreach my $line ($simulator->journal(phase => 'body'))
{
	$bodies{ $line->{rf_job} }++;
	$words_seen{"$line->{provider} $line->{subject}"}{ $line->{custom_args}{word} }++;
}
is(scalar keys %bodies, @databases * 4 * @kinds, 'every mail reached its provider');
is(scalar(grep { $_ > 1 } values %bodies), 0, 'and none a second time');
foreach my $database (@databases)
{
	foreach my $provider ('sendgrid', 'mailgun')
	{
		ok($words_seen{"$provider garbage empty taken $words{$database}"}{ $words{$database} },
			"$encoding{$database}, $provider: subject and arguments arrive as UTF-8");
	}
}
is(dispatchers(), $dispatchers, 'no dispatcher has ended');
unlike(slurp_file($node->logfile), qr/WARNING:.*dispatcher failed/, 'and none has failed');

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# From the mail to what became of it: the stand-ins report what they have taken,
# signed as SendGrid and Mailgun sign; the signature is verified in SQL, and the
# events take effect.

use strict;
use warnings;

use MIME::Base64 qw(encode_base64);
use JSON::PP     ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $json = JSON::PP->new->canonical;
my ($node, $simulator) = RoleferryNode->start_pair('main',
	conf =>
	  "roleferry.sweep_interval = '100ms'\nroleferry.breaker_failures = 10000\n"
);

$node->sql(
	q{
CREATE FUNCTION public.regress_events(provider text, body text) RETURNS text
	SET search_path = pg_catalog, pg_temp LANGUAGE C AS 'roleferry', 'roleferry_events_test'}
);
my $keys = $simulator->event_keys;

# Verifies and applies what a provider sends; returns what each event was.
sub deliver
{
	my ($provider, %wish) = @_;
	my @told;

	foreach my $request ($simulator->events($provider, %wish))
	{
		my $body =
		  "decode('" . encode_base64($request->{body}, '') . "', 'base64')";
		my ($verified, $told) = split /\|/,
		  $node->sql(
				"SELECT roleferry.verify_signature('$provider', ARRAY["
			  . RoleferryNode::quote_literal($keys->{$provider}) . '], '
			  . RoleferryNode::quote_literal(
				$json->encode($request->{headers}))
			  . "::jsonb, $body), public.regress_events('$provider', convert_from($body, 'UTF8'))"
		  );
		is($verified, 't', "a request of $provider\'s is verified");
		push @told, split /, /, $told;
	}
	return @told;
}

my %life = (sendgrid => 'delivered', mailgun => 'delivered');
foreach my $provider (sort keys %life)
{
	my @jobs = $node->enqueue(5, accounts => [$provider]);
	$node->wait_drained;
	my $gone = $node->sql(
		"SELECT to_addr FROM roleferry.message WHERE job_id = $jobs[4]");
	my @told = deliver($provider,
		rules => [ { to => "^\Q$gone\E\$", words => ['bounced'] } ]);

	is_deeply(
		[ sort @told ],
		[
			('accepted matched') x 4,
			'bounced matched',
			('delivered matched') x 4
		],
		"$provider tells what became of each");
	is( $node->sql(
			"SELECT state, count(*) FROM roleferry.messages WHERE job_id >= $jobs[0] GROUP BY state ORDER BY state"
		),
		"bounced|1\ndelivered|4",
		'and the messages show it');
	is( $node->sql(
			"SELECT address || ' ' || reason FROM roleferry.suppressions WHERE address = '$gone'"
		),
		"$gone bounced",
		'whoever bounced gets no more mail');
	my ($next) =
	  $node->enqueue(1, first => $gone =~ /(\d+)/, accounts => [$provider]);
	$node->wait_drained;
	is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $next"),
		'suppressed', 'for certain');
}

# The answer is lost, the mail was taken: its event ends the doubt.
foreach my $provider (sort keys %life)
{
	$simulator->rule(
		{
			name => 'lost',
			action => { status => 500, accept => JSON::PP::true }
		});
	my ($job) = $node->enqueue(1, first => 1000, accounts => [$provider]);
	$node->wait_drained;
	$simulator->clear_rules('lost');
	is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $job"),
		'unknown', "$provider\'s answer was lost");
	deliver($provider);
	is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $job"),
		'sent', 'its event settles the mail');
	is( $node->sql(
			"SELECT state FROM roleferry.messages WHERE job_id = $job"),
		'delivered',
		'and tells its life');
	my %accepted = $simulator->accepted_counts;
	my $installation =
	  $node->sql('SELECT installation FROM roleferry.activation');
	is($accepted{"$installation.$job"}, 1, 'it went out once');
}

# A batch as large as providers make them.
{
	my @jobs = $node->enqueue(1000, first => 2000, accounts => ['sendgrid']);
	$node->wait_drained(60);
	my ($request) = my @requests = $simulator->events('sendgrid');
	my $body =
	  "decode('" . encode_base64($request->{body}, '') . "', 'base64')";
	$node->sql(
		"CREATE TABLE public.batch AS SELECT convert_from($body, 'UTF8') AS body"
	);
	my $ms = $node->sql(
		q{
SELECT clock_timestamp() AS began \gset
SELECT length(public.regress_events('sendgrid', body)) AS length FROM public.batch \gset
SELECT round(extract(epoch FROM clock_timestamp() - :'began') * 1000)});
	is( $node->sql(
			"SELECT count(*) FROM roleferry.message_life WHERE job_id >= $jobs[0]"
		),
		'500',
		'a thousand events are of five hundred mails');
	note "1000 events in $ms ms";
	cmp_ok($ms, '<', 5000, 'in one transaction');
}

$node->stop;
done_testing();

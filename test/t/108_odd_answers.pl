
# Copyright (c) 2026, roleferry authors

# Answers that mean something else than they look like, end to end: Hunter's 403
# is "too fast" and its 429 "no credit left"; what a provider says of its limits
# in the answer to a mail counts; numbers past 2^53 come back as they were.

use strict;
use warnings;

use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	simulator => ['--keep-raw'],
	conf => q{
roleferry.search_fresh = 0
roleferry.search_stale = 0
roleferry.verify_max_wait = 20ms
roleferry.verify_poll_interval = 100ms
});

$node->sql(
	sprintf q{
CREATE SERVER hunter FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'hunter', secret 'hunter', base_url '%s');
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%s');
GRANT USAGE ON FOREIGN SERVER hunter, apollo TO app;
}, $simulator->url('hunter'), $simulator->url('apollo'));
$node->add_verifier;
$node->wait_dispatcher(30);

sub search
{
	my ($account) = @_;
	my (undef, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET ROLE app;\nSELECT count(*) FROM roleferry.apollo_search('p30.example', ARRAY['CTO', 'CEO', 'Sales', 'Engineering'], account => '$account', enrich => false);"
	);

	return ($out, $err);
}

sub requests { return scalar $simulator->moments($_[0]); }

sub state_of
{
	my ($account) = @_;

	return $node->sql(
		"SELECT state FROM roleferry.accounts WHERE account = '$account'");
}

# --- Hunter: the other way round ---

$simulator->rule(
	{
		name => 'fast',
		provider => 'hunter',
		action => {
			status => 403,
			headers => { 'Retry-After' => '2' },
			body => {
				errors => [
					{
						id => 'too_many_requests',
						code => 403,
						details => 'You have reached the rate limit'
					}
				]
			}
		}
	});
my ($out, $err) = search('hunter');
like(
	$err,
	qr/ERROR:  RF001: account "hunter" has used up its requests/,
	'a 403 of Hunter is a rate limit, and no refused key');
is(state_of('hunter'), 'paused', 'the account pauses');
my $before = requests('hunter');
($out, $err) = search('hunter');
like(
	$err,
	qr/ERROR:  RF001: account "hunter" has to wait/,
	'who asks again hears so');
is(requests('hunter'), $before, 'and asks nobody');
$simulator->clear_rules;
$node->wait_until('the pause does not end',
	20, sub { state_of('hunter') eq 'ready' });
($out, $err) = search('hunter');
like($out, qr/^[1-9]\d*$/, 'it ends by itself');

$simulator->rule(
	{
		name => 'credit',
		provider => 'hunter',
		action => {
			status => 429,
			body => {
				errors => [
					{
						id => 'usage_limit',
						code => 429,
						details => 'You have exceeded your usage limit'
					}
				]
			}
		}
	});
($out, $err) = search('hunter');
like(
	$err,
	qr/ERROR:  RF003: account "hunter" refused \(quota\)/,
	'a 429 of Hunter is the end of its credit, and no rate limit');
$simulator->clear_rules;
$before = requests('hunter');
($out, $err) = search('hunter');
like(
	$err,
	qr/ERROR:  RF003: account "hunter" is stopped: no credit is left/,
	'the account is stopped');
is(requests('hunter'), $before, 'nobody is asked');
$node->restart;
$node->wait_dispatcher(30);
($out, $err) = search('hunter');
like($err, qr/ERROR:  RF003: /, 'over a restart, too');
$node->sql(q{SELECT roleferry.resume_account('hunter')});
$node->wait_until('it is not resumed',
	20, sub { (search('hunter'))[0] =~ /^[1-9]/ });
pass('until a person resumes it');

# --- A plan without access, at a free search ---

$simulator->rule(
	{
		name => 'plan',
		provider => 'apollo',
		match => { call => 'api_search' },
		action => {
			status => 403,
			body => { error => 'no', error_code => 'API_INACCESSIBLE' }
		}
	});
($out, $err) = search('apollo');
like(
	$err,
	qr/ERROR:  RF003: account "apollo" refused \(config\)/,
	'a plan without access to the API is an error of its own');
$simulator->clear_rules;

# --- What an answer to a mail says of limits ---

$node->sql(
	q{INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('sendgrid', 50, '1 min')}
);
$simulator->rule(
	{
		name => 'few',
		provider => 'sendgrid',
		count => 1,
		action => {
			status => 202,
			headers => {
				'x-rate-limit-minute' => '50',
				'x-minute-requests-left' => '3'
			}
		}
	});
$node->enqueue(1, accounts => ['sendgrid']);
$node->wait_drained(20);
is( $node->sql(
		q{SELECT remaining FROM roleferry.rate_limits WHERE account = 'sendgrid'}
	),
	'3',
	'a window of the same length as one that is told of knows what is left');
$node->enqueue(6, accounts => ['sendgrid']);
$node->wait_until('what may go does not',
	20, sub { requests('sendgrid') == 4 });
$node->wait_turn;
is(requests('sendgrid'), 4, 'and lets no more through');
$node->sql('DELETE FROM roleferry.rate_limit');
$node->wait_drained(20);

$simulator->clear_rules;
$simulator->rule(
	{
		name => 'none',
		provider => 'mailgun',
		count => 1,
		action => {
			status => 200,
			headers => {
				'X-RateLimit-Remaining' => '0',
				'X-RateLimit-Reset' => int(time) + 3
			}
		}
	});
$node->enqueue(1, accounts => ['mailgun']);
$node->wait_drained(20);
$node->enqueue(1, accounts => ['mailgun']);
$node->wait_drained(20);
my @moments = $simulator->moments('mailgun');
cmp_ok($moments[1] - $moments[0],
	'>=', 1.9,
	'an answer that says "none is left" pauses the account until then');
is($node->sql('SELECT max(attempts) FROM roleferry.messages'),
	'1', 'no attempt is spent on either');

# --- Numbers past what a double holds ---

my $big = '9007199254740993';
foreach my $call ('jobs/create', 'jobs/status', 'jobs/results')
{
	my $body =
	  $call eq 'jobs/create'
	  ? qq{{"status": "success", "job_id": $big, "execution_time": 1}}
	  : $call eq 'jobs/status'
	  ? qq{{"status": "success", "id": $big, "job_status": "complete", "filename": "x", "percent_complete": 100, "total": {"records": 2, "billable": 2, "processed": 2, "duplicates": 0, "bad_syntax": 0}, "execution_time": 1}}
	  : qq{{"status": "success", "total_results": 2, "total_pages": 1, "query": {"job_id": $big, "page": 1, "items_per_page": 1000}, "results": [{"data": {"email": "ann\@big.example"}, "verification": {"result": "valid", "flags": ["has_dns"], "suggested_correction": ""}}, {"data": {"email": "bob\@big.example"}, "verification": {"result": "invalid", "flags": [], "suggested_correction": ""}}], "execution_time": 1}};

	$simulator->rule(
		{
			name => $call,
			provider => 'neverbounce',
			match => { call => "^$call\$" },
			action => {
				body => $body,
				headers => { 'Content-Type' => 'application/json' }
			}
		});
}
is( $node->sql(
		q{SET ROLE app; SELECT string_agg(status, ' ') FROM roleferry.verify_emails(ARRAY['ann@big.example', 'bob@big.example'])}
	),
	'valid invalid',
	'a job with a number past 2^53 is followed to its end');
is($node->sql('SELECT provider_job_id FROM roleferry.batch'),
	$big, 'its number is kept digit by digit');
my @asked = grep { $_->{call} =~ m{^jobs/(?:status|results)$} }
  $simulator->journal(phase => 'body', provider => 'neverbounce');
cmp_ok(scalar @asked, '>=', 2, 'it is asked for');
is( scalar(
		grep { decode_base64($_->{raw_body}) !~ /"job_id":$big[,}]/ } @asked),
	0,
	'by that number, each time');

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# A search as a job: what apollo_search() gives, as the job's result, through the
# dispatcher; it waits for its account instead of failing, and whatever dies,
# nobody is paid for twice.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryAgent;
use RoleferryNode;
use Test::More;

my $agent = RoleferryAgent->new;
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => qq{
roleferry.dogstatsd = '@{[ $agent->target ]}'
roleferry.breaker_failures = 100
});

$node->sql(
	sprintf q{
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%s');
CREATE SERVER hunter FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'hunter', secret 'hunter', base_url '%s');
GRANT USAGE ON FOREIGN SERVER apollo, hunter TO app;
INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('apollo', 10000, '1 min');
}, $simulator->url('apollo'), $simulator->url('hunter'));

my %ask = (
	domain => q{'p250.example'},
	titles => q{ARRAY['CTO', 'CEO', 'Engineering', 'Sales', 'Recruiter']});

sub arguments
{
	my (%arguments) = @_;

	return join ', ', map { "$_ => $arguments{$_}" } sort keys %arguments;
}

sub enqueue
{
	return $node->sql('SET ROLE app; SELECT roleferry.enqueue_apollo_search('
		  . arguments(@_)
		  . ')');
}

# What the statement raises, as the role "app".
sub refusal
{
	my ($statement) = @_;
	my (undef, undef, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET ROLE app;\n$statement;");

	return $err;
}

sub wait_job
{
	my ($id) = @_;

	return $node->wait_until(
		"job $id has not ended",
		60,
		sub {
			my $state =
			  $node->sql("SELECT state FROM roleferry.jobs WHERE id = $id");

			return $state =~ /^(waiting|running)$/ ? undef : $state;
		});
}

# Columns of the people it found.
sub result
{
	my ($columns, $id) = @_;

	wait_job($id);
	return $node->sql(
		"SELECT $columns FROM jsonb_populate_recordset(NULL::roleferry.person, roleferry.result($id))"
	);
}

sub requests { return $simulator->calls('apollo', $_[0]); }
sub charged  { return $simulator->charged('apollo', 'bulk_match'); }

sub forget
{
	return $node->sql(
		'DELETE FROM roleferry.person_cache; DELETE FROM roleferry.search_cache'
	);
}

$node->wait_dispatcher(30);

# --- What comes back ---

my $id = enqueue(%ask, max_results => 25);
my $columns =
  'count(*), count(DISTINCT person_id), count(email), count(last_name), count(linkedin), min(source), max(confidence)';
my ($found, $distinct, $emails, $names, $linkedin, $source, $confidence) =
  split /\|/, result($columns, $id);
is("$found|$distinct|$source|$confidence",
	'25|25|apollo|0.9', 'a job finds people');
cmp_ok($names, '>', 15, 'with last names');
cmp_ok($emails, '>', 10, 'and e-mail addresses');
is(charged(), $emails, 'of which each costs a credit');
is(requests('bulk_match'), 3, 'and a request is made for ten');
$agent->collect(
	10,
	sub {
		$agent->sum('roleferry.apollo.calls', endpoint => 'enrich_people') >=
		  3;
	});
is( $agent->sum(
		'roleferry.apollo.calls',
		endpoint => 'search_people',
		status => 'success'),
	requests('api_search'),
	'metrics call its requests what they are');
is($agent->sum('roleferry.apollo.calls', endpoint => 'send') || 0,
	0, 'and none a mail');
is($node->sql("SELECT state, queue FROM roleferry.jobs WHERE id = $id"),
	'done|enrichment', 'it went by the queue of its task');

my $same = $node->sql(
	'SET ROLE app; SELECT md5(string_agg(p::text, E\'\n\')) FROM (SELECT name, email, title, linkedin, person_id, confidence FROM roleferry.apollo_search('
	  . arguments(%ask, max_results => 25)
	  . ')) p');
is( $node->sql(
		"SELECT md5(string_agg(p::text, E'\\n')) FROM (SELECT name, email, title, linkedin, person_id, confidence FROM jsonb_populate_recordset(NULL::roleferry.person, roleferry.result($id))) p"
	),
	$same,
	'and has what the function gives');
my ($searches, $matches) = (requests('api_search'), requests('bulk_match'));
is(result('count(email)', enqueue(%ask, max_results => 25)),
	$emails, 'a second job has the same');
is( requests('api_search') . ' ' . requests('bulk_match'),
	"$searches $matches",
	'from the cache: nobody is asked');
is( result(
		'count(*), count(email)',
		enqueue(%ask, max_results => 250, enrich => 'false')),
	'250|0',
	'pages follow each other, and who wants no enrichment pays for none');
is(charged(), $emails, 'nothing at all');

forget();
my $before = charged();
$id = enqueue(%ask, max_results => 150, max_credits => 12);
like(result('count(*), count(last_name)', $id),
	qr/^150\|\d+$/, 'more than a page is found');
is($node->sql('SELECT count(*) FROM roleferry.person_cache'),
	'12', 'and max_credits bounds what is paid');
cmp_ok(charged() - $before, '<=', 12, 'at the provider, too');

is( result(
		'count(*) > 0, min(source), bool_and(email IS NOT NULL)',
		enqueue(%ask, account => q{'hunter'}, max_results => 10)),
	't|hunter|t',
	'one that charges for searches is asked where it is named');

# --- The other ways in ---

forget();
$id = $node->sql(
	q{SET ROLE app; INSERT INTO roleferry.outbox (task, args) VALUES ('apollo_search', '{"domain": "p250.example", "titles": ["CTO"], "max_results": 3, "enrich": false}') RETURNING id}
);
is(result('count(*), min(source)', $id), '3|apollo', 'a plain INSERT');
$id = $node->sql(
	q{SET ROLE app; SELECT roleferry.enqueue('apollo_search', '{"domain": "p250.example", "titles": ["CEO"], "max_results": 2}')}
);
is(result('count(*)', $id), '2', 'enqueue()');
is( enqueue(%ask, idempotency_key => q{'k'}, enrich => 'false'),
	enqueue(%ask, idempotency_key => q{'k'}, enrich => 'false'),
	'a key makes two of them one');
like(
	$node->sql(
		'BEGIN; SET LOCAL ROLE app; SELECT roleferry.enqueue_apollo_search('
		  . arguments(%ask, domain => q{'rolled-back.example'})
		  . '); ROLLBACK'),
	qr/^\d+$/,
	'a rollback');

# --- What is refused, when it is enqueued ---

my @wrong = (
	[ 'no domain', '{"titles": ["CTO"]}', '22023', '"domain" is empty' ],
	[
		'a domain with a path',
		'{"domain": "acme.com/x", "titles": ["CTO"]}',
		'22023',
		'"domain" is not a domain but a URL'
	],
	[ 'no titles', '{"domain": "acme.com"}', '22023', '"titles" is empty' ],
	[
		'a null among titles',
		'{"domain": "acme.com", "titles": ["CTO", null]}',
		'22023', '"titles[2]" is null'
	],
	[
		'titles that are no list',
		'{"domain": "acme.com", "titles": "CTO"}',
		'22023',
		'"titles" is not a list of strings'
	],
	[
		'no results',
		'{"domain": "acme.com", "titles": ["CTO"], "max_results": 0}',
		'22023', '"max_results" is not between 1 and 50000'
	],
	[
		'half a result',
		'{"domain": "acme.com", "titles": ["CTO"], "max_results": 1.5}',
		'22023', '"max_results" is not a whole number'
	],
	[
		'less than nothing',
		'{"domain": "acme.com", "titles": ["CTO"], "max_credits": -1}',
		'22023', '"max_credits" is negative'
	],
	[
		'an unknown argument',
		'{"domain": "acme.com", "titles": ["CTO"], "size": 1}',
		'22023',
		'"size" is not an argument of apollo_search'
	],
	[
		'what only the dispatcher writes',
		'{"domain": "acme.com", "titles": ["CTO"], "rf_found": {"people": []}}',
		'22023',
		'"rf_found" is not an argument'
	],
	[
		'an unknown account',
		'{"domain": "acme.com", "titles": ["CTO"], "account": "nobody"}',
		'42704',
		'there is no account "nobody" that searches people'
	],
	[
		'an account for mail',
		'{"domain": "acme.com", "titles": ["CTO"], "account": "sendgrid"}',
		'42704',
		'there is no account "sendgrid" that searches people'
	],
	[ 'no object', '[]', '22023', '"args" is not a JSON object' ]);
foreach my $case (@wrong)
{
	my ($what, $args, $state, $message) = @$case;
	my $err = refusal(
		"INSERT INTO roleferry.outbox (task, args) VALUES ('apollo_search', '$args')"
	);

	like($err, qr/ERROR:  $state: \Q$message\E/, "$what in an INSERT");
	$err = refusal("SELECT roleferry.enqueue('apollo_search', '$args')");
	like($err, qr/ERROR:  $state: \Q$message\E/, 'and by enqueue()');
}
like(
	refusal(
		q{SELECT roleferry.enqueue_apollo_search('acme.com', ARRAY['CTO', NULL])}
	),
	qr/ERROR:  22023: "titles\[2\]" is null/,
	'so does enqueue_apollo_search()');
like(
	refusal(q{SELECT roleferry.enqueue_apollo_search(NULL)}),
	qr/ERROR:  22023: "domain" is empty/,
	'which has a domain');
like(
	refusal(
		q{SELECT roleferry.enqueue('apollo_search', '{"domain": "acme.com", "titles": ["CTO"], "account": "hunter"}', delivery => 'at_least_once')}
	),
	qr/ERROR:  22023: "delivery" of apollo_search cannot be at_least_once/,
	'what costs is not asked twice');
$node->sql(
	'CREATE ROLE nobody; REVOKE USAGE ON FOREIGN SERVER apollo FROM app');
like(
	refusal(
		q{SELECT roleferry.enqueue_apollo_search('acme.com', ARRAY['CTO'])}),
	qr/ERROR:  42501: .*may use no account that searches people/,
	'who may use no account may not enqueue');
$node->sql('GRANT USAGE ON FOREIGN SERVER apollo TO app');

# --- Equal searches at once ---

# Six jobs with one question: the ids, and when all but one wait for the first.
sub enqueue_six
{
	my ($rule, %arguments) = @_;

	forget();
	$simulator->rule(
		{
			name => 'same',
			provider => 'apollo',
			count => 1,
			match => { call => 'api_search' },
			action => $rule
		});
	my @ids = split /\n/, $node->sql(
		'SET ROLE app; SELECT roleferry.enqueue_apollo_search('
		  . arguments(%ask, enrich => 'false', %arguments)
		  . ') FROM generate_series(1, 6)');

	return @ids;
}

$searches = requests('api_search');
my @ids = enqueue_six({ hold => 'same' }, max_results => 150);
$node->wait_until(
	'not all of the others were given back',
	60,
	sub {
		$node->sql(
			'SELECT count(*) FROM roleferry.outbox WHERE attempts = 0 AND run_at > created_at'
		) == 5;
	});
is(requests('api_search') - $searches,
	1, 'of jobs that ask the same only one asks');
$simulator->clear_rules;
$simulator->release('same');
is(join(' ', map { result('count(*)', $_) } @ids),
	'150 150 150 150 150 150', 'and each has the answer');
is(requests('api_search') - $searches, 2, 'of two pages, each asked for once');

$searches = requests('api_search');
@ids = enqueue_six({ status => 500 }, max_results => 5);
is(join(' ', map { result('count(*)', $_) } @ids),
	'5 5 5 5 5 5', 'where the first is refused, another asks');
is(requests('api_search') - $searches, 2, 'once, for all');
$simulator->clear_rules;

$node->sql(q{ALTER SYSTEM SET roleferry.search_fresh = 0});
$node->reload;
$node->wait_until('the setting does not hold',
	10, sub { $node->sql('SHOW roleferry.search_fresh') eq '0' });
$searches = requests('api_search');
@ids = enqueue_six({ hold => 'same' }, max_results => 5);
$node->wait_until('the others do not ask',
	60, sub { requests('api_search') - $searches == 6 });
$simulator->clear_rules;
$simulator->release('same');
is(join(' ', map { result('count(*)', $_) } @ids),
	'5 5 5 5 5 5', 'each asks by itself where nothing is to be given twice');
$node->sql(q{ALTER SYSTEM RESET roleferry.search_fresh});
$node->reload;
$node->wait_until('the setting still holds',
	10, sub { $node->sql('SHOW roleferry.search_fresh') ne '0' });

# --- What goes wrong at the provider ---

forget();
$simulator->rule(
	{
		name => 'busy',
		provider => 'apollo',
		count => 1,
		match => { call => 'api_search' },
		action => { status => 429, headers => { 'Retry-After' => '2' } }
	});
is(result('count(*)', enqueue(%ask, max_results => 5, enrich => 'false')),
	'5', 'a job waits for an account that is busy');
$simulator->clear_rules;

foreach my $case (
	[ 'reset', { reset => 'after_read' }, 'done' ],
	[ 'server error', { status => 500 }, 'done' ],
	[ 'page of people of other firms', undef, 'failed' ],
	[ 'answer of no sense', { garbage => 'html' }, 'failed' ])
{
	my ($what, $action, $end) = @$case;

	forget();
	$simulator->rule(
		{
			name => 'lost',
			provider => 'apollo',
			count => 1,
			match => { call => 'api_search' },
			action => $action || {
				body => {
					total_entries => 2,
					people => [
						map {
							{
								id => "s$_",
								first_name => 'S',
								organization =>
								  { primary_domain => "other$_.example" }
							}
						} 1 .. 2
					]
				}
			}
		});
	$id =
	  enqueue(%ask, max_results => 5, enrich => 'false', max_attempts => 5);
	is(wait_job($id), $end, "a free search after a $what: $end");
	$simulator->clear_rules;
}

forget();
$simulator->rule(
	{
		name => 'lost',
		provider => 'hunter',
		count => 1,
		action => { reset => 'after_read' }
	});
$id = enqueue(
	domain => q{'p30.example'},
	titles => $ask{titles},
	account => q{'hunter'},
	max_results => 5);
is(wait_job($id), 'unknown', 'one that costs is not asked again: unknown');
$simulator->clear_rules;

forget();
$simulator->rule(
	{
		name => 'lost',
		provider => 'apollo',
		match => { call => 'bulk_match' },
		action => { status => 500 }
	});
$id = enqueue(%ask, max_results => 5);
is(wait_job($id), 'unknown', 'an enrichment nobody can know of: unknown');
is(requests('bulk_match') > 0, 1, 'it was asked');
$matches = requests('bulk_match');
$simulator->clear_rules;
(undef, undef, my $err) =
  $node->psql('postgres', "SET ROLE app; SELECT roleferry.retry($id)");
like($err, qr/may have its effect twice/, 'nothing asks again in silence');
is(requests('bulk_match'), $matches, 'and nobody has');
$node->sql("SET ROLE app; SELECT roleferry.retry($id, true)");
is(result('count(*)', $id), '5', 'a person may have it tried again');
is( $node->sql(
		"SELECT count(*) FROM roleferry.dead_letter WHERE job_id = $id"),
	'0',
	'and it ends well');

# --- A dispatcher that dies ---

foreach my $point (
	'before_transfer', 'after_record',
	'before_batch', 'before_batch_transfer',
	'batch_answer')
{
	forget();
	$node->sql('DELETE FROM roleferry.dead_letter');
	$before = charged();
	$node->fault($point, 'kill');
	$node->psql('postgres',
			'SET ROLE app; SELECT roleferry.enqueue_apollo_search('
		  . arguments(%ask, max_results => 120, max_credits => 15)
		  . ')');
	$node->crash_wait;
	$node->wait_dispatcher(30);
	$node->wait_drained(60);
	my $paid = charged() - $before;
	my $kept = $node->sql('SELECT count(email) FROM roleferry.person_cache');
	my $rows = $node->sql('SELECT count(*) FROM roleferry.person_cache');
	my $unknown = $node->sql(
		q{SELECT count(*) FROM roleferry.dead_letter WHERE state = 'unknown'}
	);
	cmp_ok($paid, '<=', 15, "no more is paid than was allowed after $point");
	cmp_ok($rows, '<=', 15, 'nor asked for');
	ok( ($unknown == 0 && $paid == $kept && $rows == 15)
		  || ($unknown == 1 && $point =~ /batch_/),
		"what was paid for at $point is kept, or said to be unknown"
	) or diag("paid $paid, kept $kept of $rows, unknown $unknown");
}

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# People are asked for while the caller waits: page by page, without a job,
# whatever the outbox is doing, through the same gates as mail.  An error is
# never an empty result.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	simulator => [ '--apollo-limit', '3600=60' ],
	conf => q{
roleferry.max_in_flight = 4
roleferry.breaker_failures = 2
roleferry.breaker_cooldown = '1h'
roleferry.search_fresh = 0
roleferry.search_stale = 0
});

$node->write_secret(
	$_,
	{
		apollo => 'ap-test-key',
		hunter => 'hu-test-key',
		wrong => 'nobodys-key'
	}->{$_}) for qw(apollo hunter wrong);
$node->sql(
	sprintf q{
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%s');
CREATE SERVER legacy FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', dialect 'legacy', secret 'apollo', base_url '%s');
CREATE SERVER wrong FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'wrong', base_url '%s');
CREATE SERVER hunter FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'hunter', secret 'hunter', base_url '%s');
GRANT USAGE ON FOREIGN SERVER apollo, legacy, wrong, hunter TO app;
}, ($simulator->url('apollo')) x 3, $simulator->url('hunter'));

# Columns and errors of one search, as the role "app".
sub search
{
	my ($columns, %arguments) = @_;
	$arguments{enrich} //= 'false';
	my $list = join ', ', map { "$_ => $arguments{$_}" } sort keys %arguments;
	my (undef, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET ROLE app;\nSELECT $columns FROM roleferry.apollo_search($list);"
	);

	return wantarray ? ($out, $err) : $out;
}

sub requests
{
	my ($provider) = @_;

	return
	  scalar grep { $_->{phase} eq 'headers' && $_->{provider} eq $provider }
	  $simulator->journal;
}

my %ask = (
	domain => q{'p250.example'},
	titles => q{ARRAY['CTO', 'CEO', 'Engineering', 'Sales', 'Recruiter']},
	account => q{'apollo'});

$node->wait_dispatcher(30);

# --- What comes back ---

my ($out, $err) = search(
	'count(*), count(DISTINCT person_id), count(email), min(source), min(confidence)',
	%ask,
	max_results => 5);
is($err, '', 'a search raises nothing');
is($out, '5|5|0|apollo|0.5',
	'as many people as were asked for, without e-mail addresses');
my $before = requests('apollo');
$out =
  search('count(*), count(DISTINCT person_id)', %ask, max_results => 1000);
is($out, '250|250', 'all pages are read, and nobody comes twice');
is(requests('apollo') - $before, 3, 'page by page');
is( search(
		'count(*)', %ask,
		domain => q{'p0.example'},
		titles => q{ARRAY['astronaut']}),
	'0',
	'nobody is nobody');
is(search('count(*) > 0, min(source)', %ask, account => q{'hunter'}),
	't|hunter', 'another provider is asked in the same way');
is(search('count(*)', %ask, account => q{'legacy'}, max_results => 3),
	'3', 'so is the first design\'s dialect');
is($node->sql('SELECT count(*) FROM roleferry.jobs'),
	'0', 'a search leaves no job behind');
is(search('DISTINCT source', %ask, account => 'NULL'),
	'apollo', 'whose searches cost credits is not asked unless named');

# --- What it does not do ---

foreach my $case (
	[ { domain => q{'https://acme.com/'} }, '22023', qr/"domain"/ ],
	[ { domain => 'NULL' }, '22023', qr/"domain"/ ],
	[ { titles => 'NULL' }, '22023', qr/"titles" is empty/ ],
	[ { titles => q{ARRAY['a', NULL]} }, '22023', qr/"titles\[2\]" is null/ ],
	[ { seniorities => q{ARRAY['boss']} }, '22023', qr/"seniorities/ ],
	[ { max_results => '0' }, '22023', qr/"max_results"/ ],
	[ { timeout => q{'0s'} }, '22023', qr/"timeout"/ ],
	[ { account => q{'nowhere'} }, '42704', qr/no account "nowhere"/ ],
	[
		{ account => q{'sendgrid'} },
		'42704',
		qr/no account "sendgrid" that searches people/
	])
{
	my ($arguments, $state, $text) = @$case;

	(undef, $err) = search('*', %ask, %$arguments);
	like(
		$err,
		qr/ERROR:  $state: .*$text/s,
		join(', ', map { "$_ => $arguments->{$_}" } keys %$arguments)
		  . ' is a clear error');
}
$node->sql('REVOKE USAGE ON FOREIGN SERVER apollo FROM app');
(undef, $err) = search('*', %ask);
like(
	$err,
	qr/ERROR:  42501: /,
	'nobody asks by an account that he may not use');
$node->sql('GRANT USAGE ON FOREIGN SERVER apollo TO app');

(undef, $err) = search('*', %ask, account => q{'wrong'});
like(
	$err,
	qr/ERROR:  RF003: .*account "wrong" refused \(credential\)/s,
	'a refused key is an error, not "nobody"');
$simulator->rule(
	{
		name => 'ignored',
		provider => 'apollo',
		match => { call => 'api_search' },
		count => 1,
		action => {
			status => 200,
			body => {
				total_entries => 200,
				people => [
					map {
						{
							id => "x$_",
							first_name => 'A',
							title => 'CEO',
							has_email => \1,
							organization => { name => "Firm $_" }
						}
					} 1 .. 20
				]
			}
		}
	});
(undef, $err) = search('*', %ask);
like($err, qr/ERROR:  RF003: /, 'people of other firms are an error, too');
$simulator->rule(
	{
		name => 'slow',
		provider => 'apollo',
		match => { call => 'api_search' },
		count => 1,
		action => { delay => 3 }
	});
my $started = time();
(undef, $err) = search('*', %ask, timeout => q{'300ms'});
like(
	$err,
	qr/ERROR:  08006: .*did not answer in time/s,
	'no answer in time is an error');
cmp_ok(time() - $started, '<', $node->patient(2), 'in time');
$simulator->clear_rules;

# --- Whatever the outbox is doing ---

$simulator->rule(
	{
		name => 'held',
		match => { to => 'user' },
		action => { hold => 'held' }
	});
$node->enqueue(20);
$node->wait_until('not 4 mails are under way',
	10, sub { $simulator->held('held') == 4 });
is(search('count(*)', %ask, max_results => 3),
	'3', 'a full queue does not hold a question up');
my $locker = $node->background_psql('postgres');
$locker->query_safe(
	'BEGIN; LOCK TABLE roleferry.outbox IN ACCESS EXCLUSIVE MODE');
is(search('count(*)', %ask, max_results => 3),
	'3', 'nor does a table that is locked');
$locker->query_safe('COMMIT');
$locker->quit;
$simulator->clear_rules;
$simulator->release('held');
$node->wait_drained(30);
$node->assert_invariants;

# --- Rate limits ---

$node->sql(
	q{INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('legacy', 3, '1 hour')}
);
$before = requests('apollo');
is( join(
		' ',
		map {
			scalar search(
				'count(*)', %ask,
				account => q{'legacy'},
				max_results => 1)
		} 1 .. 3),
	'1 1 1',
	'as many searches as the limit allows');
(undef, $err) = search('*', %ask, account => q{'legacy'});
like(
	$err,
	qr/ERROR:  RF001: .*a rate limit is used up.*HINT:  Try again in 3[56]\d\d s/s,
	'and no more: the hint says when');
is(requests('apollo') - $before, 3, 'the provider sees no more either');
is( $node->sql(
		q{SELECT used, remaining FROM roleferry.rate_limits WHERE account = 'legacy'}
	),
	'3|0',
	'the view counts them');
$node->restart;
$node->wait_dispatcher(30);
(undef, $err) = search('*', %ask, account => q{'legacy'});
like($err, qr/ERROR:  RF001: /, 'a restart gives none back');

# The provider counts, too, and says so in headers: what it has left is all we have.
$node->sql(
	q{INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('apollo', 1000, '1 hour')}
);
is(search('count(*)', %ask, max_results => 1),
	'1', 'a search within both limits');
my $asked = grep {
		 $_->{phase} eq 'headers'
	  && $_->{provider} eq 'apollo'
	  && $_->{path} =~ /api_search/
} $simulator->journal;
cmp_ok(
	$node->sql(
		q{SELECT remaining FROM roleferry.rate_limits WHERE account = 'apollo'}
	),
	'<=',
	60 - $asked + 1,
	'what the provider says is left of its window clamps ours');

# --- The account's gate ---

$simulator->rule(
	{
		name => 'full',
		provider => 'apollo',
		match => { call => 'api_search' },
		count => 1,
		action => { status => 429, headers => { 'Retry-After' => '60' } }
	});
(undef, $err) = search('*', %ask);
like(
	$err,
	qr/ERROR:  RF001: .*HINT:  Try again in 60 s/s,
	'a limit is an error with the time in it');
$before = requests('apollo');
(undef, $err) = search('*', %ask);
like(
	$err,
	qr/ERROR:  RF001: .*HINT:  Try again in \d+ s/s,
	'and holds for the next question');
is(requests('apollo'), $before, 'which is not asked');

$simulator->rule(
	{
		name => 'broken',
		provider => 'hunter',
		match => {},
		action => { status => 500 }
	});
(undef, $err) = search('*', %ask, account => q{'hunter'}) for 1 .. 2;
like($err, qr/ERROR:  08006: /, 'a failure of the provider is an error');
$before = requests('hunter');
(undef, $err) = search('*', %ask, account => q{'hunter'});
like(
	$err,
	qr/ERROR:  RF002: .*circuit of account "hunter" is open/s,
	'until the circuit opens');
is(requests('hunter'), $before, 'and nobody is asked');

$node->sql('SELECT roleferry.deactivate()');
(undef, $err) = search('*', %ask, account => q{'legacy'});
like(
	$err,
	qr/ERROR:  55000: .*nothing may leave this database/s,
	'a database that is not active asks nothing');

$node->stop;
done_testing();

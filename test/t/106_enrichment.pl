
# Copyright (c) 2026, roleferry authors

# What a search leaves out is paid for: ten at once, nobody twice, no more than
# was allowed; kept before it is returned, and so never lost by who asked.  What
# nobody can know is said, and not asked again in silence.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.breaker_failures = 100
roleferry.breaker_failure_percent = 0
});

sub renew
{
	$node->sql(
		sprintf q{DROP SERVER IF EXISTS apollo;
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%s');
GRANT USAGE ON FOREIGN SERVER apollo TO app}, $simulator->url('apollo'));

	# A stop for want of credits outlives the server: somebody has to end it.
	$node->sql("SELECT roleferry.resume_account('apollo')");
}

$node->write_secret('apollo', 'ap-test-key');
renew();

my %ask = (
	domain => q{'p250.example'},
	titles => q{ARRAY['CTO', 'CEO', 'Engineering', 'Sales', 'Recruiter']});

sub statement
{
	my ($columns, %arguments) = @_;
	my $list = join ', ', map { "$_ => $arguments{$_}" } sort keys %arguments;

	return "SELECT $columns FROM roleferry.apollo_search($list);";
}

sub search
{
	my ($columns, %arguments) = @_;
	my $before = delete $arguments{before} // '';
	my (undef, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET ROLE app;\n$before\n"
		  . statement($columns, %arguments));

	return wantarray ? ($out, $err) : $out;
}

sub matches
{
	return scalar grep {
			 $_->{phase} eq 'headers'
		  && $_->{provider} eq 'apollo'
		  && $_->{path} =~ /bulk_match/
	} $simulator->journal;
}
sub charged { return $simulator->charged('apollo', 'bulk_match'); }

# What is asked for, in requests and credits.
sub costs
{
	my ($columns, %arguments) = @_;
	my ($requests, $credits) = (matches(), charged());
	my ($out, $err) = search($columns, %arguments);

	diag($err) if $err ne '';
	return sprintf '%s, %d, %d', $out, matches() - $requests,
	  charged() - $credits;
}

# Of those who were paid for; the simulator has some whom it cannot match.
sub known
{
	return $node->sql(
		q{SELECT count(*) FROM roleferry.person_cache WHERE person -> 0 ? 'last_name'}
	);
}
sub forget { $node->sql('DELETE FROM roleferry.person_cache'); }

# The limit that an account has by itself is another test's.
$node->sql(
	q{INSERT INTO roleferry.rate_limit (account, endpoint, max_requests, per)
VALUES ('apollo', '', 10000, '1 min'), ('apollo', 'apollo_search', 9000, '1 min'), ('apollo', 'enrich_people', 9000, '1 min')}
);
$node->wait_dispatcher(30);

# --- Paid for, once ---

my ($out, $err) = search(
	'count(*), count(email), count(last_name), count(linkedin), max(confidence)',
	%ask,
	max_results => 25);
is($err, '', 'a search that pays raises nothing');
my ($found, $emails, $names) = split /\|/, $out;
is( "$found|$names",
	'25|' . known(),
	'all are found, and have last names where the provider knows them');
like($out, qr/^25\|\d+\|(\d+)\|\1\|0\.9$/, 'and profiles');
cmp_ok($names, '>', 15, 'which it does of most');
cmp_ok($emails, '>', 10, 'most have e-mail addresses');
is(charged(), $emails, 'each of these costs a credit');
is(matches(), 3, 'and a request is made for ten');
is($node->sql('SELECT count(*), count(email) FROM roleferry.person_cache'),
	"25|$emails", 'they are all kept, those without an address, too');
is( $node->sql(
		q{SELECT count(*), min(state) FROM roleferry.jobs WHERE task = 'enrich_people'}
	),
	'1|done',
	'there was a job for it');
is( $node->sql(
		q{SELECT used FROM roleferry.rate_limits WHERE endpoint = 'enrich_people'}
	),
	'3',
	'which counts for a limit of its own');
is( costs('count(email)', %ask, max_results => 25),
	"$emails, 0, 0",
	'nobody is paid for twice');
is( costs(
		'count(email)', %ask,
		max_results => 25,
		before => 'BEGIN READ ONLY;'),
	"$emails, 0, 0",
	'a transaction that reads only has them, too');
is( costs(
		'count(*), count(email)', %ask,
		max_results => 25,
		enrich => 'false'),
	'25|0, 0, 0',
	'who wants none pays for none');
$out = costs('count(*)', %ask, max_results => 30);
like(
	$out,
	qr/^30, 1, [0-5]$/,
	'of a larger search only the others are paid for');

forget();
$out = costs('count(last_name)', %ask, max_results => 30, max_credits => 4);
like($out, qr/^[234], 1, [0-4]$/, 'max_credits bounds what is paid');
is($node->sql('SELECT count(*) FROM roleferry.person_cache'),
	'4', 'be it that some are not to be had');
is( costs('count(last_name)', %ask, max_results => 30, max_credits => 0),
	known() . ', 0, 0',
	'and 0 is nobody');
(undef, $err) = search('*', %ask, max_credits => -1);
like(
	$err,
	qr/ERROR:  22023: .*"max_credits" is negative/,
	'less than nobody is an error');

forget();
$node->psql('postgres',
		'BEGIN; '
	  . statement('count(*)', %ask, max_results => 10)
	  . ' ROLLBACK;');
is($node->sql('SELECT count(*) FROM roleferry.person_cache'),
	'10', 'a rollback loses nothing that was paid for');
is( $node->sql(
		q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM roleferry.person_cache; }
		  . statement('count(last_name)', %ask, max_results => 20)
		  . ' COMMIT'),
	"10\n" . known(),
	'an old snapshot hides nothing that was paid for');
forget();
(undef, $err) =
  search('*', %ask, max_results => 10, before => 'BEGIN READ ONLY;');
like(
	$err,
	qr/ERROR:  25006: /,
	'but where nothing may be written nothing is paid for');

# --- Together ---

$node->append_conf('postgresql.conf', 'roleferry.enrich_max_wait = 5s');
$node->reload;
$node->wait_until('the wait is not read',
	10, sub { $node->sql('SHOW roleferry.enrich_max_wait') eq '5s' });
my $ids = $node->sql(
	q{SELECT string_agg(p ->> 'id', ' ' ORDER BY p ->> 'id') FROM roleferry.search_cache, jsonb_array_elements(people) p}
);
my @ids = (split / /, $ids)[ 0 .. 9 ];
my $before = matches();
foreach my $pair (0 .. 4)
{
	$node->psql(
		'postgres',
		sprintf
		  q{SET ROLE app; INSERT INTO roleferry.outbox (task, args) VALUES ('enrich_people', '{"ids": ["%s", "%s"], "account": "apollo"}')},
		@ids[ 2 * $pair, 2 * $pair + 1 ]);
}
$node->wait_until('the jobs are not done',
	20, sub { $node->sql('SELECT count(*) FROM roleferry.outbox') == 0 });
is(matches() - $before, 1, 'five jobs of two are one request of ten');
is($node->sql('SELECT count(*) FROM roleferry.person_cache'),
	'10', 'and each has its people');
(undef, $out, $err) = $node->psql(
	'postgres', q{\set VERBOSITY verbose
SET ROLE app; INSERT INTO roleferry.outbox (task, args) VALUES ('enrich_people', '{"ids": ["a b"]}')}
);
like(
	$err,
	qr/ERROR:  22023: .*"ids\[1\]" is not a person's id/,
	'what is no id is refused when it is enqueued');
$node->append_conf('postgresql.conf', 'roleferry.enrich_max_wait = 20ms');
$node->reload;
$node->wait_until('the wait is not read',
	10, sub { $node->sql('SHOW roleferry.enrich_max_wait') eq '20ms' });

# --- What goes wrong ---

my %wrong = (
	'out of credit' => [
		{
			status => 422,
			body => { error => 'You have insufficient credits.' }
		},
		'RF003', 0
	],
	'plan without API access' => [
		{
			status => 403,
			body => { error => 'no', error_code => 'API_INACCESSIBLE' }
		},
		'RF003', 0
	],
	'wrong key' => [ { status => 401 }, 'RF003', 0 ],
	'limit' => [
		{ status => 429, headers => { 'Retry-After' => '3600' } },
		'RF001', 0
	],
	'server error' => [ { status => 500 }, 'RF005', 1 ]);
foreach my $what (sort keys %wrong)
{
	my ($action, $state, $unknown) = @{ $wrong{$what} };

	forget();
	renew();
	$before = $node->sql(
		q{SELECT count(*) FROM roleferry.dead_letter WHERE state = 'unknown'}
	);
	$simulator->rule(
		{
			name => 'wrong',
			provider => 'apollo',
			match => { call => 'bulk_match' },
			action => $action
		});
	(undef, $err) = search('*', %ask, max_results => 10, timeout => q{'3 s'});
	like(
		$err,
		qr/ERROR:  $state: .*account "apollo"/s,
		"$what is a clear error");
	is( $node->sql(
			q{SELECT count(*) FROM roleferry.dead_letter WHERE state = 'unknown'}
		) - $before,
		$unknown,
		$unknown
		? 'and nobody can know whether it was paid'
		: 'and nothing was paid for sure');
	is($node->sql('SELECT count(*) FROM roleferry.person_cache'),
		'0', 'nothing is kept');
	$node->sql(q{DELETE FROM roleferry.outbox});
	$simulator->clear_rules;
}

# Who stops waiting loses nothing.
forget();
renew();
$simulator->rule(
	{
		name => 'held',
		provider => 'apollo',
		match => { call => 'bulk_match' },
		action => { hold => 'held' }
	});
(undef, $err) = search('*', %ask, max_results => 10, timeout => q{'500 ms'});
like(
	$err,
	qr/ERROR:  08006: .*did not answer in time.*DETAIL:  Job \d+ goes on/s,
	'no answer in time is an error that names the job');
$simulator->clear_rules;
$simulator->release('held');
$node->wait_until('the job is not done',
	20,
	sub { $node->sql('SELECT count(*) FROM roleferry.person_cache') == 10 });
is( costs('count(last_name)', %ask, max_results => 10),
	known() . ', 0, 0',
	'and the next call has what it was paid for');

# --- A dispatcher that dies ---

foreach my $point (
	'before_batch', 'before_batch_transfer',
	'batch_answer', 'after_record')
{
	forget();
	$before = charged();
	$node->fault($point, 'kill');
	(undef, $err) = search('*', %ask, max_results => 10, timeout => q{'5 s'});
	like(
		$err,
		qr/connection to server was lost|server closed the connection|ERROR/,
		"killed at $point");
	$node->crash_wait;
	$node->wait_dispatcher(30);
	$node->wait_until("a job is still under way after $point",
		30, sub { $node->sql('SELECT count(*) FROM roleferry.outbox') == 0 });
	my $paid = charged() - $before;
	my $kept = $node->sql('SELECT count(email) FROM roleferry.person_cache');
	my $unknown = $node->sql(
		q{SELECT count(*) FROM roleferry.dead_letter WHERE state = 'unknown' AND created_at > now() - interval '1 minute' AND task = 'enrich_people'}
	);
	cmp_ok($paid, '<=', 10, "nobody was paid for twice after $point");
	ok($paid == $kept || $unknown > 0,
		"what was paid for at $point is kept, or said to be unknown")
	  or diag("paid $paid, kept $kept, unknown $unknown");
	$node->sql(q{DELETE FROM roleferry.dead_letter});
}

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# What a search found is given again while it is fresh, equal questions at once
# are one request, the next account answers where one cannot, and when none can,
# what is remembered does, marked with its age.  An error is never "nobody".

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.breaker_failures = 3
roleferry.breaker_cooldown = '1h'
});

my %provider = (
	apollo => 'apollo',
	backup => 'apollo',
	legacy => 'apollo',
	wrong => 'apollo',
	hunter => 'hunter');
my %key = (
	apollo => 'ap-test-key',
	backup => 'ap-test-key',
	legacy => 'ap-test-key',
	wrong => 'nobodys-key',
	hunter => 'hu-test-key');
foreach my $account (sort keys %provider)
{
	$node->write_secret($account, $key{$account});
	renew($account);
}

# Another server of that name: whatever closed the first is forgotten.
sub renew
{
	my ($account) = @_;

	$node->sql(
		sprintf q{DROP SERVER IF EXISTS %s;
CREATE SERVER %s FOREIGN DATA WRAPPER roleferry OPTIONS (provider '%s', secret '%s', base_url '%s'%s)},
		$account, $account, $provider{$account}, $account,
		$simulator->url($provider{$account}),
		$account eq 'legacy' ? q{, dialect 'legacy'} : '');
	$node->sql("GRANT USAGE ON FOREIGN SERVER $account TO app")
	  if $account =~ /^(?:apollo|legacy|hunter)$/;

	# A stop for want of credits outlives the server: somebody has to end it.
	$node->sql("SELECT roleferry.resume_account('$account')");
}

my %ask = (
	domain => q{'p250.example'},
	titles => q{ARRAY['CTO', 'CEO', 'Engineering', 'Sales', 'Recruiter']});

sub statement
{
	my ($columns, %arguments) = @_;
	$arguments{enrich} //= 'false';
	my $list = join ', ', map { "$_ => $arguments{$_}" } sort keys %arguments;

	return "SELECT $columns FROM roleferry.apollo_search($list);";
}

# Columns and errors of one search, as the role "app"; "before" is run first.
sub search
{
	my ($columns, %arguments) = @_;
	my $before = delete $arguments{before} // '';
	my (undef, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET ROLE app;\n$before\n"
		  . statement($columns, %arguments));

	return wantarray ? ($out, $err) : $out;
}

sub requests
{
	my ($provider) = @_;

	return
	  scalar grep { $_->{phase} eq 'headers' && $_->{provider} eq $provider }
	  $simulator->journal;
}

# Requests that a search makes: the cache is written a moment after the answer.
sub costs
{
	my ($columns, %arguments) = @_;
	my $before = requests('apollo') + requests('hunter');
	my ($out, $err) = search($columns, %arguments);
	my $cost = requests('apollo') + requests('hunter') - $before;

	diag($err) if $err ne '';
	return "$out, $cost";
}

sub wait_cached
{
	my ($pages, $account) = @_;
	$account //= 'apollo';

	$node->wait_until(
		"not $pages pages of $account are cached",
		10,
		sub {
			$node->sql(
				"SELECT count(*) FROM roleferry.search_cache WHERE account = '$account'"
			) == $pages;
		});
}

sub forget { $node->sql('DELETE FROM roleferry.search_cache'); }

sub age
{
	$node->sql(
		qq{UPDATE roleferry.search_cache SET fetched_at = fetched_at - interval '$_[0]'}
	);
}

# The limit that an account has by itself is another test's.
$node->sql(
	"INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('$_', 10000, '1 min')"
) foreach sort keys %provider;
$node->wait_dispatcher(30);

# --- Fresh ---

is( costs('count(*), count(age), min(source)', %ask, max_results => 10),
	'10|0|apollo, 1',
	'who was just asked for has no age');
wait_cached(1);
is( costs(
		q{count(*), count(age), min(source), max(age) < '1 min'},
		%ask, max_results => 10),
	'10|10|apollo|t, 0',
	'what is fresh is given again, with its age');
is(costs('count(*)', %ask, domain => q{'P250.Example'}, max_results => 4),
	'4, 0', 'so it is for who wants fewer');
is(costs('count(*)', %ask, max_results => 20), '20, 1',
	'who wants more asks');
$node->wait_until('the larger page is not cached',
	10, sub { $node->sql('SELECT rows FROM roleferry.search_cache') == 20 });
is( costs(
		'count(*)', %ask,
		max_results => 3,
		before => q{SET roleferry.search_fresh = 0;}),
	'3, 1',
	'who wants it all fresh asks');
is(costs('count(*)', %ask, max_results => 20),
	'20, 0', 'a smaller page replaces no larger one');
is(costs('count(*), count(DISTINCT person_id)', %ask, max_results => 250),
	'250|250, 3', 'who wants several pages asks for each');
wait_cached(3);
is(costs('count(*), count(DISTINCT person_id)', %ask, max_results => 250),
	'250|250, 0', 'and finds each again');
is(costs('count(*)', %ask, titles => q{ARRAY['CTO']}, max_results => 1),
	'1, 1', 'another question is another');
is( costs(
		'count(*)', %ask,
		domain => q{'p0.example'},
		titles => q{ARRAY['astronaut']}),
	'0, 1', 'nobody');
$node->wait_until(
	'nobody is not cached',
	10,
	sub {
		$node->sql(
			q{SELECT count(*) FROM roleferry.search_cache WHERE domain = 'p0.example'}
		) == 1;
	});
is( costs(
		'count(*)', %ask,
		domain => q{'p0.example'},
		titles => q{ARRAY['astronaut']}),
	'0, 0',
	'is remembered as long as anybody');
age('25 h');
is(costs('count(*), count(age)', %ask, max_results => 5),
	'5|0, 1', 'what is not fresh any more is asked for');

forget();
is(costs('count(*)', %ask, max_results => 5, before => 'BEGIN READ ONLY;'),
	'5, 1', 'a transaction that reads only may search');
wait_cached(1);
is(costs('count(*)', %ask, max_results => 5, before => 'BEGIN READ ONLY;'),
	'5, 0', 'and is remembered');
forget();
$node->psql('postgres',
		'BEGIN; '
	  . statement('count(*)', %ask, account => q{'apollo'}, max_results => 5)
	  . ' ROLLBACK;');
wait_cached(1);
is(costs('count(*)', %ask, max_results => 5),
	'5, 0', 'a rollback takes nothing back');
my $locker = $node->background_psql('postgres');
$locker->query_safe(
	'BEGIN; LOCK TABLE roleferry.search_cache IN ACCESS EXCLUSIVE MODE');
is(costs('count(*)', %ask, max_results => 5),
	'5, 1', 'a cache that is locked is not waited for');
$node->enqueue(1);
$node->wait_drained(30);
$locker->query_safe('COMMIT');
$locker->quit;
is(search('count(*)', %ask, account => q{'legacy'}, max_results => 3),
	'3', 'the first design\'s dialect');
wait_cached(1, 'legacy');
is( $node->sql(
		q{SELECT count(*) FROM roleferry.search_cache, jsonb_array_elements(people) p WHERE account = 'legacy' AND p ->> 'last_name' <> ''}
	),
	'3',
	'is remembered with what it tells');

# Hunter's searches cost: nobody's giving up loses what was paid.
is(costs('count(*) > 0', %ask, account => q{'hunter'}),
	't, 1', 'a search that costs');
wait_cached(1, 'hunter');
is(costs('count(*) > 0', %ask, account => q{'hunter'}),
	't, 0', 'is not paid twice');
forget();
$simulator->rule(
	{
		name => 'held',
		provider => 'hunter',
		match => {},
		action => { hold => 'held' }
	});
my (undef, $err) =
  search('*', %ask, account => q{'hunter'}, timeout => q{'300 ms'});
like(
	$err,
	qr/ERROR:  08006: .*did not answer in time/s,
	'whose caller gives up');
$simulator->clear_rules;
$simulator->release('held');
wait_cached(1, 'hunter');
is(costs('count(*) > 0', %ask, account => q{'hunter'}),
	't, 0', 'is not paid twice either');

# --- Equal questions at once ---

forget();
$simulator->rule(
	{
		name => 'one',
		provider => 'apollo',
		match => { call => 'api_search' },
		action => { hold => 'one' }
	});
my $before = requests('apollo');
my @sessions = map { $node->background_psql('postgres') } 1 .. 12;
my @pids =
  map { my $pid = $_->query('SELECT pg_backend_pid()'); $pid =~ s/\D//gr }
  @sessions;
$_->query_until(qr/begun/,
	"\\echo begun\nSET ROLE app;\n"
	  . statement(q{'got ' || count(*)}, %ask, max_results => 7) . "\n")
  for $sessions[0];
$node->wait_until('the first does not ask',
	10, sub { $simulator->held('one') == 1 });
$_->query_until(qr/begun/,
	"\\echo begun\nSET ROLE app;\n"
	  . statement(q{'got ' || count(*)}, %ask, max_results => 7) . "\n")
  for @sessions[ 1 .. 11 ];
$node->wait_until(
	'not all of them wait',
	10,
	sub {
		$node->sql(
			q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%apollo_search%' AND state = 'active' AND pid <> pg_backend_pid()}
		) == 12;
	});
$node->sql("SELECT pg_terminate_backend($pids[0])");
$node->sql("SELECT pg_terminate_backend($pids[5])");
$node->wait_until(
	'two are not gone',
	10,
	sub {
		$node->sql(
			"SELECT count(*) FROM pg_stat_activity WHERE pid IN ($pids[0], $pids[5])"
		) == 0;
	});
$simulator->clear_rules;
$simulator->release('one');
my $got = 0;
foreach my $i (grep { $_ != 0 && $_ != 5 } 0 .. 11)
{
	$got++ if $sessions[$i]->query_until(qr/got 7/, "\\echo\n") =~ /got 7/;
}
is($got, 10,
	'all who still wait are answered, though the first who asked was ended');
is(requests('apollo') - $before, 1, 'by one request');
$sessions[$_]->quit for grep { $_ != 0 && $_ != 5 } 0 .. 11;
eval { $sessions[$_]->{run}->finish } for 0, 5;

# --- Accounts in order ---

forget();
my @limits = map {
	"INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('$_', 1, '1 hour')"
} qw(apollo legacy);
$node->sql($limits[0]);
is(search('count(*)', %ask, max_results => 1), '1', 'the first account');
forget();
is(search('count(*), min(source)', %ask, max_results => 2),
	'2|apollo', 'and the next, when the first has to wait');
$node->wait_until(
	'the next was not remembered',
	10,
	sub {
		$node->sql(
			q{SELECT count(*) FROM roleferry.search_cache WHERE account = 'legacy'}
		) == 1;
	});
forget();
$node->sql('REVOKE USAGE ON FOREIGN SERVER legacy FROM app');
(undef, $err) = search('*', %ask, max_results => 2);
like(
	$err,
	qr/ERROR:  RF001: .*account "apollo" has to wait.*HINT:  Try again in 3\d\d\d s/s,
	'nobody\'s account but his own');
$node->sql('GRANT USAGE ON FOREIGN SERVER legacy TO app');
$node->sql($limits[1]);
is(search('count(*)', %ask, max_results => 1), '1', 'the last token');
wait_cached(1, 'legacy');
is(search('count(*)', %ask, max_results => 1),
	'1', 'what another account found is fresh, too');
forget();
(undef, $err) = search('*', %ask, max_results => 2);
like(
	$err,
	qr/ERROR:  RF001: .*account "apollo" has to wait/s,
	'when all have to wait, that is the error');
$node->sql('DELETE FROM roleferry.rate_limit WHERE max_requests < 1000');

$node->append_conf('postgresql.conf',
	q{roleferry.search_accounts = 'hunter, apollo'});
$node->reload;
$node->wait_until(
	'the order is not read',
	10,
	sub { $node->sql('SHOW roleferry.search_accounts') eq 'hunter, apollo' });
is(search('min(source)', %ask, max_results => 2),
	'hunter', 'the order can be set, and names even one that costs');
$node->append_conf('postgresql.conf', q{roleferry.search_accounts = ''});
$node->reload;
$node->wait_until('the order is not read',
	10, sub { $node->sql('SHOW roleferry.search_accounts') eq '' });

# Waiting, where that is allowed.
forget();
$node->sql(
	q{INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('apollo', 1, '2 s')}
);
is(search('count(*)', %ask, account => q{'apollo'}, max_results => 1),
	'1', 'the only token for two seconds');
wait_cached(1);
forget();
my $started = time();
(undef, $err) = search('*', %ask, account => q{'apollo'}, max_results => 2);
like($err, qr/ERROR:  RF001: /, 'who does not want to wait is told when');
cmp_ok(time() - $started, '<', $node->patient(1.5), 'at once');
is( search(
		'count(*)', %ask,
		account => q{'apollo'},
		max_results => 2,
		wait => 'true'),
	'2',
	'who does, waits and gets an answer');
wait_cached(1);
forget();
(undef, $err) = search(
	'*', %ask,
	account => q{'apollo'},
	max_results => 3,
	wait => 'true',
	timeout => q{'200 ms'});
like(
	$err,
	qr/ERROR:  RF001: /,
	'but not where it would take longer than he has');
$node->sql('DELETE FROM roleferry.rate_limit WHERE max_requests < 1000');

# --- Stale ---

forget();
is(search('count(*)', %ask, account => q{'apollo'}, max_results => 20),
	'20', 'twenty');
is( search(
		'count(*)', %ask,
		account => q{'apollo'},
		domain => q{'p0.example'},
		titles => q{ARRAY['astronaut']}),
	'0',
	'and nobody');
wait_cached(2);
age('3 days');
my @stale = (
	'count(*), count(email), min(source), min(age) > interval \'71 h\'',
	%ask, account => q{'apollo'});
my %failing =
  (500 => {}, 503 => {}, 429 => { 'Retry-After' => '1' }, 402 => {});

foreach my $status (sort keys %failing)
{
	$simulator->rule(
		{
			name => 'failing',
			provider => 'apollo',
			match => {},
			action => { status => $status + 0, headers => $failing{$status} }
		});
	is( scalar search(@stale, max_results => 20),
		'20|0|cache|t',
		"what is remembered is given with its age when $status is the answer"
	);
	(undef, $err) = search(
		'*', %ask,
		account => q{'apollo'},
		domain => q{'p0.example'},
		titles => q{ARRAY['astronaut']});
	like($err, qr/ERROR:  (?:08006|RF00[123]): /, 'but nobody is not');
	$simulator->clear_rules;
	renew('apollo');
}
$simulator->rule(
	{
		name => 'refusing',
		provider => 'apollo',
		match => {},
		action => { status => 422 }
	});
(undef, $err) = search(@stale, max_results => 20);
like($err, qr/ERROR:  RF003: /, 'a refusal is not hidden');
$simulator->clear_rules;
$node->sql(q{SELECT roleferry.force_circuit('apollo', 'open', 'test')});
is( scalar search(@stale, max_results => 50),
	'20|0|cache|t',
	'an open circuit leaves what is remembered, be it less than was asked for'
);
age('40 days');
(undef, $err) = search(@stale, max_results => 20);
like(
	$err,
	qr/ERROR:  RF002: .*circuit of account "apollo" is open/s,
	'but not what is too old');
unlike($err, qr/HINT/, 'and nobody is told to come back after an age');
$node->sql(q{SELECT roleferry.force_circuit('apollo', 'auto')});
renew('apollo');

# --- People of other firms ---

forget();
$simulator->rule(
	{
		name => 'mixed',
		provider => 'apollo',
		match => { call => 'api_search' },
		count => 1,
		action => {
			status => 200,
			body => {
				total_entries => 3,
				people => [
					{
						id => 'a',
						first_name => 'A',
						title => 'CEO',
						organization => {
							name => 'Mixed',
							primary_domain => 'mixed.example'
						}
					},
					map {
						{
							id => "x$_",
							first_name => 'X',
							title => 'CEO',
							organization => {
								name => "Firm $_",
								primary_domain => "firm$_.example"
							}
						}
					} 1,
					2
				]
			}
		}
	});
my ($out, $notice) = search(
	'string_agg(person_id, \' \')', %ask,
	domain => q{'mixed.example'},
	account => q{'apollo'});
is($out, 'a', 'people of other firms are left out');
like($notice, qr/NOTICE:  .*left out 2 people of other firms/, 'and counted');

(undef, $err) = search('*', %ask, account => q{'wrong'});
like(
	$err,
	qr/ERROR:  42501: /,
	'an account of somebody else\'s is refused whatever is remembered');

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# Credits: what calls cost is counted, budgets are never exceeded, and an
# account without credit is stopped until somebody resumes it or it is time.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('credits',
	conf => "roleferry.max_accounts = 16\n");
my $no_credit =
  '{"errors":[{"message":"Maximum credits exceeded","field":null,"help":null}]}';

$node->sql(
	sprintf q{
CREATE SERVER hunter FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'hunter', secret 'hunter', base_url '%s');
GRANT USAGE ON FOREIGN SERVER hunter TO app;
}, $simulator->url('hunter'));
$node->wait_dispatcher(30);

sub requests
{
	my ($provider) = @_;

	return
	  scalar grep { $_->{phase} eq 'body' && $_->{provider} eq $provider }
	  $simulator->journal;
}

sub credits
{
	my ($columns, $account) = @_;

	return $node->sql(
		"SELECT $columns FROM roleferry.credits WHERE account = '$account'");
}

sub search
{
	my (%arguments) = @_;
	my $list = join ', ', map { "$_ => $arguments{$_}" } sort keys %arguments;
	my (undef, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET ROLE app;\nSELECT count(*) FROM roleferry.apollo_search($list);"
	);

	return ($out, $err);
}

# --- No credit left: the account stops, whatever happens to the server. ---
{
	$simulator->rule(
		{
			provider => 'sendgrid',
			action => { status => 401, body => $no_credit }
		});
	$node->enqueue(3);
	$node->wait_drained(20);
	is($simulator->stats('mailgun')->{accepted},
		3, 'a mail whose account has no credit goes out by the next');
	like(
		$node->sql(
			q{SELECT state, reason, until FROM roleferry.accounts WHERE account = 'sendgrid'}
		),
		qr/^stopped\|.*Maximum credits exceeded.*\|$/,
		'the account is stopped, and says why');
	like(
		credits('stopped_at IS NOT NULL, reason, resumes_at', 'sendgrid'),
		qr/^t\|.*Maximum credits exceeded.*\|infinity$/,
		'the view credits says since when and until when');
	$node->wait_for_log(
		qr/account "sendgrid" is stopped: .*Maximum credits exceeded/);
	pass('so does the log');
	is( $node->sql(
			q{SELECT severity, what_to_do FROM roleferry.doctor() WHERE finding LIKE 'account "sendgrid" is stopped: %'}
		),
		q{warning|When it has credit again: SELECT roleferry.resume_account('sendgrid');},
		'and doctor(), with what to do');
	$simulator->clear_rules;

	my $before = requests('sendgrid');
	$node->kill_process($node->dispatcher_pid);
	$node->crash_wait;
	$node->wait_turn;
	is( $node->sql(
			q{SELECT state FROM roleferry.accounts WHERE account = 'sendgrid'}
		),
		'stopped',
		'it is still stopped after a crash');
	$node->restart;
	$node->wait_turn;
	is( $node->sql(
			q{SELECT state FROM roleferry.accounts WHERE account = 'sendgrid'}
		),
		'stopped',
		'and after a restart');
	$node->sql('ALTER SERVER sendgrid RENAME TO renamed');
	$node->wait_turn;
	is( $node->sql(
			q{SELECT state FROM roleferry.accounts WHERE account = 'renamed'}
		),
		'stopped',
		'and under another name');
	$node->sql('ALTER SERVER renamed RENAME TO sendgrid');
	my ($id) = $node->enqueue(1, accounts => ['sendgrid']);
	$node->wait_turn;
	is(requests('sendgrid'), $before, 'nobody asks it in vain');
	is($node->sql("SELECT attempts FROM roleferry.outbox WHERE id = $id"),
		0, 'a mail that waits for it spends no attempt');
	like(
		$node->sql(
			"SELECT detail FROM roleferry.job_report($id) WHERE event = 'waiting'"
		),
		qr/sendgrid is stopped/,
		'and its report says what it waits for');

	is($node->sql(q{SELECT roleferry.resume_account('sendgrid')}),
		't', 'somebody resumes it');
	$node->wait_drained(10);
	is(requests('sendgrid'), $before + 1, 'and the mail goes');
	is($node->sql(q{SELECT roleferry.resume_account('sendgrid')}),
		'f', 'to resume what goes changes nothing');
	is( $node->sql(
			q{SELECT state FROM roleferry.accounts WHERE account = 'sendgrid'}
		),
		'ready',
		'it is ready');
}

# --- Until its reset time, where the provider tells one. ---
{
	$simulator->rule(
		{
			provider => 'sendgrid',
			count => 1,
			action => {
				status => 401,
				body => $no_credit,
				headers => { 'Retry-After' => '2' }
			}
		});
	$node->enqueue(2, accounts => ['sendgrid'], delivery => 'at_least_once');
	$node->wait_until(
		'no stop',
		10,
		sub {
			credits('resumes_at < now() + interval \'3 s\'', 'sendgrid') eq
			  't';
		});
	pass('a stop ends when the provider said');
	$node->wait_drained(20);
	pass('and mails go by themselves');
	$simulator->clear_rules;
}

# --- A budget of credits, of which each mail takes some. ---
{
	my $before = requests('sendgrid');

	$node->sql(
		q{
ALTER SERVER sendgrid OPTIONS (ADD cost_per_call '3');
INSERT INTO roleferry.rate_limit (account, counts, max_requests, per) VALUES ('sendgrid', 'credits', 10, '1 hour')}
	);
	$node->enqueue(8, accounts => ['sendgrid']);
	$node->wait_until('3 mails do not go',
		10,
		sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '5' });
	$node->wait_turn;
	is(requests('sendgrid') - $before,
		3, 'three mails of three credits go out of a budget of ten');
	is(credits('calls, spent, budget, used, remaining', 'sendgrid'),
		'3|9|10|9|1', 'the view credits counts them');
	is( $node->sql(
			'SELECT count(*), sum(credits), count(DISTINCT job_id) FROM roleferry.credit_use'
		),
		'3|9|3',
		'one row for each');
	is($node->sql('SELECT max(attempts) FROM roleferry.outbox'),
		0, 'to wait for credits spends no attempt');

	$node->kill_process($node->dispatcher_pid);
	$node->crash_wait;
	$node->wait_until('limits are not read',
		20, sub { (credits('used', 'sendgrid') || 0) >= 9 });
	$node->wait_turn;
	is(requests('sendgrid') - $before, 3, 'a crash forgets no credit');
	$node->sql(q{UPDATE roleferry.rate_limit SET max_requests = 24});
	$node->wait_drained(10);
	is(requests('sendgrid') - $before,
		8, 'a larger budget lets the others go');
	is(credits('calls, spent, used', 'sendgrid'),
		'8|24|24', 'and is counted on');

	# What a mail costs that was refused.
	$node->sql('UPDATE roleferry.rate_limit SET max_requests = 1000');
	$simulator->rule({ provider => 'sendgrid', action => { status => 400 } });
	$node->enqueue(2, accounts => ['sendgrid']);
	$node->wait_drained(10);
	is(credits('calls, spent, used', 'sendgrid'),
		'8|24|24', 'a refusal costs nothing, and its credits are free again');
	$simulator->clear_rules;

	my ($id) = $node->enqueue(1, accounts => ['sendgrid']);
	$node->wait_drained(10);
	$node->sql(q{UPDATE roleferry.rate_limit SET max_requests = 2});
	($id) = $node->enqueue(1, accounts => ['sendgrid']);
	$node->wait_drained(10);
	like(
		$node->sql(
			"SELECT state, reason FROM roleferry.dead_letters WHERE job_id = $id"
		),
		qr/^failed\|it costs more credits than/,
		'what costs more than a budget ever has is no mail that waits for ever'
	);
	$node->sql(
		q{DELETE FROM roleferry.rate_limit; ALTER SERVER sendgrid OPTIONS (DROP cost_per_call)}
	);
}

# --- What the provider says it cost, not what it might have. ---
{
	my %ask = (
		titles => q{ARRAY['CTO', 'CEO', 'Engineering', 'Sales', 'Recruiter']},
		account => q{'hunter'});

	$node->sql(
		q{INSERT INTO roleferry.rate_limit (account, counts, max_requests, per) VALUES ('hunter', 'credits', 20, '1 hour')}
	);
	my ($out, $err) =
	  search(%ask, domain => q{'p25.example'}, max_results => 100);
	is($err, '',
		'a search that might cost ten credits goes out of a budget of twenty'
	);
	$node->wait_until('its cost is not counted',
		5, sub { credits('calls', 'hunter') eq '1' });
	is( credits('spent, used, remaining', 'hunter'),
		$simulator->stats('hunter')->{credits} . '|3|17',
		'and takes the three that it did cost');
	($out, $err) =
	  search(%ask, domain => q{'p100.example'}, max_results => 100);
	is($err, '', 'so that the next fits');
	($out, $err) =
	  search(%ask, domain => q{'p110.example'}, max_results => 100);
	like(
		$err,
		qr/RF001: .*HINT: +Try again in \d+ s/s,
		'until the budget is used up: RF001, and when to try again');
	$node->wait_until('its cost is not counted',
		5, sub { credits('calls', 'hunter') eq '2' });
	is(credits('spent, remaining', 'hunter'),
		'12|8', 'nothing of it was taken');
	is($simulator->stats('hunter')->{credits},
		12, 'no credit more was spent than was counted');
	($out, $err) =
	  search(%ask, domain => q{'p25.example'}, max_results => 30);
	is($err, '', 'a smaller one still goes');

	$simulator->rule(
		{
			provider => 'hunter',
			action => {
				status => 429,
				body =>
				  '{"errors":[{"id":"too_many_requests","code":429,"details":"no searches left"}]}'
			}
		});
	($out, $err) =
	  search(%ask, domain => q{'p26.example'}, max_results => 10);
	like($err, qr/RF003/, 'no credit left at the provider is an error');
	$simulator->clear_rules;
	my $before = requests('hunter');
	($out, $err) =
	  search(%ask, domain => q{'p27.example'}, max_results => 10);
	like(
		$err,
		qr/RF003: account "hunter" is stopped: no credit is left.*HINT: .*resume_account\('hunter'\)/s,
		'that says what to do from then on');
	is(requests('hunter'), $before, 'and asks nobody');
	$node->sql(q{SELECT roleferry.resume_account('hunter')});
	$node->wait_until(
		'it is not resumed',
		10,
		sub {
			$node->sql(
				q{SELECT state FROM roleferry.accounts WHERE account = 'hunter'}
			) eq 'ready';
		});
	($out, $err) =
	  search(%ask, domain => q{'p28.example'}, max_results => 10);
	is($err, '', 'until it is resumed');
}

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# Limits that nobody wrote: what providers document holds without a row; and
# limits that several accounts share.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'shared', conf => q{
roleferry.max_accounts = 16
roleferry.verify_max_wait = '100ms'
roleferry.verify_poll_interval = '50ms'
});

$node->add_verifier;
$node->sql(
	sprintf q{
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%1$s');
CREATE SERVER other FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%1$s', quota_group 'team');
CREATE SERVER third FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%1$s', quota_group 'team');
GRANT USAGE ON FOREIGN SERVER apollo, other, third TO app;
}, $simulator->url('apollo'));
$node->wait_dispatcher(30);

my $domain = 0;

# Each asks for people that are in no cache.
sub search
{
	my ($account) = @_;
	my (undef, $out, $err) = $node->psql(
		'postgres',
		sprintf q{\set VERBOSITY verbose
SET ROLE app;
SELECT count(*) FROM roleferry.apollo_search(domain => 'd%d.example', titles => '{CTO}', max_results => 1, enrich => false, account => '%s');},
		++$domain, $account);

	return $err;
}

sub requests
{
	my ($provider) = @_;

	return
	  scalar grep { $_->{phase} eq 'body' && $_->{provider} eq $provider }
	  $simulator->journal;
}

# --- What a provider documents ---

is( $node->sql(
		q{SELECT account, endpoint, max_requests, per, used, remaining FROM roleferry.rate_limits
	WHERE is_default ORDER BY account, per}),
	"apollo||100|01:00:00|0|100\nneverbounce|verify_job|50|24:00:00|0|50\nother||100|01:00:00|0|100",
	'the view shows limits that no row says, one set for a group');

$node->sql(
	q{SELECT count(*) FROM generate_series(1, 97) n, LATERAL roleferry.apollo_search(domain => 'n' || n || '.example',
	titles => '{CTO}', max_results => 1, enrich => false, account => 'apollo')});
is(search('apollo'), '', 'the 98th search in an hour goes') for 1 .. 3;
like(
	search('apollo'),
	qr/RF001: .*HINT: +Try again in 3\d\d\d s/s,
	'the 101st does not, and is told when it may');
is(requests('apollo'), 100, 'the provider has counted 100');

my $pid = $node->dispatcher_pid;
$node->kill_process($pid);
$node->crash_wait;
$node->wait_dispatcher(30, $pid);
$node->wait_until(
	'limits are not read',
	20,
	sub {
		$node->sql(
			q{SELECT used FROM roleferry.rate_limits WHERE account = 'apollo'}
		) eq '100';
	});
like(search('apollo'), qr/RF001/, 'nor after a crash');
is(requests('apollo'), 100, 'and the provider has still counted 100');

$node->sql(
	q{INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('apollo', 1000, '1 minute')}
);
$node->wait_until('the row does not count',
	10, sub { search('apollo') eq '' });
is( $node->sql(
		q{SELECT max_requests, per, is_default FROM roleferry.rate_limits WHERE account = 'apollo'}
	),
	'1000|00:01:00|f',
	'a row takes the place of what is documented');
$node->sql(q{DELETE FROM roleferry.rate_limit});
$node->wait_until('the default does not come back',
	10, sub { search('apollo') =~ /RF001/ });
pass('and without it that holds again, with what it had counted');

# --- A quota that several accounts share ---

$node->sql(
	q{INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('third', 5, '1 hour')}
);
$node->wait_turn;
my $before = requests('apollo');
is(search('other'), '', 'an account of the group asks') for 1 .. 3;
is(search('third'), '', 'and another')                  for 1 .. 2;
like(search($_), qr/RF001/, "then $_ has to wait")      for qw(other third);
is(requests('apollo') - $before,
	5, 'together they have asked as often as the one limit says');
is( $node->sql(
		q{SELECT account, state FROM roleferry.accounts WHERE account IN ('other', 'third') ORDER BY 1}
	),
	"other|limited\nthird|limited",
	'both are shown as limited');
is( $node->sql(
		q{SELECT account, used FROM roleferry.rate_limits WHERE account IN ('other', 'third')}
	),
	'third|5',
	'by one window');
$node->sql(q{ALTER SERVER other OPTIONS (DROP quota_group)});
$node->wait_until('it is still in the group',
	10, sub { search('other') eq '' });
pass('who leaves the group has limits of its own');

# The same for mail, by claims.
$node->sql(
	q{
ALTER SERVER sendgrid OPTIONS (ADD quota_group 'mails');
CREATE SERVER twin FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid', quota_group 'mails', base_url '}
	  . $simulator->url('sendgrid') . q{');
GRANT USAGE ON FOREIGN SERVER twin TO app;
INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('sendgrid', 7, '1 hour')}
);
$node->enqueue(6, accounts => ['twin']);
$node->enqueue(6, accounts => ['sendgrid']);
$node->enqueue(6, accounts => [ 'sendgrid', 'twin' ]);
$node->wait_until(
	'7 mails do not go',
	10,
	sub {
		$node->sql(
			'SELECT count(*) FROM roleferry.outbox WHERE worker IS NULL') eq
		  '11';
	});
$node->wait_turn;
is(requests('sendgrid'), 7,
	'mails by two accounts of a group are as many as the one limit says');
$node->sql(q{DELETE FROM roleferry.rate_limit WHERE account = 'sendgrid'});
$node->wait_drained(20);
pass('and go when it is gone');

# --- A budget for what is verified ---

$node->sql(
	q{INSERT INTO roleferry.rate_limit (account, counts, max_requests, per) VALUES ('neverbounce', 'credits', 10, '1 hour')}
);
$node->wait_turn;
my (undef, undef, $err) = $node->psql(
	'postgres', q{\set VERBOSITY verbose
SET ROLE app;
SELECT count(*) FROM roleferry.verify_emails((SELECT array_agg('v' || n || '@example.com') FROM generate_series(1, 15) n), timeout => '5 s')}
);
like($err, qr/RF001|08006|timeout/,
	'more addresses than the budget has are not all verified');
$node->wait_until('no verification',
	20, sub { $simulator->charged('neverbounce') >= 10 });
$node->wait_turn;
is($simulator->charged('neverbounce'),
	10, 'no credit more than the budget has is spent');
$node->wait_until(
	'its cost is not counted',
	10,
	sub {
		$node->sql(
			q{SELECT spent, used, remaining FROM roleferry.credits WHERE account = 'neverbounce'}
		) eq '10|10|0';
	});
pass('and all of it is counted');
$node->sql(q{DELETE FROM roleferry.rate_limit});
$node->wait_until('the rest is not verified',
	30, sub { $simulator->charged('neverbounce') == 15 });
pass('the rest goes without the budget');

# --- Fifty jobs a day ---

# Who has verified so much today, and has a plan that allows more: a row says so.
sub verify
{
	my ($name) = @_;
	my (undef, $out, $text) = $node->psql(
		'postgres', qq{\\set VERBOSITY verbose
SET ROLE app;
SELECT count(*) FROM roleferry.verify_emails(ARRAY['$name-a\@example.com', '$name-b\@example.com'], timeout => '5 s')}
	);

	return $out . $text;
}

$node->sql(
	q{INSERT INTO roleferry.batch (task, account, installation, step, items_total, jobs, items, finished_at)
SELECT 'verify_emails', 'neverbounce', 'x', 'done', 1, '{}', '{}', clock_timestamp() FROM generate_series(1, 60)}
);
$node->sql(
	q{INSERT INTO roleferry.rate_limit (account, endpoint, max_requests, per) VALUES ('neverbounce', 'verify_job', 2, '1 day')}
);
$node->wait_turn;
my $jobs = $simulator->jobs_created;
is(verify($_), '2', 'who may verify more than fifty lists a day does')
  for qw(one two);
like(verify('three'), qr/RF001/, 'and one past the limit has to wait');
is($simulator->jobs_created - $jobs, 2, 'at the provider, too');

$node->stop;
done_testing();

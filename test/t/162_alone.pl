
# Copyright (c) 2026, roleferry authors

# A job that was marked by a crash runs alone to its end, also from one account
# to the next: were it guilty, others would be marked with it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(usleep);

my ($node, $simulator) = RoleferryNode->start_pair('main');

$node->wait_dispatcher(30);
$simulator->rule({ name => 'busy', provider => 'sendgrid', match => { to => '^user1@' },
		action => { hold => 'busy', status => 429, headers => { 'Retry-After' => '1' } } });
$simulator->rule({ name => 'next', provider => 'mailgun', match => { to => '^user1@' }, action => { hold => 'next' } });

my ($marked) = $node->enqueue(1, delivery => 'at_least_once', run_at => '2040-01-01');
my @others;

$node->sql("UPDATE roleferry.outbox SET lane = 1, crashes = 1, run_at = now() WHERE id = $marked; SELECT roleferry.wake()");
$node->wait_until('the marked mail is not under way', 20, sub { $simulator->held('busy') == 1 });
@others = $node->enqueue(5, accounts => ['mailgun']);
usleep(1_500_000);
is($node->distinct_states(@others), 'waiting', 'others wait while it runs');
$simulator->release('busy');
$node->wait_until('the marked mail does not go on to its next account', 20, sub { $simulator->held('next') == 1 });
usleep(1_500_000);
is($node->distinct_states(@others), 'waiting', 'and while it runs at its next account');
$simulator->clear_rules;
$simulator->release('next');
$node->wait_drained(20);
is($node->distinct_states($marked, @others), 'sent', 'all are sent when it has ended');
$node->assert_invariants;
done_testing();


# Copyright (c) 2026, roleferry authors

# While nothing may be claimed because a standby is behind, what is due waits,
# and costs nothing.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time sleep);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
wal_level = replica
max_wal_senders = 2
roleferry.verify_max_wait = '50ms'
roleferry.verify_poll_interval = '50ms'
});

$node->add_verifier;
my $pid = $node->wait_dispatcher(30);

# Seconds of processor time.
sub used
{
	my @fields = split / /, slurp_file("/proc/$pid/stat") =~ s/^.*\) //sr;

	return ($fields[11] + $fields[12]) / 100;
}

$simulator->rule({ name => 'poll', match => { call => 'jobs/status' }, action => { hold => 'poll' } });
my $id = $node->sql(q{SET ROLE app; SELECT roleferry.enqueue_verify_emails(ARRAY['ann@example.com', 'bob@example.com'])});
$node->wait_until('the job is not polled', 20, sub { $simulator->held('poll') == 1 });
$node->sql(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
$node->reload;
my ($mail) = $node->sql(q{SET ROLE app; SET synchronous_commit = local;
SELECT roleferry.enqueue_email('sender@mg.example.com', 'user1@example.net', 'x', 'x', custom_args => '{"n": "1"}')});
$node->adopt(1, $mail);
$node->wait_activity(qr/waiting for a synchronous standby|verify_emails/);
sleep 3;
$simulator->clear_rules;
$simulator->release('poll');
sleep 1;
my $before = used();
sleep 3;
cmp_ok(used() - $before, '<', 1, sprintf('what is due and may not be claimed costs nothing (%.2f s of 3)', used() - $before));
$node->sql('ALTER SYSTEM RESET synchronous_standby_names');
$node->reload;
$node->wait_drained(30);
is($node->distinct_states($id, $mail), 'done,sent', 'all goes on when the standby is no longer waited for');
$node->assert_invariants;
done_testing();

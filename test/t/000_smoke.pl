
# Copyright (c) 2026, roleferry authors

# A committed mail reaches its provider, a rolled-back one does not, and the
# server and the simulator of the other tests can be started at all.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $node = RoleferryNode->start_pair('main');

ok($node->wait_dispatcher(30), 'a dispatcher starts for a listed database');

$node->enqueue(5, rollback => 1);
my @ids = $node->enqueue(20);
is(scalar @ids, 20, 'enqueueing returns an id for each mail');

$node->wait_drained(30);
is_deeply($node->states, { sent => 20 }, 'every committed mail is sent');
is_deeply(
	$node->accepted,
	{ map { $_ => 1 } 6 .. 25 },
	'the provider took the committed mails, each once, and no other');
$node->assert_invariants;

# Mailgun is as good an account as SendGrid.
$node->enqueue(3, accounts => ['mailgun']);
$node->wait_drained(30);
is($node->sql(q{SELECT count(*) FROM roleferry.messages WHERE provider = 'mailgun'}),
	'3', 'a mail that names its account goes out by it');

# A crash in between costs nothing.
my $pid = $node->dispatcher_pid;
$node->kill_process($pid);
$node->crash_wait;
ok($node->wait_dispatcher(30, $pid), 'a new dispatcher starts after a crash');
$node->enqueue(3);
$node->wait_drained(30);
$node->assert_invariants('a crash loses nothing and repeats nothing');

$node->stop;
done_testing();

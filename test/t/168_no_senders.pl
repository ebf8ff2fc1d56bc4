
# Copyright (c) 2026, roleferry authors

# A server that has no WAL senders waits for no standby, whatever
# synchronous_standby_names says, and so do claims.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $node = RoleferryNode->start_pair(
	'main', conf => q{
max_wal_senders = 0
synchronous_standby_names = 'nobody'
});

$node->wait_dispatcher(30);
my ($id) = $node->enqueue(1);
$node->wait_drained(20);
is($node->distinct_states($id), 'sent', 'a mail is sent');
$node->assert_invariants;
done_testing();

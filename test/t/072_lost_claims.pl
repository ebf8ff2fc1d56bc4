
# Copyright (c) 2026, roleferry authors

# What asynchronous replication costs: the mails whose claims a standby had not
# received are sent again after its promotion, exactly those.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($main, $simulator) = RoleferryNode->start_pair('main',
	init => [ allows_streaming => 1 ],
	conf => 'wal_keep_size = 64MB');
my $standby = RoleferryNode->new_copy('standby', $main);
my $served = q{roleferry.databases = '%s'};

sub serve
{
	my ($node, $databases) = @_;

	$node->append_conf('postgresql.conf', sprintf $served, $databases);
	$node->reload;
	return;
}

sub count_accepted
{
	my %accepted = %{ $main->accepted };
	my %count;

	$count{$_}++ foreach values %accepted;
	return \%count;
}

$main->backup('base');
$standby->init_from_backup($main, 'base', has_streaming => 1);
$standby->start;

# Seven claims arrive at the standby.
$main->enqueue(7);
$main->wait_drained(20);

# Ten jobs arrive, and their claims do not.
serve($main, '');
$main->wait_until('the dispatcher stays', 20, sub { !defined $main->dispatcher_pid });
$main->enqueue(10);
$main->wait_for_catchup($standby);
$standby->append_conf('postgresql.conf', q{primary_conninfo = ''});
$standby->reload;
$main->wait_until('the standby goes on receiving', 20,
	sub { $main->sql('SELECT count(*) FROM pg_stat_replication') eq '0' });
serve($main, 'postgres');
$main->wait_drained(20);
is_deeply(count_accepted(), { 1 => 17 }, 'the primary sends each mail once');

$main->stop('immediate');
$standby->follow($main);
$standby->promote;
$standby->wait_drained(20);
is_deeply(count_accepted(), { 1 => 7, 2 => 10 },
	'the promoted standby sends those again whose claims it had not received, and no other');
is_deeply($standby->states, { sent => 17 }, 'it knows nothing of the loss');
$standby->assert_invariants('nothing else is lost or made up', at_least_once => 1);

$standby->stop;
done_testing();

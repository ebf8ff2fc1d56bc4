
# Copyright (c) 2026, roleferry authors

# pg_upgrade takes along what waits, sends none of it, and leaves a cluster that is
# mute until somebody activates it. From a version to itself: what is tested is
# that the servers it starts send nothing.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($old, $simulator) = RoleferryNode->start_pair('old', conf => q{
roleferry.max_in_flight = 4
roleferry.shutdown_grace = 0
});
my $new = RoleferryNode->new_copy('new', $old);
my $binaries = $old->config_data('--bindir');

sub requests
{
	return scalar $simulator->journal(phase => 'body');
}

sub states_of
{
	my ($node) = @_;
	my %states = %{ $node->states };

	return join ', ', map { "$_ $states{$_}" } sort keys %states;
}

# Three are sent, four under way when the server stops, six are due.
$old->enqueue(3);
$old->wait_drained(30);
$simulator->rule({ name => 'hold', action => { hold => 'hold', accept => 'before' } });
$old->enqueue(4);
$old->wait_until('the mails are not under way', 30, sub { $simulator->held('hold') == 4 });
$old->enqueue(6);
$old->stop;
$simulator->release('hold');
$simulator->clear_rules;
is(requests(), 7, 'six mails wait when the server stops');

# As pg_upgrade starts it, but for longer.
command_ok([ 'pg_ctl', '-w', '-D', $old->data_dir, '-l', $old->logfile, '-o', '-b', 'start' ], 'the server starts for an upgrade');
is($old->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'roleferry%'}), '0', 'then no worker runs');
my (undef, undef, $error) = $old->psql('postgres', "\\set VERBOSITY verbose\nSELECT roleferry.wake()");
like($error, qr/ERROR:  55000: /, 'a call for one says that there is none');
is(states_of($old), 'sent 3, unknown 4, waiting 6', 'its jobs can be looked at');
command_ok([ 'pg_ctl', '-w', '-D', $old->data_dir, 'stop' ], 'it stops');

$new->init;
$new->append_conf('postgresql.conf', $new->conf_for_pair(conf => "roleferry.secrets_directory = '@{[ $old->basedir ]}/secrets'"));

SKIP:
{
	$new->start;
	my ($status, undef, $why) = $new->psql('postgres', q{LOAD '$libdir/roleferry'});
	$new->stop;
	diag("pg_upgrade is not run, as it could not load the library from a stage: $why") if $status;
	skip 'the library cannot be loaded from a stage', 9 if $status;

	chdir $PostgreSQL::Test::Utils::tmp_check or die 'cannot change the directory';
	command_ok([ "$binaries/pg_upgrade", '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $binaries, '-B', $binaries,
			'-s', $old->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade runs with the library preloaded on both sides');
	is(requests(), 7, 'it sends nothing');
	$new->start;
	$new->wait_dispatcher(30);
	like($new->wait_turn, qr/^not active: it is a copy: it was activated in another cluster; see/, 'the new cluster is mute and says why');
	is(states_of($new), 'sent 3, unknown 4, waiting 6', 'it has all jobs');
	$new->follow($old);
	my ($id) = $new->enqueue(1);
	is($id, 14, 'and the numbers go on');
	$new->wait_turn;
	is(requests(), 7, 'nothing is sent');
	is($new->sql(q{SELECT roleferry.activate('send')}), 'active; jobs waiting: 7, to be sent', 'until it is activated');
	$new->wait_drained(30);
	$new->assert_invariants('then each mail is sent once');
	is(requests(), 14, 'all of them');
	$new->stop;
}

done_testing();

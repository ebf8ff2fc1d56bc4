
# Copyright (c) 2026, roleferry authors

# A server that has no worker slot, no process or no connection left: whoever
# looks is told why a database is not served, the log is not filled, and
# everything goes on by itself when there is room.  Row 43 of the fault matrix.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

use constant LAUNCHER => 'roleferry launcher';

# One slot each for logical replication, the launcher and one dispatcher.
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.databases = 'postgres, second, third'
max_worker_processes = 3
max_connections = 8
superuser_reserved_connections = 1
});

sub state_of
{
	my ($session, $id) = @_;

	return $session->query("SELECT state FROM roleferry.jobs WHERE id = $id");
}

sub launcher_says
{
	my ($session) = @_;

	return $session->query(
		sprintf
		  q{SELECT query FROM pg_stat_activity WHERE backend_type = '%s'},
		LAUNCHER);
}

sub dispatcher_seen_by
{
	my ($session) = @_;

	return $session->query(
		q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher'}
	);
}

sub enqueue_by
{
	my ($session, $subject) = @_;

	return $session->query(
		qq{SELECT roleferry.enqueue_email('sender\@mg.example.com', 'user\@example.net', '$subject', 'x')}
	);
}

#
# No worker slot
#

{
	my $text;

	$node->wait_dispatcher(30);
	$node->sql($_) foreach 'CREATE DATABASE second', 'CREATE DATABASE third';
	$node->wait_activity(
		qr/^databases served: 1 of 3; not "second": no background worker slot is free: raise max_worker_processes$/,
		LAUNCHER);
	pass('the launcher says what is missing');
	$node->enqueue(3);
	$node->wait_drained(30);
	is_deeply(
		$node->states,
		{ sent => 3 },
		'the database that has a slot is served');

	$node->sql(q{ALTER SYSTEM SET roleferry.databases = 'second, third'});
	$node->reload;
	$node->wait_dispatcher(10, 0, 'second');
	pass('a slot that gets free is used at once');
	$node->wait_activity(qr/^this database has no extension roleferry$/,
		undef, 'second');
	pass('a database without the extension is told apart');
	$node->sql('ALTER SYSTEM RESET roleferry.databases');
	$node->append_conf('postgresql.conf',
		q{roleferry.databases = 'postgres'});
	$node->reload;
	$node->wait_dispatcher(10);
	$node->wait_activity(qr/^databases served: 1$/, LAUNCHER);
	pass('and the launcher is content again');

	$text = slurp_file($node->logfile);
	is(scalar(() = $text =~ /has no roleferry dispatcher/g),
		1, 'the log has one line about it');
	is(scalar(() = $text =~ /sends nothing from database "second"/g),
		1, 'and one about the extension');
}

#
# No connection
#

{
	my @sessions = map { $node->background_psql('postgres') } 1 .. 8;
	my ($pid, $id, $error);

	(undef, undef, $error) = $node->psql('postgres', 'SELECT 1');
	like(
		$error,
		qr/too many clients|remaining connection slots/,
		'no connection is left');
	$pid = dispatcher_seen_by($sessions[0]);
	$sessions[0]->query("SELECT pg_terminate_backend($pid)");
	$node->wait_until(
		'the dispatcher does not come back',
		40,
		sub {
			my $now = dispatcher_seen_by($sessions[0]);

			$now ne '' && $now != $pid;
		});
	$id = enqueue_by($sessions[1], 'no connection');
	$node->wait_until('the mail is not sent',
		20, sub { state_of($sessions[0], $id) eq 'sent' });
	pass('a dispatcher needs none of them');
	$_->quit foreach @sessions;
}

#
# No process
#

SKIP:
{
	skip 'there is no prlimit', 5 unless -x '/usr/bin/prlimit';
	my $postmaster =
	  (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my $session = $node->background_psql('postgres');
	my $offset = -s $node->logfile;
	my ($soft) = PostgreSQL::Test::Utils::run_command(
		[
			'prlimit', '--pid', $postmaster, '--nproc',
			'--noheadings', '--output', 'SOFT'
		]);
	my ($pid, $id, $lines);

	$pid = dispatcher_seen_by($session);
	PostgreSQL::Test::Utils::system_or_bail('prlimit', '--pid', $postmaster,
		'--nproc=1:');
	$session->query("SELECT pg_terminate_backend($pid)");
	$node->wait_until(
		'the launcher does not notice',
		30,
		sub {
			launcher_says($session) =~
			  /^databases served: 0 of 1; not "postgres": it ends soon after each start, as the server's log tells; tried again after \d+ s$/;
		});
	pass('the launcher says that a dispatcher does not start');
	$id = enqueue_by($session, 'no process');
	is(state_of($session, $id), 'waiting', 'mails wait');
	$lines = () = slurp_file($node->logfile, $offset) =~ /could not fork/g;
	cmp_ok($lines, '>', 0, 'the server says that it cannot fork');
	cmp_ok($lines, '<=', 5, 'not too often');
	PostgreSQL::Test::Utils::system_or_bail('prlimit', '--pid', $postmaster,
		"--nproc=$soft:");
	$node->wait_until('the dispatcher does not come back',
		40, sub { dispatcher_seen_by($session) ne '' });
	$node->wait_until('the mail is not sent',
		20, sub { state_of($session, $id) eq 'sent' });
	pass('it goes on when there is room');
	$session->quit;
}

unlike(slurp_file($node->logfile), qr/PANIC|by signal/, 'nothing crashed');
$node->assert_invariants('nothing is lost or sent twice');

$node->stop;
done_testing();

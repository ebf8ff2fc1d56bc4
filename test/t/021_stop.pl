
# Copyright (c) 2026, roleferry authors

# Stopping: immediately, quickly, by killing the postmaster or everything at
# once, and a dispatcher that stands still.  Nothing outlives its server,
# nothing is sent twice, and no mail was sent that does not exist.  Rows 9, 10,
# 12, 46 and 54 of the fault matrix.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

my $grace = 2;

# How long a dispatcher stands still, and how long it waits for an answer.
my ($still, $request_timeout) = (20, 8);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => qq{
roleferry.max_in_flight = 250
roleferry.shutdown_grace = '${grace}s'
max_connections = 30
wal_writer_delay = '10s'
log_statement = none
log_min_messages = warning
});
my $next = 1;
my @once;						# numbers of all that may be sent at most once

# The ids by number.
sub enqueue
{
	my ($count, %options) = @_;
	my @ns = ($next .. $next + $count - 1);
	my %mails;

	$next += $count;
	@mails{@ns} = $node->enqueue($count, first => $ns[0], %options);
	push @once, @ns unless ($options{delivery} || '') eq 'at_least_once';
	return \%mails;
}

# One mail there and back: the host's name is known, all may go at once.
sub warm_up
{
	my $pid = $node->wait_dispatcher(30);

	enqueue(1);
	$node->wait_drained(30);
	return $pid;
}

sub wait_held
{
	my ($count) = @_;

	$node->wait_until("not $count mails are under way", 30,
		sub { $simulator->held('answer') == $count });
	return;
}

# As a supervisor would: the postmaster's lock file may still name a process
# whose parent has not read its status.
sub start_again
{
	my ($postmaster) = @_;

	$node->wait_until('the killed postmaster is still there', 20, sub { !kill(0, $postmaster) });
	$node->start;
	return;
}

sub server_pids
{
	return split /\n/, $node->sql('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
}

# A process that only waits for its parent to read its status is gone.
sub is_alive
{
	my ($pid) = @_;

	open(my $file, '<', "/proc/$pid/stat") or return 0;
	my $text = <$file> || '';
	close $file;
	return $text =~ /\) [^ZX] / ? 1 : 0;
}

# Seconds until none of these is alive, asked every 10 ms.
sub time_to_die
{
	my (@pids) = @_;
	my $begin = time();

	while (grep { is_alive($_) } @pids)
	{
		last if time() > $begin + 20;
		usleep(10_000);
	}
	return time() - $begin;
}

$node->wait_dispatcher(30);

#
# Row 9: an immediate stop with two hundred under way
#

{
	my ($most, $least);

	warm_up();
	$simulator->rule({ name => 'even', match => { subject => '[02468]$' },
			action => { hold => 'answer', accept => 'before' } });
	$simulator->rule({ name => 'odd', action => { hold => 'answer' } });
	$most = enqueue(100);
	$least = enqueue(100, delivery => 'at_least_once');
	wait_held(200);
	$simulator->clear_rules;
	$node->stop('immediate');
	is_deeply($simulator->spread('body', $most), { 1 => 100 }, 'an immediate stop with mails under way');
	$node->start;
	$node->wait_drained(60);
	is_deeply($node->states_of($most), { unknown => 100 }, 'what may have been sent is unknown after it');
	is_deeply($simulator->spread('body', $most), { 1 => 100 }, 'and is not sent again');
	is_deeply($node->states_of($least), { sent => 100 }, 'what may be sent again is sent');
	is_deeply($simulator->spread('body', $least), { 2 => 100 }, 'a second time');
}

#
# Row 10: a fast stop waits for answers, not longer than it is told
#

{
	my ($pid, $begin, $took, $hanging, $again, $slow, $waiting, @least);

	$pid = warm_up();
	$simulator->rule({ name => 'slow', match => { subject => '^slow' }, action => { delay => 1 } });
	$simulator->rule({ name => 'hang', action => { hang => 'before_status' } });
	$hanging = enqueue(25);
	$again = enqueue(25, delivery => 'at_least_once');
	$node->wait_until('not fifty mails are under way', 30,
		sub { ($simulator->spread('body', $hanging)->{1} || 0) + ($simulator->spread('body', $again)->{1} || 0) == 50 });
	$slow = enqueue(5, subject => 'slow');
	$node->wait_until('the slow mails are not under way', 30, sub { ($simulator->spread('body', $slow)->{1} || 0) == 5 });

	$begin = time();
	$node->stop('fast');
	$took = time() - $begin;
	cmp_ok($took, '<', $node->patient($grace + 1), 'a fast stop waits for a provider that hangs no longer than the grace');
	ok(!is_alive($pid), 'and the dispatcher is gone');

	$simulator->clear_rules;
	$node->start;
	is_deeply($node->states_of($slow), { sent => 5 }, 'answers that came within the grace are recorded');
	is_deeply($node->states_of($hanging), { unknown => 25 }, 'what has no answer by then is unknown');
	is($node->sql('SELECT DISTINCT reason FROM roleferry.dead_letters WHERE job_id IN ('
			. join(',', values %$hanging) . ')'),
		'the dispatcher had to stop before an answer came', 'and says why');

	# Each waits for its backoff, from none to half a minute.
	is($node->sql('SELECT count(*) FROM roleferry.outbox WHERE crashes > 0'), '0', 'what may be sent again is not marked by a crash');
	$node->sql('UPDATE roleferry.outbox SET run_at = now(); SELECT roleferry.wake()');
	$node->wait_drained(60);
	is_deeply($node->states_of($again), { sent => 25 }, 'and is sent');
}

#
# Row 12: the postmaster is killed
#

{
	my ($most, $least, $session, $postmaster, @pids, @gone);

	warm_up();
	$simulator->rule({ name => 'hold', action => { hold => 'answer' } });
	$most = enqueue(100);
	$least = enqueue(100, delivery => 'at_least_once');
	wait_held(200);

	# A session in the middle of a transaction that enqueued.
	@gone = ($next .. $next + 9);
	$next += 10;
	$session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_until(qr/begun/, sprintf(q{
BEGIN;
SELECT roleferry.enqueue_email('sender@mg.example.com', 'user' || n || '@example.net', 'mail ' || n, body_text => 'x',
	custom_args => pg_catalog.jsonb_build_object('n', n::text)) FROM generate_series(%d, %d) AS n;
\echo begun
SELECT pg_sleep(600);
}, $gone[0], $gone[-1]));

	@pids = server_pids();
	$simulator->clear_rules;
	$postmaster = $node->{_pid};
	$node->kill9;
	cmp_ok(time_to_die(@pids), '<', $node->patient(1), 'nothing outlives a killed postmaster by a second');
	eval { $session->quit };
	start_again($postmaster);
	ok($node->wait_dispatcher(30), 'the server starts again');
	$node->wait_drained(60);
	is_deeply($node->states_of($most), { unknown => 100 }, 'what may have been sent is unknown');
	is_deeply($simulator->spread('body', $most), { 1 => 100 }, 'and is not sent again');
	is_deeply($node->states_of($least), { sent => 100 }, 'what may be sent again is sent');
	is_deeply($simulator->spread('body', { map { $_ => 1 } @gone }), { 0 => 10 }, 'what did not commit is not');
}

#
# Row 46: everything is killed right after mails of lazy commits were taken
#

{
	my ($mails, $postmaster, @pids);

	warm_up();
	$simulator->rule({ name => 'taken', action => { hold => 'answer', accept => 'before' } });
	$node->sql('ALTER ROLE app SET synchronous_commit = off; ALTER SYSTEM SET synchronous_commit = off');
	$node->reload;
	@pids = server_pids();
	$mails = enqueue(200);
	$node->wait_until('not all mails are taken', 30, sub { ($simulator->spread('accepted', $mails)->{1} || 0) == 200 });
	is($node->sql('SHOW synchronous_commit'), 'off', 'mails are enqueued by lazy commits');
	$postmaster = $node->{_pid};
	$node->kill9;
	kill 'KILL', $_ for grep { is_alive($_) } @pids;
	time_to_die(@pids);
	$simulator->clear_rules;
	start_again($postmaster);
	ok($node->wait_dispatcher(30), 'the server starts again');
	$node->wait_drained(60);
	is_deeply($node->states_of($mails), { unknown => 200 }, 'each mail that a provider took exists after the crash');
	$node->sql('ALTER SYSTEM RESET synchronous_commit');
	$node->reload;
}

#
# Row 54: answers that came while the dispatcher stood still are answers
#

{
	my ($pid, $answered, $silent, $stopped);

	$node->append_conf('postgresql.conf',
		"roleferry.request_timeout = '${request_timeout}s'\nroleferry.idle_timeout = '${request_timeout}s'\n");
	$node->reload;
	$pid = warm_up();
	$simulator->rule({ name => 'silent', match => { subject => '^silent' }, action => { hang => 'before_status' } });
	$simulator->rule({ name => 'hold', action => { hold => 'answer' } });
	$answered = enqueue(50);
	wait_held(50);
	$silent = enqueue(2, subject => 'silent');
	$node->wait_until('the silent mails are not under way', 30, sub { ($simulator->spread('body', $silent)->{1} || 0) == 2 });

	kill 'STOP', $pid;
	$stopped = time();
	is($simulator->release('answer'), 50, 'fifty answers come while the dispatcher stands still');
	$simulator->clear_rules;
	usleep(50_000) while time() < $stopped + $still;
	kill 'CONT', $pid;
	$node->wait_drained(30);
	is_deeply($node->states_of($answered), { sent => 50 }, 'none of them becomes unknown, though all deadlines passed');
	is_deeply($simulator->spread('body', $answered), { 1 => 50 }, 'and none is sent again');
	is_deeply($node->states_of($silent), { unknown => 2 }, 'only what was not answered is');
	is($node->dispatcher_pid, $pid, 'by the same dispatcher');
}

{
	my %accepted = %{ $node->accepted };
	my @twice = grep { ($accepted{$_} || 0) > 1 } @once;

	is("@twice", '', 'nothing that may be sent at most once was taken twice');
	is($node->sql(q{SELECT count(*) FROM roleferry.jobs WHERE state = 'unknown'}),
		100 + 25 + 100 + 200 + 2, 'unknown is what was not answered, and nothing else');
	unlike(slurp_file($node->logfile), qr/PANIC|by signal (?!9:)/, 'nothing died that was not killed');
	$node->assert_invariants('nothing is lost or made up', at_least_once => 1);
}

$node->stop;
done_testing();

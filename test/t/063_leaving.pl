
# Copyright (c) 2026, roleferry authors

# A stop that waits for clients, and a claim that waits for a standby which is
# not there: nobody is kept longer than he wants to be.  Row 11 of the fault
# matrix; rows 9 and 10 are in 021.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.max_in_flight = 60
roleferry.shutdown_grace = '2s'
max_connections = 30
max_wal_senders = 2
wal_level = replica
});

sub states_of
{
	return $node->sql(
		'SELECT string_agg(DISTINCT state, $$,$$) FROM roleferry.jobs WHERE id IN ('
		  . join(',', @_)
		  . ')');
}

sub ask_to_stop
{
	my ($mode) = @_;

	PostgreSQL::Test::Utils::system_or_bail('pg_ctl', '-D', $node->data_dir,
		'-m', $mode, '-W', 'stop');
	return time();
}

# Seconds until the server is down.
sub wait_stopped
{
	my ($since) = @_;

	$node->wait_until('the server does not stop',
		30, sub { !-e $node->data_dir . '/postmaster.pid' });
	$node->_update_pid(0);
	return time() - $since;
}

# It waits in a commit, or has given that up and waits without one.
sub wait_for_standby
{
	$node->wait_until(
		'the claim does not wait for a standby',
		20,
		sub {
			$node->sql(
				q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher'
AND (wait_event = 'SyncRep' OR query = 'waiting for a synchronous standby')}
			) eq '1';
		});
	return;
}

$node->wait_dispatcher(30);

#
# A smart stop with one idle client
#

{
	my $client = $node->background_psql('postgres');
	my ($asked, $first, $second, $took, $refused);

	$client->query_safe('SET ROLE app; SELECT 1');
	$asked = ask_to_stop('smart');
	$node->wait_until(
		'new clients are let in',
		10,
		sub {
			(undef, undef, $refused) = $node->psql('postgres', 'SELECT 1');
			$refused =~ /shutting down/;
		});
	$first = $client->query_safe(
		q{SELECT roleferry.enqueue_email('sender@mg.example.com', 'user@example.net', 'first', 'x',
		custom_args => '{"n": "9001"}')});
	$node->wait_until(
		'the worker has gone before the client',
		20,
		sub {
			$client->query_safe(
				"SELECT state FROM roleferry.jobs WHERE id = $first") eq
			  'sent';
		});
	pass('while one client stays, a smart stop lets his mails go out');

	# A mail that is under way when he leaves has the grace that any stop gives.
	$simulator->rule(
		{
			name => 'slow',
			match => { subject => '^second$' },
			action => { delay => 1 }
		});
	$second = $client->query_safe(
		q{SELECT roleferry.enqueue_email('sender@mg.example.com', 'user@example.net', 'second', 'x',
		custom_args => '{"n": "9002"}')});
	$node->wait_until(
		'the mail does not leave',
		20,
		sub { () = $simulator->journal(phase => 'body', subject => 'second') }
	);
	$client->quit;
	$took = wait_stopped(time());
	cmp_ok($took, '<', $node->patient(3), "the server stops when he leaves ($took s)");
	$simulator->clear_rules;
	$node->start;
	is(states_of($first, $second),
		'sent', 'what was enqueued up to then is sent and recorded');
	$node->adopt(9001 => $first, 9002 => $second);
}

#
# A fast stop does not keep sessions waiting for providers
#

{
	my ($client, $asked, @ids, $took);

	$node->wait_dispatcher(30);
	$client = $node->background_psql('postgres', on_error_stop => 0);
	$simulator->rule(
		{
			name => 'hold',
			match => { subject => '^held$' },
			action => { hold => 'held' }
		});
	@ids = $node->enqueue(50, subject => 'held');
	$node->wait_until('the mails are not under way',
		20, sub { $simulator->held('held') == 50 });
	$asked = ask_to_stop('fast');
	eval {
		$client->query('SELECT pg_sleep(0.01)') while time() < $asked + 10;
	};
	$took = time() - $asked;
	eval { $client->quit };
	cmp_ok($took, '<', $node->patient(2), "a session ends at once in a fast stop ($took s)");
	$took = wait_stopped($asked);
	cmp_ok($took, '<', $node->patient(3), "and the server soon after the grace ($took s)");
	$simulator->clear_rules;
	$node->start;
	$node->wait_drained(20);
	is(states_of(@ids), 'unknown', 'what had no answer is unknown');
}

#
# A claim waits for a standby that is not there
#

sub without_standby
{
	my ($subject) = @_;

	$node->sql(
		q{ALTER ROLE app SET synchronous_commit = local;
ALTER SYSTEM SET synchronous_commit = local; ALTER SYSTEM SET synchronous_standby_names = 'nobody'}
	);
	$node->reload;
	my @ids = $node->enqueue(3, subject => $subject);
	wait_for_standby();
	return @ids;
}

sub forget_standby
{
	$node->sql('ALTER SYSTEM RESET synchronous_standby_names');
	$node->reload;
	return;
}

# What is recorded waits for no standby: a lost record is an orphan, and unknown.
{
	my @ids;

	$node->wait_dispatcher(30);
	$simulator->rule(
		{
			name => 'recorded',
			match => { subject => '^recorded$' },
			action => { hold => 'recorded' }
		});
	@ids = $node->enqueue(3, subject => 'recorded');
	$node->wait_until('the mails are not under way',
		20, sub { $simulator->held('recorded') == 3 });
	$node->sql(
		q{ALTER SYSTEM SET synchronous_commit = local; ALTER SYSTEM SET synchronous_standby_names = 'nobody'}
	);
	$node->reload;
	$simulator->release('recorded');
	$simulator->clear_rules;
	$node->wait_until('outcomes are not recorded',
		10, sub { states_of(@ids) eq 'sent' });
	pass('outcomes are recorded though a standby is gone');
	forget_standby();
}

{
	my ($asked, @ids, $took);

	$node->wait_dispatcher(30);
	@ids = without_standby('nobody');
	$asked = ask_to_stop('fast');
	$took = wait_stopped($asked);
	cmp_ok($took, '<', $node->patient(3), "a fast stop does not wait for it ($took s)");
	$node->start;
	forget_standby();
	$node->wait_drained(30);
	is(states_of(@ids), 'sent',
		'a claim that was given up is no attempt: the mails are sent later');
	is( scalar(
			() = $simulator->journal(phase => 'body', subject => 'nobody')),
		3, 'once');
}

{
	my ($started, @ids, $took, $error, $pid, $offset);

	# Somebody who wants the database for himself.
	$node->wait_dispatcher(30);
	@ids = without_standby('template');
	$started = time();
	(undef, undef, $error) = $node->psql('template1',
		'SET synchronous_commit = local; CREATE DATABASE copy TEMPLATE postgres'
	);
	$took = time() - $started;
	is($error, '', 'the database can be copied');
	cmp_ok($took, '<', $node->patient(3), "without waiting for a standby ($took s)");

	# Somebody who wants a table for himself.
	wait_for_standby();
	$started = time();
	$node->sql(
		'SET synchronous_commit = local; BEGIN; LOCK TABLE roleferry.outbox IN ACCESS EXCLUSIVE MODE; COMMIT'
	);
	$took = time() - $started;
	cmp_ok($took, '<', $node->patient(2),
		"a table is not kept locked while a standby is away ($took s)");
	$offset = -s $node->logfile;
	$node->wait_activity(qr/^waiting for a synchronous standby$/);
	pass('the dispatcher says what it waits for');
	usleep(2_500_000);
	cmp_ok(
		scalar(() = slurp_file($node->logfile, $offset) =~ /canceling wait/g),
		'<=', 1, 'the log is not filled');
	is( scalar(
			() = $simulator->journal(phase => 'body', subject => 'template')),
		0,
		'and nothing is sent');
	forget_standby();
	$node->wait_drained(30);
	is(states_of(@ids), 'sent',
		'the mails are sent when there is nothing to wait for');
	@ids = without_standby('cancelled');

	# Somebody who cancels the wait: the claim is not known to the standby, so it is not sent.
	wait_for_standby();
	$pid = $node->dispatcher_pid;
	$node->sql("SELECT pg_cancel_backend($pid)");
	$node->wait_until(
		'the wait is not cancelled',
		20,
		sub {
			slurp_file($node->logfile) =~
			  /canceling wait for synchronous replication due to user request/;
		});
	usleep(1_500_000);
	is( scalar(
			() = $simulator->journal(phase => 'body', subject => 'cancelled')
		),
		0,
		'a claim whose wait was cancelled is not sent');
	is($node->dispatcher_pid, $pid, 'and the dispatcher is there');
	forget_standby();
	$node->wait_drained(30);
	is(states_of(@ids), 'sent',
		'the mails are sent when there is nothing to wait for');
}

unlike(slurp_file($node->logfile), qr/PANIC|by signal/, 'nothing crashed');
$node->assert_invariants('nothing is lost or sent twice');

$node->stop;
done_testing();

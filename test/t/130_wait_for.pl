
# Copyright (c) 2026, roleferry authors

# Who waits for a job is told when it has ended, how, and only then; whatever
# ends a statement ends the wait.  Results are let go by turns.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.max_in_flight = 200
log_statement = none
});
my $next = 1;

# A mail that the provider keeps back: (its number, its job).
sub held_mail
{
	my (%options) = @_;
	my $n = $next++;

	$simulator->rule({ name => "hold$n", match => { subject => "^mail $n\$" },
		action => { hold => "hold$n", %options } });
	return ($n, $node->enqueue(1, first => $n));
}

sub begin
{
	my ($sql, @before) = @_;
	my $session = { out => '', err => '' };

	$session->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), map { ('-c', $_) } 'SET ROLE app', @before, $sql ],
		'<', \undef, '>', \$session->{out}, '2>', \$session->{err});
	return $session;
}

sub finish
{
	my ($session) = @_;
	my $started = time();

	eval { $session->{run}->finish };
	chomp $session->{out};
	return ($session->{out}, $session->{err}, time() - $started);
}

sub waiting_backend
{
	my ($job) = @_;

	return $node->wait_until("nobody waits for job $job", 10, sub {
		$node->sql(qq{SELECT pid FROM pg_stat_activity
			WHERE query LIKE '%wait_for($job%' AND state = 'active' AND wait_event_type = 'Extension' AND pid <> pg_backend_pid()});
	});
}

sub wait_sql
{
	my ($job, $timeout) = @_;

	return sprintf 'SELECT state, attempts FROM roleferry.wait_for(%s%s)', $job, $timeout ? ", '$timeout'" : '';
}

$node->wait_dispatcher(30);

# Told at once, not at the next look of its own, which comes after a second.
{
	my @times;

	foreach my $round (1 .. 5)
	{
		my ($n, $job) = held_mail();
		my $session = begin(wait_sql($job));

		waiting_backend($job);
		$simulator->release("hold$n");
		my ($out, undef, $took) = finish($session);
		is($out, 'sent|1', "round $round: who waits for a mail is told that it was sent");
		push @times, $took;
	}
	my ($median) = (sort { $a <=> $b } @times)[2];
	cmp_ok($median, '<', $node->patient(0.6), sprintf('without waiting for a look of its own (%.0f ms)', $median * 1000));
}

# A hundred at once, and one who is not told because there is no place.
{
	my @held = map { [ held_mail() ] } 1 .. 20;
	my @sessions = map { begin(wait_sql($_->[1])) } @held;

	waiting_backend($_->[1]) foreach @held;
	$simulator->release("hold$_->[0]") foreach @held;
	is(join(' ', map { (finish($_))[0] } @sessions), join(' ', ('sent|1') x 20),
		'twenty that wait at once are all told');
}

# Refused by the provider.
{
	my $n = $next++;

	$simulator->rule({ name => "bad$n", match => { subject => "^mail $n\$" }, action => { status => 400 } });
	my ($job) = $node->enqueue(1, first => $n);
	my ($out) = finish(begin("SELECT state, reason <> '' FROM roleferry.wait_for($job)"));
	is($out, 'failed|t', 'a mail that is refused ends the wait, with the reason');
}

# In a transaction whose snapshot is older.
{
	my ($n, $job) = held_mail();
	my $session = begin(wait_sql($job), 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM pg_class');

	waiting_backend($job);
	$simulator->release("hold$n");
	my ($out) = finish($session);
	like($out, qr/^sent\|1$/m, 'a transaction with an old snapshot is told, too');
}

# Nothing comes: it says how the job stands.
{
	my ($n, $job) = held_mail();
	my ($out, $err, $took) = finish(begin(wait_sql($job, '300 ms')));

	is($out, 'running|1', 'after the timeout it says that the job is still running');
	cmp_ok($took, '<', $node->patient(5), 'and does not wait longer');
	is($node->sql("SELECT coalesce(roleferry.result($job)::text, 'none')"), 'none', 'there is no result yet');

	# Cancelled, terminated, left.
	my $session = begin(wait_sql($job));
	my $pid = waiting_backend($job);
	$node->sql("SELECT pg_cancel_backend($pid)");
	($out, $err, $took) = finish($session);
	like($err, qr/canceling statement due to user request/, 'the wait can be cancelled');
	cmp_ok($took, '<', $node->patient(1), 'within a second');

	($out, $err) = finish(begin(wait_sql($job), q{SET statement_timeout = '200ms'}));
	like($err, qr/canceling statement due to statement timeout/, 'statement_timeout ends it');

	$session = begin(wait_sql($job));
	$pid = waiting_backend($job);
	$node->sql("SELECT pg_terminate_backend($pid)");
	($out, $err, $took) = finish($session);
	like($err, qr/terminating connection/, 'and so does the end of the session');

	$session = begin(wait_sql($job));
	$pid = waiting_backend($job);
	$session->{run}->kill_kill(grace => 1);
	ok($node->wait_until('the backend stays', 10,
			sub { $node->sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0' }),
		'a client that is gone is noticed');

	# The places they had are free.
	$simulator->release("hold$n");
	$node->wait_drained(30);
	my @again = map { [ held_mail() ] } 1 .. 3;
	my @sessions = map { begin(wait_sql($_->[1])) } @again;
	waiting_backend($_->[1]) foreach @again;
	$simulator->release("hold$_->[0]") foreach @again;
	is(join(' ', map { (finish($_))[0] } @sessions), 'sent|1 sent|1 sent|1', 'others are told afterwards');
}

# The dispatcher dies and everything with it; the job is known after that.
{
	my ($n, $job) = held_mail();
	$node->wait_until('it is not under way', 10, sub { $simulator->held("hold$n") >= 1 });
	$node->kill_process($node->dispatcher_pid);
	$node->crash_wait;
	$simulator->release("hold$n");
	$node->wait_dispatcher(30);
	my ($out) = finish(begin(wait_sql($job)));
	is($out, 'unknown|1', 'after a crash the wait ends with what became of the job');
}

# Results take turns: kept at least as long as said, then gone.
{
	my $start_over = sub {
		my $pid = $node->dispatcher_pid;
		$node->sql("SELECT pg_terminate_backend($pid)");
		$node->wait_dispatcher(30, $pid);
		$node->wait_turn;
	};
	my $rotate = sub {
		$node->sql(q{UPDATE roleferry.result_rotation SET rotated_at = now() - interval '31 min'});
		$start_over->();
	};
	my $known = sub { $node->sql(q{SELECT coalesce(roleferry.result(9000000001)::text, 'none')}) };

	$node->sql(q{INSERT INTO roleferry.result_0 (job_id, created_at, finished_at, attempts, task, role, result)
		VALUES (9000000001, now(), now(), 1, 'x', 'app', '1')});
	is($node->sql('SELECT current FROM roleferry.result_rotation'), '0', 'the first table is written first');
	$start_over->();
	is($node->sql('SELECT current FROM roleferry.result_rotation'), '0', 'and is not left before half the time');
	$rotate->();
	$rotate->();
	is($node->sql('SELECT current FROM roleferry.result_rotation'), '2', 'after half the time another takes its turn');
	is($known->(), '1', 'and nothing is lost by that');

	# A table that somebody reads is left alone, and nobody waits for him.
	my $reader = $node->background_psql('postgres');
	$reader->query_safe('BEGIN; SELECT count(*) FROM roleferry.result_0');
	my $started = time();
	$rotate->();
	is($node->sql('SELECT current FROM roleferry.result_rotation'), '2', 'a table that is read does not take its turn');
	is($known->(), '1', 'and keeps its rows');
	$reader->quit;
	$rotate->();
	is($node->sql('SELECT current FROM roleferry.result_rotation'), '0', 'once it is not, it does');
	is($known->(), 'none', 'and what it held is gone');
}

$node->assert_invariants('nothing is lost or sent twice by waiting');
$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# Whoever waits for a call can stop waiting at any moment, and whatever becomes
# of the mail is recorded.  Rows 27 and 29 of the fault matrix.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

# Every other session must be answered within a second, and what is under way
# ended by a grace that is no longer.
my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.max_calls = 4
roleferry.max_in_flight = 8
roleferry.shutdown_grace = '500ms'
log_statement = none
max_prepared_transactions = 2
});
my $next = 1;

sub call
{
	my ($n, %options) = @_;
	my %arguments = (
		from_addr => q{'sender@mg.example.com'},
		to_addr => qq{'user$n\@example.net'},
		subject => qq{'mail $n'},
		body_html => q{'<p>hello</p>'},
		custom_args => qq{'{"n": "$n"}'},
		%options);

	return 'SELECT status FROM roleferry.send_email('
	  . join(', ', map { "$_ => $arguments{$_}" } sort keys %arguments) . ')';
}

# A session that can be waited for, by its number.
sub begin
{
	my ($sql, %options) = @_;
	my $session = { out => '', err => '' };
	my @command = ('psql', '-XAtq', '-d', $node->connstr('postgres'),
		map { ('-c', $_) } 'SET ROLE app', $options{before} || (), $sql);

	$session->{run} = IPC::Run::start(\@command, '<', \undef,
		'>', \$session->{out}, '2>', \$session->{err});
	return $session;
}

# Its output and errors, and how long that took from now.
sub finish
{
	my ($session) = @_;
	my $started = time();

	eval { $session->{run}->finish };
	chomp $session->{out};
	return ($session->{out}, $session->{err}, time() - $started);
}

# Who waits for mail $n; -1 when $session, if there is one, has ended before.
sub backend_of
{
	my ($n, $session) = @_;

	return $node->wait_until("nobody waits for mail $n", 10, sub {
		return -1 if $session
		  && !eval { $session->{run}->pump_nb; $session->{run}->pumpable };
		$node->sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '%mail $n''%' AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND state = 'active'");
	});
}

# What the tables say of mail $n, once it has come to rest.
sub state_of
{
	my ($n) = @_;

	return $node->wait_until("mail $n is still running", 30, sub {
		my $state = $node->sql(qq{
SELECT 'sent' FROM roleferry.message WHERE subject = 'mail $n'
UNION ALL SELECT state FROM roleferry.dead_letter WHERE args ->> 'subject' = 'mail $n'
UNION ALL SELECT CASE WHEN worker IS NULL THEN 'waiting' END FROM roleferry.outbox WHERE args ->> 'subject' = 'mail $n'
UNION ALL SELECT 'none' WHERE NOT EXISTS (SELECT FROM roleferry.jobs j JOIN roleferry.outbox o ON o.id = j.id WHERE o.args ->> 'subject' = 'mail $n')});

		$state =~ s/\n.*//s;
		return $state ne '' ? $state : undef;
	});
}

sub accepted { return $node->accepted->{ $_[0] } || 0; }

sub hold
{
	my ($n, %options) = @_;

	$simulator->rule({ name => "hold$n", match => { subject => "^mail $n\$" },
		action => { hold => "hold$n", %options } });
	return;
}

sub wait_held
{
	my ($n) = @_;

	$node->wait_until("mail $n is not at the provider", 10,
		sub { $simulator->held("hold$n") >= 1 });
	return;
}

sub slots_free
{
	# Four calls at once go through: no slot was lost.
	my @sessions = map { begin(call($next++)) } 1 .. 4;

	return join ' ', map { (finish($_))[0] } @sessions;
}

$node->sql(q{
CREATE FUNCTION public.regress_echo(bytea) RETURNS bytea LANGUAGE C VOLATILE STRICT AS 'roleferry', 'roleferry_call_echo';
});
$node->wait_dispatcher(30);
is($node->sql('SET ROLE app; ' . call($next++)), 'sent', 'a mail there and back');

# --- Giving up ---

my $n = $next++;
hold($n);
my $session = begin(call($n));
wait_held($n);
my $pid = backend_of($n);
$node->sql("SELECT pg_cancel_backend($pid)");
my (undef, $err, $took) = finish($session);
like($err, qr/canceling statement due to user request.*It is job \d+: roleferry\.jobs tells/s,
	'a cancelled caller learns which job it is');
cmp_ok($took, '<', $node->patient(1), 'within a second');
$simulator->release("hold$n");
is(state_of($n), 'sent', 'the mail goes on without its caller');
is(accepted($n), 1, 'and is sent once');

$n = $next++;
hold($n);
$session = begin(call($n), before => q{SET statement_timeout = '2s';});
wait_held($n);
(undef, $err, $took) = finish($session);
like($err, qr/statement timeout.*job \d+/s, 'statement_timeout ends the wait');
cmp_ok($took, '<', $node->patient(2 + 1), 'when it is over');
$simulator->release("hold$n");
is(state_of($n), 'sent', 'and the mail goes on');

$n = $next++;
hold($n);
$session = begin(call($n, timeout => q{'1s'}));
wait_held($n);
my ($out) = finish($session);
is($out, 'running', 'its own timeout is no error: the receipt says that it runs');
$simulator->release("hold$n");
is(state_of($n), 'sent', 'and the mail goes on');

$n = $next++;
hold($n);
$session = begin(call($n));
wait_held($n);
$pid = backend_of($n);
$node->sql("SELECT pg_terminate_backend($pid)");
(undef, $err, $took) = finish($session);
like($err, qr/terminating connection/, 'a terminated caller ends');
cmp_ok($took, '<', $node->patient(1), 'within a second');
$simulator->release("hold$n");
is(state_of($n), 'sent', 'and its mail goes on');

$n = $next++;
hold($n);
$session = begin(call($n));
wait_held($n);
$pid = backend_of($n);
$session->{run}->signal('KILL');
my $gone = time();
finish($session);
$node->wait_until('the backend of a client that is gone', 5,
	sub { $node->sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0' });
cmp_ok(time() - $gone, '<', $node->patient(1), 'a client that is gone takes its backend with it within a second');
$simulator->release("hold$n");
is(state_of($n), 'sent', 'and its mail goes on');
is(slots_free(), 'sent sent sent sent', 'no slot was lost');

# --- Slots exhausted ---

my @many = ($next .. $next + 3);
$next += 4;
hold($_) for @many;
my @sessions = map { begin(call($_)) } @many;
wait_held($_) for @many;
$n = $next++;
my $started = time();
(undef, undef, $err) = $node->psql('postgres', call($n));
like($err, qr/all 4 call slots are in use.*Nothing was recorded.*roleferry\.max_calls/s,
	'when every slot is taken the caller is told');
cmp_ok(time() - $started, '<', $node->patient(2), 'after a second of waiting for one');
is(accepted($n), 0, 'and nothing is sent');

# Whoever gives up gives the slot back, though the mail is still on its way.
$node->sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%send_email%' AND pid <> pg_backend_pid()});
finish($_) for @sessions;
is(slots_free(), 'sent sent sent sent', 'slots of callers that gave up are free at once');
$simulator->release("hold$_") for @many;
is(join(' ', map { state_of($_) } @many), 'sent sent sent sent', 'and their mails go on');
@many = ($next .. $next + 3);
$next += 4;
hold($_) for @many;
@sessions = map { begin(call($_)) } @many;
wait_held($_) for @many;

# One that comes free in time is taken.
$session = begin(call($n));
$simulator->release("hold$many[0]");
($out) = finish($session);
is($out, 'sent', 'who waits gets the slot that comes free');
$simulator->release("hold$_") for @many;
is(join(' ', map { (finish($_))[0] } @sessions), 'sent sent sent sent', 'and the others end well');

# --- The dispatcher goes ---

$n = $next++;
hold($n);
$session = begin(call($n));
wait_held($n);
$pid = $node->dispatcher_pid;
$node->sql("SELECT pg_terminate_backend($pid)");
($out, $err, $took) = finish($session);
is($out, 'unknown', 'a dispatcher that is told to stop answers before it goes') or diag($err);
cmp_ok($took, '<', $node->patient(2), 'within its grace');
is(state_of($n), 'unknown', 'the record says the same');
$simulator->release("hold$n");
$node->wait_dispatcher(30, $pid);

$n = $next++;
hold($n);
$session = begin(call($n));
wait_held($n);
$pid = $node->dispatcher_pid;
$node->fault('before_claim', 'fatal');
$node->enqueue(1);
($out, $err, $took) = finish($session);
like($err, qr/the dispatcher ended while it had the mail.*It is job \d+/s,
	'a dispatcher that dies of an error leaves a clear error');
cmp_ok($took, '<', $node->patient(2), 'at once');
$node->wait_dispatcher(30, $pid);
is(state_of($n), 'unknown', 'and the mail is unknown');
$simulator->release("hold$n");

# The claim fails: the call is in doubt for a moment.
$n = $next++;
$node->fault('before_claim_commit', 'error');
($out, $err) = finish(begin(call($n)));
like($err, qr/the mail could not be recorded/, 'a claim that fails is an error');
is(accepted($n), 0, 'and nothing was sent');

$n = $next++;
$node->fault('after_claim_commit', 'fatal');
($out, $err) = finish(begin(call($n)));
like($err, qr/the dispatcher ended while it had the mail/, 'between claim and transfer');
is(state_of($n), 'unknown', 'the record is there');
is(accepted($n), 0, 'though nothing left');
$node->wait_dispatcher(30);
is(slots_free(), 'sent sent sent sent', 'no slot was lost');

# kill -9 takes everybody along; the mail is not lost, not sent twice.
foreach my $point (qw(before_claim_commit after_claim_commit before_transfer before_record in_record after_record))
{
	$n = $next++;
	$node->fault($point, 'kill');
	$session = begin(call($n));
	finish($session);
	$node->crash_wait;
	$node->wait_dispatcher(30);
	my $state = state_of($n);
	my $accepted = accepted($n);
	my $good =
		$point eq 'before_claim_commit' ? $state eq 'none' && $accepted == 0
	  : $point eq 'after_record' ? $state eq 'sent' && $accepted == 1
	  : $state eq 'unknown' && $accepted <= 1;

	ok($good, "kill -9 at $point: recorded as $state, sent $accepted times");
}

# --- Large ones ---

$n = $next++;
($out, $err) = finish(begin(call($n, body_html => q{repeat('0123456789', 2000000)})));
is($out, 'sent', 'a mail of 20 MB goes through a segment of shared memory') or diag($err);
is(accepted($n), 1, 'and arrives once');
is($node->sql(q{SELECT md5(regress_echo(convert_to(repeat('abc', 1000), 'UTF8'))) = md5(repeat('abc', 1000))}),
	't', 'a small answer comes back as it was');
is($node->sql(q{SELECT md5(regress_echo(convert_to(repeat('0123456789', 1000000), 'UTF8'))) = md5(repeat('0123456789', 1000000))}),
	't', 'an answer of 10 MB, too');
$node->sql(q{SELECT regress_echo(convert_to(repeat('x', 65536), 'UTF8')); SELECT regress_echo(convert_to(repeat('x', 65537), 'UTF8')); SELECT regress_echo('')});
is($node->sql(q{SELECT count(*) FROM pg_shmem_allocations WHERE name = 'roleferry calls'}), '1', 'the slots stand in main shared memory');

# --- Giving up at any moment (row 27) ---

my $per_way = $ENV{RF_LONG} ? 60 : 12;
foreach my $way (qw(cancel terminate timeout))
{
	my %count;
	my $wrong = 0;

	foreach my $i (1 .. $per_way)
	{
		my $after = rand(12);
		my %before = $way eq 'timeout' ?
		  (before => sprintf q{SET statement_timeout = '%dms';}, 1 + $after) : ();

		$n = $next++;
		$session = begin(call($n), %before);
		if ($way ne 'timeout')
		{
			$pid = backend_of($n, $session);
			usleep($after * 1000);
			$node->sql("SELECT pg_${way}_backend($pid)") if $pid > 0;
		}
		($out, $err, $took) = finish($session);
		my $state = state_of($n);
		my $accepted = accepted($n);

		$count{ $out || 'error' }++;
		# Recorded if and only if it went out; told of nothing, nothing sent.
		$wrong++ if $state eq 'sent' ? $accepted != 1 : $accepted != 0;
		$wrong++ if $out eq 'sent' && $state ne 'sent';
		$wrong++ if $err =~ /Nothing was recorded/ && $state ne 'none';
		$wrong++ if $took > 2;
	}
	is($wrong, 0, "$way at $per_way moments: the record is right (" . join(', ', map { "$count{$_} $_" } sort keys %count) . ')');
}
is(slots_free(), 'sent sent sent sent', 'no slot was lost');
is($node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher'}), '1', 'the dispatcher is alive');

# --- While the queue is drained ---

$simulator->rule({ name => 'slow', match => { to => 'bulk' }, action => { delay => 0.3 } });
$node->sql(q{
SELECT count(roleferry.enqueue_email('sender@mg.example.com', 'bulk' || i || '@example.net', 's', 'b'))
FROM generate_series(1, 60) AS i});
$node->wait_until('the queue does not fill its places', 10,
	sub { $node->sql('SELECT count(*) FROM roleferry.outbox WHERE worker IS NOT NULL') >= 8 });
$n = $next++;
$started = time();
($out) = finish(begin(call($n)));
$took = time() - $started;
is($out, 'sent', 'a call is served while every place of the queue is taken');
cmp_ok($node->sql('SELECT count(*) FROM roleferry.outbox'), '>', 8, 'and did not wait for them');
$node->wait_drained(60);

# --- Pipelines ---

my $script = $node->basedir . '/pipeline.sql';

sub pipeline
{
	my (@statements) = @_;

	append_to_file($script, '');
	open my $file, '>', $script or die $!;
	print $file join("\n", '\startpipeline', (map { "$_;" } @statements), '\endpipeline'), "\n";
	close $file;
	my ($stdout, $stderr);
	IPC::Run::run([ 'pgbench', '-n', '-M', 'extended', '-t', '1', '-f', $script, $node->connstr('postgres') ],
		'>', \$stdout, '2>', \$stderr);
	return $stderr;
}

$n = $next++;
like(pipeline('SELECT 1', call($n), 'SELECT 1/0'), qr/division by zero/, 'a pipeline fails after a mail');
is(state_of($n), 'none', 'the mail is not recorded');
is(accepted($n), 0, 'and not sent');
$n = $next++;
like(pipeline(call($n), 'SELECT 1/0'), qr/division by zero/, 'a pipeline that begins with a mail');
is(state_of($n), 'sent', 'has committed it');
is(accepted($n), 1, 'before it fails');

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# A process dies by SIGKILL at every point of a mail's way, with two hundred
# mails under way: what may have been sent is unknown or, where the job says
# so, sent again alone; everything else is sent once.  Rows 1 to 8 of the
# fault matrix.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

# Mails of each way of delivery in a round.
my $half = 100;

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.max_in_flight = 250
max_connections = 30
log_statement = none
log_min_messages = warning
});
my $next = 1;
my @once;						# all that may be sent at most once
my $expected_unknown = 0;

# The ids of both kinds, as (at most once, at least once), by number.
sub enqueue_both
{
	my %at_most = map { $_ => undef } $next .. $next + $half - 1;
	my %at_least = map { $_ => undef } $next + $half .. $next + 2 * $half - 1;

	@at_most{ sort { $a <=> $b } keys %at_most } = $node->enqueue($half, first => $next);
	@at_least{ sort { $a <=> $b } keys %at_least } =
	  $node->enqueue($half, first => $next + $half, delivery => 'at_least_once');
	push @once, keys %at_most;
	$next += 2 * $half;
	return (\%at_most, \%at_least);
}

# One mail there and back: the host's name is known, all may go at once.
sub warm_up
{
	my $pid = $node->wait_dispatcher(30);

	$node->enqueue(1, first => $next);
	push @once, $next++;
	$node->wait_drained(30);
	return $pid;
}

# Both kinds are claimed by one transaction when the dispatcher goes on.
sub enqueue_for_stopped
{
	my ($pid) = @_;
	my @both;

	kill 'STOP', $pid;
	@both = enqueue_both();
	return @both;
}

# Both kinds are with the provider, which keeps its answers back.
sub put_in_flight
{
	my ($pid) = @_;
	my @both = enqueue_for_stopped($pid);

	kill 'CONT', $pid;
	$node->wait_until('two hundred mails are not under way', 30,
		sub { $simulator->held('answer') == 2 * $half });
	return @both;
}

sub hold_answers
{
	$simulator->rule({ name => 'even', match => { subject => '[02468]$' },
			action => { hold => 'answer', accept => 'before' } });
	$simulator->rule({ name => 'odd', action => { hold => 'answer' } });
	return;
}

# Their answers are in the sockets of a dispatcher that does not look.
sub answer_stopped
{
	my ($pid, @both) = @_;
	my %wanted = map { $_ => 1 } map { keys %$_ } @both;
	my $jobs_of = sub {
		my ($phase, $known) = @_;

		return map { $_->{rf_job} => 1 } grep { $known->($_) } $simulator->journal(phase => $phase);
	};
	my %jobs;

	kill 'STOP', $pid;
	$simulator->clear_rules;
	is($simulator->release('answer'), 2 * $half, 'two hundred answers come while the dispatcher does not look');
	%jobs = $jobs_of->('body', sub { $wanted{ $_[0]{custom_args}{n} } });
	$node->wait_until('not all are answered', 30, sub {
		my %answered = $jobs_of->('answered', sub { $jobs{ $_[0]{rf_job} } });

		return keys %answered == 2 * $half;
	});
	return;
}

sub attempts_of
{
	my ($mails) = @_;

	return {
		map { split /\|/ } split /\n/,
		$node->sql('SELECT attempts, count(*) FROM roleferry.jobs WHERE id IN ('
			  . join(',', values %$mails) . ') GROUP BY attempts') };
}

# The most requests for these mails at once, from a line of the journal on.
sub most_at_once
{
	my ($from, $mails) = @_;
	my ($now, $most) = (0, 0);
	my (%open, @lines);

	@lines = $simulator->journal;
	foreach my $line (@lines[ $from .. $#lines ])
	{
		my $request = $line->{request};

		if ($line->{phase} eq 'body' && exists $mails->{ $line->{custom_args}{n} })
		{
			$open{$request} = 1;
		}
		delete $open{$request} if defined $request && $line->{phase} =~ /^(answered|closed)$/;
		$most = keys %open if keys %open > $most;
	}
	return $most;
}

sub is_unknown
{
	my ($mails, $name) = @_;

	$expected_unknown += $half;
	is_deeply($node->states_of($mails), { unknown => $half }, "$name: what may have been sent is unknown");
	return;
}

$node->wait_dispatcher(30);

#
# Row 1: before the claim is committed nothing was sent
#

{
	my $pid = warm_up();
	my ($most, $least) = enqueue_for_stopped($pid);

	$node->fault('before_claim_commit', 'kill');
	kill 'CONT', $pid;
	$node->crash_wait;
	$node->wait_drained(30);
	foreach my $mails ($most, $least)
	{
		is_deeply($node->states_of($mails), { sent => $half }, 'killed before the claim is committed: all are sent');
		is_deeply($simulator->spread('body', $mails), { 1 => $half }, 'by one request each');
		is_deeply(attempts_of($mails), { 1 => $half }, 'which is the only attempt counted');
	}
	is($node->sql(q{SELECT count(*) FROM roleferry.jobs WHERE state = 'unknown'}), '0', 'nothing is unknown');
}

#
# Row 2: claimed and not started
#

{
	my $pid = warm_up();
	my ($most, $least) = enqueue_for_stopped($pid);
	my $lines;

	$node->fault('after_claim_commit', 'kill');
	kill 'CONT', $pid;
	$node->crash_wait;
	$lines = () = $simulator->journal;
	$node->wait_drained(30);
	is_unknown($most, 'killed after the claim was committed');
	is_deeply($simulator->spread('body', $most), { 0 => $half }, 'no provider saw it');
	is_deeply($node->states_of($least), { sent => $half }, 'what may be sent again is sent');
	is_deeply($simulator->spread('body', $least), { 1 => $half }, 'once');
	is_deeply(attempts_of($least), { 2 => $half }, 'at its second attempt');
}

# Some have left, others have not.
{
	my $pid = warm_up();
	my ($most, $least) = enqueue_for_stopped($pid);

	$node->fault('before_transfer', 'kill', $half);
	kill 'CONT', $pid;
	$node->crash_wait;
	$node->wait_drained(30);
	is_unknown($most, 'killed while transfers are started');
	is_deeply($node->states_of($least), { sent => $half }, 'what may be sent again is sent');
}

#
# Row 3: sent and not answered; what a crash marked runs alone, and not thrice
#

{
	my $pid = warm_up();
	my ($most, $least, $lines, $other, $lonely);

	hold_answers();
	($most, $least) = put_in_flight($pid);
	$lines = () = $simulator->journal;
	$node->kill_process($pid);
	$node->crash_wait;
	is_unknown($most, 'killed before the answer') if $node->wait_dispatcher(30, $pid);
	is_deeply($simulator->spread('accepted', $most), { 0 => $half / 2, 1 => $half / 2 }, 'some of it was taken, some was not');

	$node->wait_until('no marked job runs', 30, sub { $simulator->held('answer') == 1 });
	($other) = $node->enqueue(1, first => $next, delivery => 'at_least_once');
	my %other = ($next++ => $other);
	is_deeply($node->states_of($least), { running => 1, waiting => $half - 1 }, 'of what a crash marked one runs');
	$lonely = $node->sql('SELECT id FROM roleferry.outbox WHERE worker IS NOT NULL');
	is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $other"), 'waiting', 'and nothing else beside it');

	$simulator->clear_rules;
	$pid = $node->dispatcher_pid;
	$node->kill_process($pid);
	$node->crash_wait;
	$node->wait_drained(60);
	is_deeply($node->states_of($least), { sent => $half - 1, quarantined => 1 },
		'a job that was under way at a crash while it ran alone is quarantined, the others are sent');
	is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $lonely"), 'quarantined', 'it is the one that ran');
	is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $other"), 'sent', 'others go on');
	is(most_at_once($lines, $least), 1, 'what a crash marked never runs beside another');
	cmp_ok((sort { $b <=> $a } keys %{ $simulator->spread('body', $least) })[0], '<=', 2, 'and is sent twice at most');
	is_deeply($simulator->spread('body', \%other), { 1 => 1 }, 'what a crash did not mark is sent once');
}

#
# Rows 4 and 5: answered, and that is not recorded
#

foreach my $point (qw(before_record in_record))
{
	my $pid = warm_up();
	my ($most, $least);

	hold_answers();
	($most, $least) = put_in_flight($pid);
	answer_stopped($pid, $most, $least);
	$node->fault($point, 'kill');
	kill 'CONT', $pid;
	$node->crash_wait;
	$node->wait_drained(60);
	is_unknown($most, "killed at $point");
	is_deeply($simulator->spread('accepted', $most), { 1 => $half }, 'the provider took it once');
	is_deeply($node->states_of($least), { sent => $half }, 'what may be sent again is sent');
	is_deeply($simulator->spread('accepted', $least), { 2 => $half }, 'a second time');
	is($node->sql('SELECT count(*) FROM roleferry.message m JOIN roleferry.dead_letter d USING (job_id)'),
		'0', 'no job ended twice');
}

#
# Row 6: recorded
#

{
	my $pid = warm_up();
	my ($most, $least, $unknown, $recorded);

	hold_answers();
	($most, $least) = put_in_flight($pid);
	answer_stopped($pid, $most, $least);
	$node->fault('after_record', 'kill');
	kill 'CONT', $pid;
	$node->crash_wait;
	$node->wait_drained(60);

	# Those whose answer was not read in that turn may be unknown.
	$unknown = $node->states_of($most)->{unknown} || 0;
	$recorded = attempts_of($least)->{1} || 0;
	$expected_unknown += $unknown;
	cmp_ok($half - $unknown + $recorded, '>', 0, 'killed after answers were recorded: some are');
	is_deeply($simulator->spread('accepted', $most), { 1 => $half }, 'nothing is sent again because of it');
	is($simulator->spread('accepted', $least)->{1} || 0, $recorded, 'nor what is recorded and could be sent again');
}

#
# Row 7: other processes die
#

sub other_process
{
	my ($type) = @_;

	return $node->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' AND pid <> pg_backend_pid() LIMIT 1");
}

foreach my $type ('roleferry launcher', 'client backend', 'checkpointer')
{
	my $pid = warm_up();
	my $launcher = other_process('roleferry launcher');
	my ($most, $least, $session, @gone);

	hold_answers();
	($most, $least) = put_in_flight($pid);
	if ($type eq 'client backend')
	{
		@gone = ($next .. $next + 19);
		$next += 20;
		$session = $node->background_psql('postgres', on_error_stop => 0);
		$session->query_until(qr/begun/, sprintf(q{
BEGIN;
SET LOCAL ROLE app;
SELECT roleferry.enqueue_email('sender@mg.example.com', 'user' || n || '@example.net', 'mail ' || n, body_text => 'x',
	custom_args => pg_catalog.jsonb_build_object('n', n::text)) FROM generate_series(%d, %d) AS n;
\echo begun
SELECT roleferry.enqueue_email('sender@mg.example.com', 'user@example.net', 'mail', body_text => pg_sleep(0.1)::text || 'x')
	FROM generate_series(1, 1000);
}, $gone[0], $gone[-1]));
	}
	$simulator->clear_rules;
	$node->remember_log_end;
	command_ok([ 'pg_ctl', 'kill', 'KILL', other_process($type) ], "the $type is killed");
	$node->crash_wait;
	ok($node->wait_dispatcher(30, $pid), 'a dispatcher comes back');
	isnt(other_process('roleferry launcher'), $launcher, 'and so does the launcher');
	$node->wait_drained(60);
	is_unknown($most, "$type killed");
	is_deeply($node->states_of($least), { sent => $half }, 'what may be sent again is sent');
	is_deeply($simulator->spread('body', { map { $_ => 1 } @gone }), { 0 => scalar @gone },
		'what was being enqueued then is not sent') if @gone;
	eval { $session->quit } if $session;
}

#
# Row 8: the dispatcher crashes before it begins, twice in a row
#

{
	my $log = -s $node->logfile;

	foreach my $time (1, 2)
	{
		my $pid = $node->wait_dispatcher(30);

		$node->fault('startup', 'segv');
		$node->sql("SELECT pg_terminate_backend($pid)");
		$node->crash_wait;
		ok($node->wait_dispatcher(30, $pid), "a dispatcher that crashes at startup comes back, time $time");
	}
	is(() = slurp_file($node->logfile) =~ /by signal 11:/g, 2, 'nothing else crashes in the whole run');
	is(() = slurp_file($node->logfile, $log) =~ /reinitializing/g, 2, 'by one restart each');
	warm_up();
}

#
# Over all of it
#

{
	my %accepted = %{ $node->accepted };
	my (%requests, @twice, @more);

	@twice = grep { ($accepted{$_} || 0) > 1 } @once;
	is("@twice", '', 'nothing that may be sent at most once was taken twice');
	is($node->sql(q{SELECT count(*) FROM roleferry.jobs WHERE state = 'unknown'}),
		$expected_unknown, 'unknown is what was under way at a kill, and nothing else');

	$requests{ $_->{rf_job} }++ for $simulator->journal(phase => 'body');
	foreach my $row (split /\n/, $node->sql(q{
SELECT (SELECT installation FROM roleferry.activation) || '.' || id, attempts FROM roleferry.jobs}))
	{
		my ($job, $attempts) = split /\|/, $row;

		push @more, "$job: $requests{$job} > $attempts" if ($requests{$job} || 0) > $attempts;
	}
	is("@more", '', 'no job had more requests than attempts are counted');
	unlike(slurp_file($node->logfile), qr/PANIC|by signal (?!9:|11:)/, 'nothing died that was not killed');
	$node->assert_invariants('nothing is lost or made up', at_least_once => 1);
}

$node->stop;
done_testing();

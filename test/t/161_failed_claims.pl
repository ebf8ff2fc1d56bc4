
# Copyright (c) 2026, roleferry authors

# A claim that fails half-way leaves nothing behind: no count of a queue that
# is full for ever, no call that nobody takes.  And what is told to a caller is
# on disk, whatever the claim of the same turn has written.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
log_min_messages = warning
wal_writer_delay = '10s'
roleferry.verify_max_wait = '50ms'
roleferry.verify_poll_interval = '2s'
});

$node->add_verifier;
$node->sql(q{INSERT INTO roleferry.queue (name, concurrency) VALUES ('narrow', 2)});
$node->wait_dispatcher(30);

sub send_in_background
{
	my ($n, $timeout) = @_;
	my $call = { out => '', err => '' };
	my @command = (
		'psql', '-XAtq', '-d', $node->connstr('postgres') . ' user=app', '-c',
		"SELECT job_id, status FROM roleferry.send_email('sender\@mg.example.com', 'user$n\@example.net', 'call', 'x',
	custom_args => '{\"n\": \"$n\"}', timeout => '$timeout')");

	$call->{began} = time();
	$call->{run} = IPC::Run::start(\@command, '<', \undef, '>', \$call->{out}, '2>', \$call->{err});
	return $call;
}

sub told
{
	my ($call) = @_;

	eval { $call->{run}->finish };
	$call->{took} = time() - $call->{began};
	return "$call->{out}$call->{err}";
}

#
# Somebody has a table for himself that each claim of a mail reads
#

{
	my $offset = -s $node->logfile;
	my $session = $node->background_psql('postgres');
	my $oldest = 0;
	my @ids;

	$node->sql(q{SELECT roleferry.suppress('nobody@example.org', 'manual')});
	@ids = $node->enqueue(6, queue => 'narrow', run_at => '2040-01-01');
	$session->query_safe('BEGIN; LOCK TABLE roleferry.suppression IN ACCESS EXCLUSIVE MODE;');
	$node->sql("UPDATE roleferry.outbox SET run_at = now(); SELECT roleferry.wake()");
	$node->wait_for_log(qr/failed while claiming jobs: canceling statement due to lock timeout/, $offset);
	for my $look (1 .. 60)
	{
		my $age = $node->sql(q{SELECT extract(epoch FROM clock_timestamp() - heartbeat) FROM roleferry.stat_workers WHERE kind = 'dispatcher'});

		$oldest = $age if $age > $oldest;
		usleep(100_000);
	}
	$session->query_safe('COMMIT');
	$session->quit;
	cmp_ok($oldest, '<', $node->patient(2), sprintf('the dispatcher waits for no lock for long (%.2f s)', $oldest));
	$node->wait_until('the queue is stuck', 20, sub { $node->distinct_states(@ids) eq 'sent' });
	pass('a queue whose claims have failed goes on when they succeed again');
	is($node->sql(q{SELECT running FROM roleferry.stat_queues WHERE queue = 'narrow'}), '0', 'and counts nothing that does not run');
}

#
# Calls that were handed over together, one of which cannot be recorded
#

{
	my $pid = $node->dispatcher_pid;
	my @calls;
	my @told;

	kill 'STOP', $pid;
	push @calls, send_in_background(100 + $_, '20 s') foreach 1 .. 4;
	$node->wait_until('the calls are not handed over', 20, sub {
		$node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%send_email%' AND wait_event_type = 'Extension' AND pid <> pg_backend_pid()}) eq '4';
	});
	$node->fault('call_taken', 'error', 1);
	kill 'CONT', $pid;
	@told = map { told($_) } @calls;
	is(scalar(grep { /\|sent/ } @told), 2, 'of four calls two are sent');
	is(scalar(grep { /could not be recorded/ } @told), 2, 'those that were taken with it, or were it, are told so');
	cmp_ok((sort { $b <=> $a } map { $_->{took} } @calls)[0], '<', $node->patient(12), 'and nobody waits for a dispatcher that does not look');
	foreach my $i (0 .. $#told)
	{
		$node->adopt(101 + $i, $1) if $told[$i] =~ /^(\d+)\|sent/;
	}
}

#
# The claim of the turn starts something and writes nothing
#

{
	my $walwriter = $node->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'});
	my $pid = $node->dispatcher_pid;
	my $call;

	$node->sql(q{SET ROLE app; SELECT roleferry.enqueue_verify_emails(ARRAY['ann@slow.example', 'bob@slow.example'])});
	$node->wait_until('the job at the provider is not polled', 20,
		sub { $simulator->calls('neverbounce', 'jobs/status') == 1 });
	$simulator->rule({ name => 'poll', match => { call => 'jobs/status' }, action => { hold => 'poll' } });
	$node->hold_mail(200);
	$call = send_in_background(200, '30 s');
	$node->wait_mail_held(200);
	kill 'STOP', $walwriter;
	kill 'STOP', $pid;
	$node->release_mail(200);
	usleep(2_500_000);
	kill 'CONT', $pid;
	like(told($call), qr/\|sent/, 'the caller is told that the mail is sent');
	$node->kill_process($pid);
	kill 'CONT', $walwriter;
	$node->crash_wait;
	$simulator->clear_rules;
	$simulator->release('poll') if $simulator->held('poll');
	my ($id) = $call->{out} =~ /^(\d+)/;
	is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $id"), 'sent', 'and that is so after a crash');
	$node->adopt(200, $id);
}

$node->assert_invariants;
done_testing();

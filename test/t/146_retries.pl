
# Copyright (c) 2026, roleferry authors

# What is tried again, how soon and how often, per task and kind of failure;
# what spends no attempt; what expires; that crashes and errors are counted
# apart; and that a dead letter has its whole history.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.breaker_failures = 1000
roleferry.sweep_interval = '200ms'
max_worker_processes = 16
log_statement = none
});
my $next = 1;

$node->sql(q{
CREATE TABLE public.effect (n integer, role text DEFAULT current_user);
CREATE ROLE first LOGIN; CREATE ROLE second LOGIN;
GRANT INSERT, SELECT ON public.effect TO app, first, second;
CREATE FUNCTION public.work(n integer) RETURNS integer LANGUAGE sql AS 'INSERT INTO public.effect (n) VALUES (n) RETURNING n';
CREATE FUNCTION public.fails(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '58000'; END $$;
CREATE FUNCTION public.leaves(n integer) RETURNS boolean LANGUAGE sql AS 'SELECT pg_terminate_backend(pg_backend_pid()) FROM pg_sleep(0)';
SELECT roleferry.register_task('work', 'public.work(int)');
SELECT roleferry.register_task('fails', 'public.fails(int)', max_attempts => 2, retry_base => '10 ms', retry_cap => '10 ms');
SELECT roleferry.register_task('leaves', 'public.leaves(int)', max_attempts => 1);
});
$node->wait_dispatcher(30);

# A mail by one account: (its number, its job).
sub mail
{
	my (%options) = @_;
	my $n = $next++;

	return ($n, $node->enqueue(1, first => $n, accounts => ['sendgrid'], %options));
}

sub task
{
	my ($name, %options) = @_;
	my $more = join '', map { ", $_ => $options{$_}" } sort keys %options;

	return $node->sql(qq{SET ROLE app; SELECT roleferry.enqueue('$name', '{"n": 1}'$more)});
}

sub ended
{
	my ($job) = @_;

	return $node->wait_until("job $job does not end", 30, sub {
		$node->sql("SELECT state FROM roleferry.jobs WHERE id = $job AND state NOT IN ('waiting', 'running')");
	});
}

# What a dead letter tells: state, attempts, failures, and its history.
sub story
{
	my ($job) = @_;

	return $node->sql(qq{
SELECT d.state || ' ' || d.attempts || ' ' || d.failures || ': ' ||
       coalesce((SELECT string_agg(a.attempt || ' ' || a.outcome || ' ' || a.verdict, ', ' ORDER BY a.attempt)
          FROM roleferry.attempts a WHERE a.job_id = d.job_id), 'none')
  FROM roleferry.dead_letters d WHERE d.job_id = $job});
}

sub policy
{
	my ($task, $outcome, $max_attempts, $wait) = @_;

	$node->sql(qq{INSERT INTO roleferry.retry_policy VALUES ('$task', '$outcome', $max_attempts, $wait, $wait)});
	$node->wait_turn;
	return;
}

# Tidying up is the first thing that a dispatcher does.
sub tidy
{
	my $pid = $node->dispatcher_pid;

	$node->sql("SELECT pg_terminate_backend($pid)");
	$node->wait_dispatcher(30, $pid);
	$node->wait_turn;
	return;
}

# A child of the server that is stopped; it has connected to nothing yet.
sub stopped_process
{
	my $server = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

	foreach my $file (glob '/proc/[0-9]*/stat')
	{
		my $stat = eval { slurp_file($file) } || '';

		return $1 if $stat =~ /^(\d+) \(.*\) T $server /s;
	}
	return;
}

#
# Policies, per task and class
#

policy('*', 'transient', 5, q{'1 h'});
policy('send_email', 'transient', 2, q{'10 ms'});
{
	my ($n, $job);

	$simulator->rule({ provider => 'sendgrid', count => 2, action => { reset => 'accept' } });
	($n, $job) = mail();
	is(ended($job), 'failed', 'a task\'s policy says after how many failures a job is given up, and how soon it is tried again');
	is(story($job), 'failed 2 2: 1 transient retry, 2 transient failed', 'its dead letter has both attempts');
	$simulator->clear_rules;

	$simulator->rule({ provider => 'sendgrid', count => 2, action => { reset => 'accept' } });
	($n, $job) = mail(max_attempts => 3);
	is(ended($job), 'sent', 'what the job says goes first');
	$simulator->clear_rules;
}

policy('*', 'ambiguous', 'NULL', q{'10 ms'});
{
	my ($n, $job);

	$simulator->rule({ provider => 'sendgrid', count => 3, action => { status => 500 } });
	($n, $job) = mail(delivery => 'at_least_once');
	is(ended($job), 'sent', 'the policy of any task counts for a class that the task\'s own does not name');
	is($node->sql("SELECT attempts FROM roleferry.message WHERE job_id = $job"), '4', 'at the fourth attempt');
	$simulator->clear_rules;
}

foreach my $bad ([ q{'work', 'transient', 2, NULL, NULL}, 'a SQL task' ], [ q{'*', 'permanent', 2, NULL, NULL}, 'what stays bad' ],
	[ q{'*', 'config', 0, NULL, NULL}, 'no attempt' ], [ q{'*', 'config', 1, '-1 s', NULL}, 'a negative wait' ])
{
	my ($status) = $node->psql('postgres', "INSERT INTO roleferry.retry_policy VALUES ($bad->[0])");

	isnt($status, 0, "there is no policy for $bad->[1]");
}

#
# What spends no attempt
#

{
	my ($n, $job);

	$simulator->rule({ provider => 'sendgrid', count => 2, action => { status => 429, headers => { 'Retry-After' => '1' } } });
	($n, $job) = mail(max_attempts => 1);
	$node->wait_until('it does not wait', 30, sub { $node->sql("SELECT attempts > 0 AND worker IS NULL FROM roleferry.outbox WHERE id = $job") eq 't' });
	is($node->sql("SELECT failures FROM roleferry.outbox WHERE id = $job"), '0', 'to be refused for now is no failure');
	is(ended($job), 'sent', 'and no reason to give up a job that may fail but once');
	$simulator->clear_rules;
}

#
# What expires
#

{
	my ($n, $job, $task);

	$node->sql(q{SELECT roleferry.pause_account('sendgrid'), roleferry.pause_queue('default')});
	$node->wait_turn;
	($n, $job) = mail(expires_at => $node->sql(q{SELECT now() + interval '1 s'}));
	$task = task('work', expires_at => q{now() + interval '1 s'});
	is(ended($_), 'expired', 'what has not begun by expires_at expires') foreach ($job, $task);
	is(story($job), 'expired 0 0: none', 'without an attempt');
	$node->sql(q{SELECT roleferry.resume_account('sendgrid'), roleferry.resume_queue('default')});
	$node->wait_turn;
	is($node->accepted->{$n} || 0, 0, 'and is not sent later');
	is($node->sql('SELECT count(*) FROM public.effect'), '0', 'nor run');

	$node->sql(q{UPDATE roleferry.retry_policy SET base = '1 h', cap = '1 h' WHERE task = '*' AND outcome = 'ambiguous'});
	$node->wait_turn;
	$simulator->rule({ provider => 'sendgrid', count => 1, action => { status => 500 } });
	($n, $job) = mail(delivery => 'at_least_once', expires_at => $node->sql(q{SELECT now() + interval '2 s'}));
	is(ended($job), 'expired', 'so does what waits for its next try');
	is(story($job), 'expired 1 1: 1 ambiguous retry', 'with the attempt it had');
	$simulator->clear_rules;
}

#
# Crashes and errors are counted apart
#

my $crashed;
{
	$node->fault('task_before_run', 'kill');
	$crashed = task('fails');
	$node->crash_wait;
	is(ended($crashed), 'failed', 'a crash spends none of the failures that a task may have');
	is(story($crashed), 'failed 3 2: 1 ambiguous retry, 2 transient retry, 3 transient failed', 'and stands in its history');
}

{
	my $job = task('leaves');

	is(ended($job), 'failed', 'a task that ends its process has failed, as often as the task allows');
	is(story($job), 'failed 1 1: 1 transient failed', 'which stands in its history, too');
}

#
# A task that was given to another role since
#

{
	my ($job, $pid);

	$node->sql(q{SELECT roleferry.register_task('moves', 'public.work(int)', run_as => 'first')});
	$node->fault('executor_start', 'stop');
	$job = $node->sql(q{SELECT roleferry.enqueue('moves', '{"n": 7}')});
	$pid = $node->wait_until('no executor stops', 30, sub { stopped_process() });
	$node->sql(q{SELECT roleferry.register_task('moves', 'public.work(int)', run_as => 'second')});
	kill 'CONT', $pid;
	is(ended($job), 'done', 'a task that changes its role while its job is with an executor is run');
	is($node->sql('SELECT string_agg(role, \' \') FROM public.effect WHERE n = 7'), 'second', 'as the role that it has by then, once');
}

#
# A dead letter's history outlives the tables that take turns
#

{
	my $dead = story($crashed);
	my $holder = $node->background_psql('postgres');
	my $table = sub { $node->sql('SELECT current FROM roleferry.rotation') };
	my $turn = sub { $node->sql(q{UPDATE roleferry.rotation SET rotated_at = now() - interval '10 days'}); tidy(); };
	my $first = $table->();

	$holder->query_safe('BEGIN; SELECT count(*) FROM roleferry.attempts');
	$turn->();
	is($table->(), $first, 'a table of attempts that somebody reads does not take its turn');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$turn->() foreach 1 .. 3;
	is($table->(), $first, 'then each of the three does');
	is(story($crashed), $dead, 'a dead letter\'s attempts stay');
	is($node->sql(q{SELECT count(*) FROM roleferry.attempts a WHERE NOT EXISTS (SELECT FROM roleferry.dead_letter d WHERE d.job_id = a.job_id)}),
		'0', 'those of jobs that ended well go');
	$node->sql("DELETE FROM roleferry.dead_letter WHERE job_id = $crashed");
	$node->sql(q{UPDATE roleferry.attempt_kept SET started_at = started_at - interval '10 days'});
	tidy();
	is($node->sql("SELECT count(*) FROM roleferry.attempts WHERE job_id = $crashed"), '0', 'and the dead letter\'s with it');
}

$node->stop;
done_testing();

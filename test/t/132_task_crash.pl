
# Copyright (c) 2026, roleferry authors

# A process dies by SIGKILL at every point of a SQL task's way: its effects
# happen exactly once.  Rows 5 and 6 of the fault matrix for SQL tasks, and
# what kills its backend is put away.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $node = RoleferryNode->start_pair('main', conf => q{
max_worker_processes = 16
max_connections = 30
log_statement = none
});
my $next = 1;

$node->sql(q{
CREATE TABLE public.effect (n integer, at timestamptz DEFAULT clock_timestamp());
GRANT INSERT, SELECT ON public.effect TO app;
GRANT pg_execute_server_program TO app;
CREATE FUNCTION public.work(n integer) RETURNS integer LANGUAGE sql AS $$ INSERT INTO public.effect (n) VALUES (n) RETURNING n $$;
CREATE FUNCTION public.sometimes(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.effect (n) VALUES (n);
	IF n % 5 = 0 THEN RAISE EXCEPTION 'five' USING ERRCODE = '23514'; END IF;
	RETURN n;
END $$;
CREATE FUNCTION public.poison(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.effect (n) VALUES (n);
	-- Itself and nobody else: an armed fault could meet another executor first.
	COPY (SELECT 1) TO PROGRAM 'kill -KILL $PPID';
	PERFORM pg_sleep(60);
	RETURN n;
END $$;
SELECT roleferry.register_task('single', 'public.work(int)');
SELECT roleferry.register_task('shared', 'public.work(int)', batch => true);
SELECT roleferry.register_task('sometimes', 'public.sometimes(int)', max_attempts => 1);
SELECT roleferry.register_task('sometimes.shared', 'public.sometimes(int)', max_attempts => 1, batch => true);
SELECT roleferry.register_task('poison', 'public.poison(int)');
});
$node->wait_dispatcher(30);

# Numbers of the jobs of a task, enqueued in one transaction.
sub enqueue
{
	my ($task, $count) = @_;
	my $first = $next;

	$next += $count;
	# The crash may be quicker than the session's end.
	$node->psql('postgres', qq{SET ROLE app;
SELECT roleferry.enqueue('$task', jsonb_build_object('n', n)) FROM generate_series($first, $next - 1) n});
	return ($first .. $next - 1);
}

# How often each of them has had its effect, and how it ended: "1 done" for all.
sub summary
{
	my (@numbers) = @_;
	my ($first, $last) = @numbers[ 0, -1 ];

	return $node->sql(qq{
SELECT string_agg(DISTINCT effects || ' ' || state, ', ') FROM (
	SELECT (SELECT count(*) FROM public.effect e WHERE e.n = g.n) AS effects,
	       coalesce((SELECT string_agg(s.state, '+') FROM (
	           SELECT 'waiting' AS state FROM roleferry.outbox o WHERE (o.args ->> 'n')::integer = g.n
	           UNION ALL SELECT 'done' FROM roleferry.result_0 r WHERE (r.result #>> '{}')::integer = g.n
	           UNION ALL SELECT d.state FROM roleferry.dead_letter d WHERE (d.args ->> 'n')::integer = g.n) s), 'lost') AS state
	  FROM generate_series($first, $last) g (n)) q});
}

sub crash_at
{
	my ($point, $task, $skip) = @_;
	my @numbers;

	# An executor is there, and the dispatcher knows the task.
	enqueue($task, 3);
	$node->wait_drained(30);
	$node->fault($point, 'kill', $skip);
	@numbers = enqueue($task, 60);
	$node->crash_wait;
	$node->wait_drained(60);
	is(summary(@numbers), '1 done', "killed at $point, $task: each effect exactly once");
	return;
}

foreach my $task (qw(single shared))
{
	crash_at('before_claim', $task, 0);
	crash_at('before_claim_commit', $task, 0);
	crash_at('after_claim_commit', $task, 0);
	crash_at('task_before_run', $task, 0);
	crash_at('task_in_run', $task, $task eq 'single' ? 7 : 17);
	crash_at('task_after_run', $task, 0);
	crash_at('task_before_commit', $task, $task eq 'single' ? 5 : 0);
	crash_at('task_after_commit', $task, $task eq 'single' ? 5 : 0);
}

# With failures among them.
foreach my $task ('sometimes', 'sometimes.shared')
{
	my @numbers = enqueue($task, 60);

	$node->wait_drained(60);
	is(summary(@numbers), '0 failed, 1 done', "$task: what fails has no effect, what does not has one");
	$node->fault('task_before_record', 'kill', 2);
	@numbers = enqueue($task, 60);
	$node->crash_wait;
	$node->wait_drained(60);
	is(summary(@numbers), '0 failed, 1 done', "$task: also when a crash keeps failures from being written");
	$node->fault('task_before_record', 'error', 0, 2);
	@numbers = enqueue($task, 20);
	$node->wait_drained(60);
	is(summary(@numbers), '0 failed, 1 done', "$task: or an error does, at first");
}

# The dispatcher dies alone, and executors with it; and a fast stop.
{
	my @numbers = enqueue('single', 400);

	$node->sql(sprintf 'SELECT pg_terminate_backend(%d)', $node->dispatcher_pid);
	$node->wait_drained(60);
	is(summary(@numbers), '1 done', 'the dispatcher is ended: each effect exactly once');
	@numbers = enqueue('shared', 400);
	$node->stop('fast');
	$node->start;
	$node->wait_drained(60);
	is(summary(@numbers), '1 done', 'the server is stopped: each effect exactly once');
	@numbers = enqueue('single', 300);
	$node->stop('immediate');
	$node->start;
	$node->wait_drained(120);
	is(summary(@numbers), '1 done', 'the server is stopped at once: each effect exactly once');
}

# What kills its backend twice is put away, and the others go on.
{
	my $log_end = -s $node->logfile;
	my $poison = $next++;
	my @others = ($next .. $next + 19);

	$next += 20;
	$node->psql('postgres', qq{SET ROLE app;
SELECT roleferry.enqueue(CASE WHEN n = $poison THEN 'poison' ELSE 'single' END, jsonb_build_object('n', n))
  FROM generate_series($poison, $next - 1) n});

	$node->wait_until('it is not put away', 60, sub {
		my $state = eval { $node->sql(qq{SELECT state FROM roleferry.dead_letter WHERE (args ->> 'n')::integer = $poison}) };

		return defined $state && $state eq 'quarantined';
	});
	$node->wait_drained(60);
	is(summary($poison), '0 quarantined', 'a task that kills its backend twice is quarantined, without effect');
	is(summary(@others), '1 done', 'and the others have theirs');
	is(() = slurp_file($node->logfile, $log_end) =~ /all server processes terminated/g, 2, 'after two crashes');
}

$node->stop;
done_testing();

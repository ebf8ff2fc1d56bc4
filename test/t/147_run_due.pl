
# Copyright (c) 2026, roleferry authors

# A test's helper that has what is due done now, and a schedule's job that
# there is once for each tick however often the scheduler fires.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

# A dispatcher that looks by itself only every ten minutes.
my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.sweep_interval = '10min'
log_statement = none
});

$node->sql(q{
INSERT INTO roleferry.queue (name) VALUES ('mine');
CREATE ROLE other LOGIN;
SELECT roleferry.grant_access('other', 'sender');
CREATE FUNCTION public.work(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n';
CREATE FUNCTION public.fails(n integer) RETURNS integer LANGUAGE sql AS 'SELECT n / (n - n)';
CREATE FUNCTION public.busy(n integer) RETURNS integer LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '58000'; END $$;
SELECT roleferry.register_task(name, ('public.' || name || '(int)')::regprocedure) FROM unnest('{work,fails}'::text[]) name;
SELECT roleferry.register_task('busy', 'public.busy(int)', retry_base => '1 h', retry_cap => '1 h');
});
$node->wait_dispatcher(30);

sub app
{
	my ($sql) = @_;

	return $node->sql("SET ROLE app; $sql");
}

my $states = q{SELECT string_agg(state || ' ' || coalesce(result::text, left(reason, 5), ''), ', ' ORDER BY job_id)};

# A prepared transaction's commit is announced to nobody: without being asked
# the dispatcher would find it in ten minutes.
{
	my $jobs;

	app(q{
SELECT roleferry.enqueue('work', '{"n": 4}', queue => 'mine', run_at => now() + interval '1 day');
SELECT roleferry.enqueue('work', '{"n": 5}')});
	$node->wait_until('the first job is not done', 30, sub { $node->sql(q{SELECT count(*) FROM roleferry.outbox WHERE run_at <= now()}) eq '0' });
	$node->sql(q{SET session_replication_role = replica;
INSERT INTO roleferry.outbox (task, args, role, queue, lane, priority)
	SELECT 'work', '{"n": 2}', 'app', 'mine', o.lane, 5 FROM roleferry.outbox o WHERE o.queue = 'mine';
INSERT INTO roleferry.outbox (task, args, role, queue, lane, priority)
	SELECT 'fails', '{"n": 3}', 'app', 'mine', o.lane, 5 FROM roleferry.outbox o WHERE o.queue = 'mine' LIMIT 1});
	is(app(qq{$states FROM roleferry.run_due('mine')}), 'done 4, failed 22012', 'what is due in a queue is done now, and its results are told');
	is($node->sql('SELECT count(*) FROM roleferry.outbox'), '1', 'what is due later is not');
	is(app(qq{$states FROM roleferry.run_due('mine')}), '', 'then nothing is due');
}

{
	app(q{SELECT roleferry.enqueue('busy', '{"n": 1}', queue => 'mine')});
	is(app(qq{$states FROM roleferry.run_due('mine', timeout => '20 s')}), '', 'what was tried before is not due')
	  if $node->wait_until('it is not tried', 30, sub { $node->sql(q{SELECT failures FROM roleferry.outbox WHERE task = 'busy'}) eq '1' });
	$node->sql(q{UPDATE roleferry.outbox SET run_at = now() WHERE task = 'busy'});
	is(app(q{SELECT state, attempts FROM roleferry.run_due('mine', timeout => '20 s')}), 'waiting|2',
		'a job that waits for another try is not waited for, and says so');
	$node->sql(q{SELECT roleferry.cancel(id) FROM roleferry.jobs WHERE state = 'waiting'});
}

{
	$node->sql(q{SELECT roleferry.pause_queue('mine')});
	$node->wait_turn;
	my @ids = split /\n/, app(q{SELECT roleferry.enqueue('work', jsonb_build_object('n', n), queue => 'mine', priority => n) FROM generate_series(1, 3) n});

	is($node->sql(q{SET ROLE other; SELECT count(*) FROM roleferry.run_due('mine')}), '0', 'others\' jobs are not told');
	is(app(q{SELECT job_id || ' ' || state FROM roleferry.run_due('mine', 2, '300 ms')}), "$ids[2] waiting\n$ids[1] waiting",
		'what cannot run is told when the time is over, n of it, in the order in which it would go');
	$node->sql(q{SELECT roleferry.resume_queue('mine')});
	app(q{SELECT count(*) FROM roleferry.run_due('mine')});
	$node->wait_drained(30);
}

# What has expired by the time it is taken does not start; no sweep has looked.
{
	my $expired = q{expires_at => now() - interval '1 s'};
	my @ids = (
		app(qq{SELECT roleferry.enqueue('work', '{"n": 1}', $expired)}),
		app(qq{SELECT roleferry.enqueue_email('sender\@mg.example.com', 'user\@example.net', 'late', 'x', custom_args => '{"n": "77"}', $expired)}));

	$node->wait_drained(30);
	is($node->sql("SELECT string_agg(state, ' ') FROM roleferry.jobs WHERE id IN ($ids[0], $ids[1])"), 'expired expired',
		'what is too late when it is taken does not start');
	is($node->accepted->{77} || 0, 0, 'and is not sent');
}

# Refused where it could see nothing.
{
	my ($status, $out, $err) = $node->psql('postgres',
		q{SET ROLE app; BEGIN; SELECT roleferry.enqueue('work', '{"n": 1}'); SELECT * FROM roleferry.run_due();});

	like($err, qr/run_due\(\) is of no use in a transaction that has written/, 'a transaction that has written is refused');
	is(app('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SELECT count(*) FROM roleferry.run_due(); COMMIT'), "1\n0",
		'one that only reads is not');
	foreach my $bad (q{max_jobs => 0}, q{max_jobs => NULL}, q{timeout => '-1 s'})
	{
		($status, $out, $err) = $node->psql('postgres', "SELECT * FROM roleferry.run_due($bad)");
		isnt($status, 0, "refused: $bad");
	}
}

# The recipe for schedules: the key is the tick.
{
	my $tick = q{SELECT roleferry.enqueue('work', jsonb_build_object('n', 9),
		idempotency_key => 'rollup ' || date_trunc('minute', timestamptz '2030-01-01 12:%s'))};
	my @same = map { app(sprintf $tick, $_) } qw(00:00.1 00:00.2 00:59);

	is($same[1], $same[0], 'a schedule that fires twice has one job');
	is($same[2], $same[0], 'so has one that fires late within its tick');
	isnt(app(sprintf $tick, '01:00'), $same[0], 'the next tick has another');
	app('SELECT count(*) FROM roleferry.run_due()');
	is($node->sql(q{SELECT count(*) FROM roleferry.jobs WHERE state = 'done' AND id >= } . $same[0]), '2', 'each runs once');
}

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# What queues hold and do, and how the workers do: the numbers are those of the
# outbox and of the providers, cost no look into a table, and an idle server is
# left in peace by them.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryAgent;
use RoleferryNode;
use Test::More;

my $agent = RoleferryAgent->new;
my ($node, $simulator) = RoleferryNode->start_pair('queues', conf => <<"EOC");
roleferry.dogstatsd = '@{[ $agent->target ]}'
roleferry.executor_idle_timeout = '10min'
EOC

sub metric
{
	my ($name) = @_;
	my ($value) = $node->sql('SELECT roleferry.metrics()') =~ /^\Q$name\E (\S+)$/m;

	return $value;
}

sub queue
{
	my ($columns, $queue) = @_;

	return $node->sql(sprintf q{SELECT %s FROM roleferry.stat_queues WHERE queue = '%s'}, $columns, $queue || 'sequences');
}

sub wait_queue
{
	my ($columns, $value, $queue) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $reached = eval { $node->wait_until($columns, 30, sub { queue($columns, $queue) eq $value }) };

	return is($reached ? $value : queue($columns, $queue), $value, "$columns of " . ($queue || 'sequences'));
}

$node->wait_dispatcher;
wait_queue('ready, running, scheduled, estimated, oldest_age', '0|0|0|f|00:00:00', $_) for qw(sequences analytics default enrichment);

# What waits, and for how long.
$node->sql(q{SELECT roleferry.pause_queue('sequences', 'the test')});
$node->enqueue(7);
$node->sql(q{UPDATE roleferry.outbox SET run_at = now() - interval '1 hour' WHERE id = (SELECT min(id) FROM roleferry.outbox)});
my @later = $node->enqueue(2, run_at => '2100-01-01');
wait_queue('ready, scheduled, running, estimated', '7|2|0|f');
is(queue(q{ready + scheduled = (SELECT count(*) FROM roleferry.jobs WHERE state = 'waiting')}), 't', 'as many as the outbox has');
wait_queue(q{oldest_age BETWEEN '1 hour' AND '2 hours'}, 't');
is(metric('roleferry_queue_ready{queue="sequences"}'), 7, 'metrics() tells how many could go');
is(metric('roleferry_queue_scheduled{queue="sequences"}'), 2, 'how many are to go later');
cmp_ok(metric('roleferry_queue_oldest_claimable_seconds{queue="sequences"}'), '>=', 3600, 'and how old the oldest is');
$node->reload;    # gauges come at once then
$node->wait_until('a gauge of the agent', 30, sub {
	$agent->collect(1, sub { 0 });
	grep { $_->{values}[0] == 7 } $agent->lines('roleferry.queue.ready', queue => 'sequences');
});
ok((grep { $_->{values}[0] >= 3600 } $agent->lines('roleferry.queue.oldest_claimable_seconds', queue => 'sequences')),
	'the agent hears it, too');

# A restart does not forget them, whatever way the server goes down.
$node->kill_process($node->dispatcher_pid);
$node->crash_wait;
$node->wait_dispatcher;
wait_queue('ready, scheduled', '7|2');

# What is under way: as the provider has it in hand.
$simulator->rule({ name => 'held', provider => 'sendgrid', action => { hold => 'held' } });
$node->sql(q{INSERT INTO roleferry.queue (name, concurrency) VALUES ('sequences', 7); SELECT roleferry.resume_queue('sequences')});
$node->wait_until('seven requests', 30, sub { $simulator->held('held') == 7 });
wait_queue('running', '7');
wait_queue('ready', '0');
is($node->sql(q{SELECT state, in_flight FROM roleferry.stat_workers WHERE kind = 'dispatcher'}), 'busy|7', 'the dispatcher says so, too');
is(metric('roleferry_queue_running{queue="sequences"}'), 7, 'and so does metrics()');
$node->wait_activity(qr/^7 requests under way$/);
SKIP:
{
	skip 'wait events have names since PostgreSQL 17', 1 if $node->sql('SHOW server_version_num') < 170000;
	$node->wait_until('its wait event', 20, sub {
		$node->sql(q{SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher'}) eq 'RoleferryRequests'; });
	pass('it waits for requests, and says so');
}
my ($kept) = $node->enqueue(1);
is($node->sql("SELECT why, detail FROM roleferry.blocked WHERE job_id = $kept"), 'concurrency|7 jobs of the queue are under way',
	'who waits for a place in it is told so');
$node->sql(q{UPDATE roleferry.queue SET concurrency = NULL WHERE name = 'sequences'});
$simulator->clear_rules('held');
# One that came just before the rule went may be held just after a release.
$node->wait_until('the mails', 30, sub {
	$simulator->release('held');
	$node->sql('SELECT count(*) FROM roleferry.outbox') eq '2';
});

# A known load, with all kinds of ends: as the provider counts.
my @fates = (
	[ { status => 400 }, 1 ],    # failed
	[ { close => 'after_read' }, 2 ]);    # unknown
foreach my $fate (@fates)
{
	$simulator->rule({ provider => 'sendgrid', name => 'bad', count => $fate->[1], action => $fate->[0] });
	$node->enqueue($fate->[1], accounts => ['sendgrid']);
	$node->wait_until('their ends', 30, sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '2' });
	$simulator->clear_rules('bad');
}
my @expired = $node->enqueue(1, run_at => '2100-01-01', expires_at => 'infinity');
$node->sql("UPDATE roleferry.outbox SET expires_at = now() - interval '1 hour' WHERE id = $expired[0]");
$node->wait_until('its end', 30, sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '2' });
wait_queue('processed, failed, unknown, dead_letters', '12|1|2|4');
is(queue('processed - dead_letters + unknown'), $simulator->stats('sendgrid')->{accepted},
	'those that were sent, and those that nobody knows about, are what the provider took');
is($node->sql('SELECT sum(processed), sum(dead_letters) FROM roleferry.stat_queues'),
	$node->sql('SELECT sent + done + failed + unknown + other, failed + unknown + other FROM roleferry.job_statistics()'),
	'the queues make up the whole');
is($node->sql('SELECT sum(dead_letters) FROM roleferry.stat_queues'), $node->sql('SELECT count(*) FROM roleferry.dead_letter'),
	'and dead letters are the table\'s');
is(queue('round((processed_per_second * 60)::numeric) BETWEEN 8 AND 12'), 't', 'the rate is that of the last minute');
is(queue('round((failed_per_second * 60)::numeric)'), 1, 'of failures, too');
is(metric('roleferry_queue_jobs_total{queue="sequences",state="unknown"}'), 2, 'metrics() counts by queue');
is(metric('roleferry_dead_letters_total'), 4, 'and dead letters');
$node->wait_until('the counts of the agent', 30, sub {
	$agent->collect(1, sub { 0 });
	$agent->sum('roleferry.jobs.dead_letters', queue => 'sequences') >= 4;
});
is($agent->sum('roleferry.jobs.dead_letters', queue => 'sequences'), 4, 'which the agent hears once');
is($agent->sum('roleferry.jobs.processed', queue => 'sequences', state => 'unknown'), 2, 'by state');

# SQL tasks, in their queue, by an executor.
$node->sql(q{CREATE SCHEMA work;
CREATE FUNCTION work.roll() RETURNS void LANGUAGE sql AS 'SELECT';
GRANT USAGE ON SCHEMA work TO app;
SELECT roleferry.register_task('analytics.roll', 'work.roll()')});
$node->sql(q{SET ROLE app; SELECT count(roleferry.enqueue('analytics.roll', '{}')) FROM generate_series(1, 5)});
wait_queue('processed, failed, running, ready', '5|0|0|0', 'analytics');
is($node->sql(q{SELECT database, role, state, in_flight, turns > 0, heartbeat >= since, pid IN (SELECT pid FROM pg_stat_activity)
FROM roleferry.stat_workers WHERE kind = 'executor' LIMIT 1}), 'postgres|app|idle|0|t|t|t', 'an executor is there, with its role');
is($node->sql(q{SELECT string_agg(kind || ' ' || coalesce(database, '-') || ' ' || state, ', ' ORDER BY kind)
FROM roleferry.stat_workers WHERE kind <> 'executor'}), 'dispatcher postgres idle, launcher - idle', 'and so are launcher and dispatcher');
is($node->sql(q{SELECT bool_and(w.pid = a.pid AND w.since >= a.backend_start AND w.private_bytes BETWEEN 100000 AND 100000000)
FROM roleferry.stat_workers w JOIN pg_stat_activity a ON a.backend_type = 'roleferry ' || w.kind AND w.kind <> 'executor'}), 't',
	'they are those of pg_stat_activity, and their memory is known');

# Idle: turns and heartbeats, and nothing else.
my $idle = q{SELECT turns, extract(epoch FROM heartbeat), pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot())
FROM roleferry.stat_workers WHERE kind = 'dispatcher'};
my ($peaceful, $turns, $seconds);
$node->wait_until('three seconds of peace', 90, sub {
	my ($turns0, $beat0, @log0) = split /\|/, $node->sql($idle);
	my ($turns1, $beat1, @log1);

	$node->wait_until('three heartbeats', 60, sub {
		($turns1, $beat1, @log1) = split /\|/, $node->sql($idle);
		$beat1 - $beat0 >= 3;
	});
	($turns, $seconds) = ($turns1 - $turns0, $beat1 - $beat0);
	$peaceful = "@log0" eq "@log1";
});
ok($peaceful, 'an idle dispatcher beats, and writes no WAL and takes no xid');
cmp_ok($turns, '<=', $seconds * 2 + 2, 'and is woken about once a second');

# Very many: read from no table, and said to be an estimate.
$node->sql(q{SELECT roleferry.pause_queue('analytics', 'the test')});
$node->sql(q{SET ROLE app; INSERT INTO roleferry.outbox (task, args) SELECT 'analytics.roll', '{}' FROM generate_series(1, 20000)});
wait_queue('estimated, ready BETWEEN 19000 AND 21000', 't|t', 'analytics');
is($node->sql(q{BEGIN; SELECT FROM roleferry.stat_queues; SELECT roleferry.metrics() IS NULL; SELECT FROM roleferry.stat_workers;
SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_all_tables WHERE relid = 'roleferry.outbox'::regclass; COMMIT}) =~ s/\s+//gr,
	'f0', 'no row of the outbox is read for it');
$node->sql(q{DELETE FROM roleferry.outbox WHERE task = 'analytics.roll'; SELECT roleferry.wake()});
wait_queue('estimated, ready', 'f|0', 'analytics');

# What a limit leaves.
$node->sql(q{INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('mailgun', 1000, '1 hour')});
$node->enqueue(3, accounts => ['mailgun']);
$node->wait_until('three mails', 30, sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '2' });
my ($limit) = $node->sql('SELECT id FROM roleferry.rate_limit');
is(metric(qq{roleferry_limit_remaining{account="mailgun",provider="mailgun",limit="$limit"}}), 997, 'metrics() tells what a limit leaves');
$node->reload;
$node->wait_until('a gauge of it', 30, sub {
	$agent->collect(1, sub { 0 });
	grep { $_->{values}[0] == 997 } $agent->lines('roleferry.limit.remaining', account => 'mailgun', limit => $limit);
});
pass('and so does the agent');

# At a glance, and who may look.
is($node->sql(q{SELECT string_agg(DISTINCT what, ' ' ORDER BY what) FROM roleferry.top}), 'account dispatcher executor launcher queue', 'top shows all of it');
is($node->sql(q{SELECT state, note LIKE 'the test%' FROM roleferry.top WHERE what = 'queue' AND name = 'analytics'}), 'paused|t', 'and why a queue is paused');
unlike($node->sql('SELECT t::text FROM roleferry.top t'), qr/\@|test-key/, 'no address and no key is in it');
$node->sql('CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher');
is($node->sql(qq{SET ROLE watcher; SELECT count(*) > 0 FROM roleferry.$_}), 't', "pg_monitor may read $_") for qw(stat_queues stat_workers top);
isnt($node->psql('postgres', qq{SET ROLE app; SELECT * FROM roleferry.$_}), 0, "a sender may not read $_") for qw(stat_queues stat_workers top);

# Over a clean restart, and when begun anew.
my $before = queue('processed, failed, unknown, dead_letters');
$node->stop('fast');
$node->start;
is(queue('processed, failed, unknown, dead_letters'), $before, 'what queues have done survives a clean restart');
$node->wait_dispatcher;
$node->sql('SELECT roleferry.stat_reset()');
is(queue('processed, failed'), '0|0', 'and begins anew when asked to');
wait_queue('scheduled', '2');
$node->sql('SELECT roleferry.deactivate()');
$node->wait_until('a mute dispatcher', 30, sub {
	$node->sql(q{SELECT state FROM roleferry.stat_workers WHERE kind = 'dispatcher'}) eq 'not active'; });
pass('a dispatcher that may not send says so');
is_deeply($agent->{bad}, [], 'every line is by the grammar');
$node->assert_invariants('nothing is lost or sent twice');
$node->stop;
done_testing();

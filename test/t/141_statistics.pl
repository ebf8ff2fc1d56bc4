
# Copyright (c) 2026, roleferry authors

# Statistics: after a known load every number is the providers' own; they
# survive a clean restart and begin anew after a crash; who may watch the
# server may read them.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('statistics');

sub numbers
{
	my ($account) = @_;

	return $node->sql("SELECT calls, ok, throttled, permanent, transient FROM roleferry.stat_accounts WHERE account = '$account'");
}

sub metric
{
	my ($name) = @_;
	my ($value) = $node->sql('SELECT roleferry.metrics()') =~ /^\Q$name\E (\S+)$/m;

	return $value;
}

is($node->sql('SELECT count(*) FROM roleferry.stat_accounts'), 0, 'nothing was asked for, nothing is counted');
is($node->sql('SELECT healthy, reason IS NULL FROM roleferry.healthy()'), 't|t', 'all is well');

# A known load: 30 taken, one refused for good, two told to wait.
$simulator->rule({ provider => 'sendgrid', name => 'bad', count => 1, action => { status => 400 } });
$node->enqueue(1, accounts => ['sendgrid']);
$node->wait_drained(30);
$node->enqueue(30, accounts => ['sendgrid']);
$node->wait_drained(30);
my $stats = $simulator->stats('sendgrid');
is(numbers('sendgrid'), "31|$stats->{accepted}|0|1|0", 'requests by outcome are the provider\'s own');
is($node->sql('SELECT sent, failed, unknown FROM roleferry.job_statistics()'), '30|1|0', 'and what became of jobs');
is($node->sql(q{SELECT failed_class FROM roleferry.stat_accounts WHERE account = 'sendgrid'}), 'permanent',
	'the last failure has its class');
is($node->sql(q{SELECT failed_at BETWEEN since AND now() FROM roleferry.stat_accounts WHERE account = 'sendgrid'}), 't',
	'and time');
is($node->sql(q{SELECT reused_connections > 0 AND sent_bytes > 30 * 100 AND p50_ms > 0 AND p50_ms <= p95_ms AND p95_ms <= p99_ms
FROM roleferry.stat_accounts WHERE account = 'sendgrid'}), 't', 'connections, bytes and durations are there');
unlike($node->sql(q{SELECT t::text FROM roleferry.stat_accounts t}), qr/@/, 'no address is');
my $bytes = 0;
$bytes += $_->{bytes_in} for $simulator->journal(phase => 'body', provider => 'sendgrid');
is($node->sql(q{SELECT sent_bytes FROM roleferry.stat_accounts WHERE account = 'sendgrid'}), $bytes, 'bytes are those that the provider got');
my $connections = () = $simulator->journal(phase => 'connect', provider => 'sendgrid');
is($node->sql(q{SELECT calls - reused_connections FROM roleferry.stat_accounts WHERE account = 'sendgrid'}), $connections,
	'requests that reused none are as many as the connections that it saw');

# Prometheus.
is(metric('roleferry_requests_total{account="sendgrid",provider="sendgrid",outcome="ok"}'), $stats->{accepted},
	'metrics() tells the same');
is(metric('roleferry_request_duration_seconds_count{account="sendgrid",provider="sendgrid"}'), 31, 'each has its duration');
is(metric('roleferry_request_duration_seconds_bucket{account="sendgrid",provider="sendgrid",le="+Inf"}'), 31,
	'in the widest bucket all are counted');
is(metric('roleferry_jobs_total{state="sent"}'), 30, 'jobs are');
is(metric('roleferry_dispatcher_up'), 1, 'and the dispatcher');
$node->sql(q{CREATE SERVER "odd ""name\\" FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid')});
ok(defined metric('roleferry_circuit_open{account="odd \\"name\\\\",provider="sendgrid"}'), 'odd names are escaped');
SKIP:
{
	my $promtool = 'promtool';
	skip 'promtool is not there', 1 if system("$promtool --version >/dev/null 2>&1") != 0;
	my $file = $node->basedir . '/metrics.txt';
	open(my $out, '>', $file) or die $!;
	print $out $node->sql('SELECT roleferry.metrics()'), "\n";
	close $out;
	is(system("$promtool check metrics <$file >$file.log 2>&1"), 0, 'promtool finds no fault')
	  or diag slurp_file("$file.log");
}

# What is under way: as the provider sees it.
is($node->sql('SELECT count(*) FROM roleferry.stat_activity'), 0, 'nothing is under way');
$simulator->rule({ name => 'held', provider => 'sendgrid', action => { hold => 'held' } });
my @held = $node->enqueue(3, accounts => ['sendgrid']);
$node->wait_until('three requests', 20, sub { $simulator->held('held') == 3 });
is($node->sql(q{SELECT string_agg(job_id::text, ' ' ORDER BY job_id) FROM roleferry.stat_activity
WHERE task = 'send_email' AND account = 'sendgrid' AND attempt = 1 AND phase = 'waiting for the answer' AND age > '0' AND NOT awaited}),
	"@held", 'stat_activity shows what the provider has in hand');
$simulator->clear_rules('held');
$simulator->release('held');
$node->wait_drained(30);
is($node->sql('SELECT count(*) FROM roleferry.stat_activity'), 0, 'and no longer when it has answered');
$stats = $simulator->stats('sendgrid');

# Jobs that end elsewhere: in an executor.
$node->sql(q{CREATE SCHEMA work;
CREATE FUNCTION work.good() RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION work.bad() RETURNS integer LANGUAGE sql AS 'SELECT 1 / 0';
GRANT USAGE ON SCHEMA work TO app;
SELECT roleferry.register_task('work.good', 'work.good()');
SELECT roleferry.register_task('work.bad', 'work.bad()', max_attempts => 1)});
my ($done, $failed) = split /\|/, $node->sql('SELECT done, failed FROM roleferry.job_statistics()');
$node->sql(q{SET ROLE app; SELECT roleferry.enqueue('work.good', '{}'), roleferry.enqueue('work.bad', '{}')});
$node->wait_until('the tasks', 30, sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '0' });
$node->wait_until('their numbers', 10, sub {
	$node->sql('SELECT done, failed FROM roleferry.job_statistics()') eq join '|', $done + 1, $failed + 1;
});
pass('SQL tasks count as other jobs do');

# Over a clean restart, and a crash.
$node->stop('fast');
ok(-f $node->data_dir . '/pg_stat/roleferry.stat', 'a server that stops writes them down');
$node->start;
is(numbers('sendgrid'), "34|$stats->{accepted}|0|1|0", 'they survive a clean restart');
ok(!-f $node->data_dir . '/pg_stat/roleferry.stat', 'the file is gone then');
$node->wait_dispatcher;
$simulator->rule({ name => 'held', provider => 'sendgrid', action => { hold => 'held' } });
$node->enqueue(1, accounts => ['sendgrid']);
$node->wait_until('a request', 20, sub { $simulator->held('held') == 1 });
$node->kill_process($node->dispatcher_pid);
$node->crash_wait;
is($node->sql('SELECT count(*) FROM roleferry.stat_accounts'), 0, 'and begin anew after a crash');
$node->wait_until('the orphan', 20, sub { $node->sql('SELECT unknown FROM roleferry.job_statistics()') eq '1' });
pass('which has made a mail unknown: that counts');
$simulator->clear_rules('held');
$simulator->release('held');
$node->sql('SELECT roleferry.stat_reset()');
$node->stop('fast');
open(my $file, '>', $node->data_dir . '/pg_stat/roleferry.stat') or die $!;
print $file 'x' x 1000;
close $file;
$node->start;
$node->wait_for_log(qr/statistics begin anew: file "pg_stat\/roleferry\.stat" is not of this version/);
pass('a file that is none is left out');

# Who may read, and reset.
$node->wait_dispatcher;
$node->enqueue(3);
$node->wait_drained(30);
$node->sql('CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher');
is($node->sql('SET ROLE watcher; SELECT calls FROM roleferry.stat_accounts'), 3, 'pg_monitor may read them');
is($node->sql('SET ROLE watcher; SELECT healthy FROM roleferry.healthy()'), 't', 'and ask whether all is well');
isnt($node->psql('postgres', 'SET ROLE watcher; SELECT roleferry.stat_reset()'), 0, 'and not reset them');
isnt($node->psql('postgres', 'SET ROLE app; SELECT * FROM roleferry.stat_accounts'), 0, 'a sender may not read them');
$node->sql(q{SELECT roleferry.stat_reset('sendgrid')});
is($node->sql('SELECT calls FROM roleferry.stat_accounts'), 0, 'an operator resets an account');
is($node->sql('SELECT sent FROM roleferry.job_statistics()'), 3, 'and leaves the rest');
$node->sql('SELECT roleferry.stat_reset()');
is($node->sql('SELECT sent FROM roleferry.job_statistics()'), 0, 'or all of it');
isnt($node->psql('postgres', q{SELECT roleferry.stat_reset('none')}), 0, 'an account that does not exist is an error');

$node->sql('SELECT roleferry.deactivate()');
is($node->sql('SELECT healthy, reason FROM roleferry.healthy()'), 'f|this database is not active', 'a mute database is not healthy');
is($node->sql('SELECT count(*) FROM roleferry.stat_activity'), 0, 'but can be asked what is under way');
$node->stop;
done_testing();

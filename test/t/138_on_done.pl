
# Copyright (c) 2026, roleferry authors

# on_done: whichever way a provider's job ends, the transaction that settles it
# enqueues one job of the task, with the receipt, also over kill -9.

use strict;
use warnings;

use JSON::PP ();
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	email_accounts => 'sendgrid',
	conf => q{
max_worker_processes = 16
log_statement = none
roleferry.sweep_interval = '100ms'
roleferry.breaker_failures = 10000
});

$node->add_verifier;
$node->sql(
	q{
CREATE FUNCTION public.regress_events(provider text, body text) RETURNS text
	SET search_path = pg_catalog, pg_temp LANGUAGE C AS 'roleferry', 'roleferry_events_test';
CREATE SCHEMA app AUTHORIZATION app;
SET ROLE app;
CREATE TABLE app.told (receipt jsonb, who text);
CREATE FUNCTION app.done(receipt jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO app.told VALUES (receipt, current_user || '/' || session_user) $$;
CREATE FUNCTION app.by_name(job_id bigint, task text, status text, provider text, message_id text, reason text, http_status integer, idempotency_key text)
	RETURNS void LANGUAGE sql AS $$ INSERT INTO app.told VALUES (jsonb_build_object('job_id', job_id, 'status', status, 'by', 'name'), current_user) $$;
RESET ROLE;
SELECT roleferry.register_task('app.done', 'app.done(jsonb)');
SELECT roleferry.register_task('app.by_name', 'app.by_name(bigint,text,text,text,text,text,integer,text)');
});
my $installation =
  $node->sql('SELECT installation FROM roleferry.activation');
$node->wait_dispatcher(30);

sub told
{
	my ($job, $columns) = @_;

	$columns ||= q{receipt ->> 'status'};
	return $node->sql(
		qq{SELECT string_agg(concat_ws(' ', $columns), ', ' ORDER BY ctid) FROM app.told WHERE receipt -> 'job_id' = '$job'}
	);
}

# What was told of the job in the end.
sub told_is
{
	my ($job, $expected, $name, $columns) = @_;

	eval {
		$node->wait_until('the outbox is not empty',
			60,
			sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '0' }
		);
	};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(told($job, $columns), $expected, $name);
}

sub report
{
	my ($word, $job) = @_;
	my $to = $node->sql(
		"SELECT args ->> 'to_addr' FROM roleferry.dead_letter WHERE job_id = $job UNION ALL SELECT to_addr FROM roleferry.message WHERE job_id = $job"
	);

	return $node->sql(
		'SELECT public.regress_events(\'sendgrid\', '
		  . RoleferryNode::quote_literal(
			JSON::PP->new->encode(
				[
					{
						event => $word,
						email => $to,
						timestamp => 1_700_000_000,
						sg_event_id => "event-$word-$job",
						rf_job => "$installation.$job"
					}
				]))
		  . ')');
}

# Sent.
{
	my ($job) = $node->enqueue(1,
		on_done => 'app.done',
		idempotency_key => 'key 1',
		tenant_key => 'tenant');
	my ($named) = $node->enqueue(1, on_done => 'app.by_name');
	my ($quiet) = $node->enqueue(1);

	told_is($job, 'sent send_email sendgrid 202 key 1 app/app',
		'of a mail that was sent, its receipt is told',
		q{receipt ->> 'status', receipt ->> 'task', receipt ->> 'provider', receipt ->> 'http_status', receipt ->> 'idempotency_key', who}
	);
	is( told($job, q{receipt ->> 'message_id'}),
		$node->sql(
			"SELECT message_id FROM roleferry.message WHERE job_id = $job"),
		'with the id of the message');
	is( $node->sql(
			qq{SELECT count(*) FROM jsonb_object_keys((SELECT receipt FROM app.told WHERE receipt -> 'job_id' = '$job'))}
		),
		8,
		'and every key, whether it is known or not');
	is( $node->sql(
			q{SELECT role || ' ' || tenant_key FROM roleferry.result_0 WHERE task = 'app.done'}
		),
		'app tenant',
		'by a job of the same role and tenant');
	is(told($named, q{receipt ->> 'status', receipt ->> 'by'}),
		'sent name', 'a function may have a parameter for each');
	is(told($quiet), '', 'who did not ask is not told');
}

# Verified.
{
	my $job = $node->sql(
		q{SET ROLE app; SELECT roleferry.enqueue_verify_emails('{ann@example.net}', on_done => 'app.done')}
	);

	told_is($job, 'done verify_emails',
		'of addresses that were verified, too',
		q{receipt ->> 'status', receipt ->> 'task'});
}

# Refused by the provider; unknown, and settled later in each way.
{
	$simulator->rule(
		{
			provider => 'sendgrid',
			action =>
			  { status => 400, body => { errors => [ { message => 'no' } ] } }
		});
	my ($job) = $node->enqueue(1, on_done => 'app.done');
	told_is($job, 'failed sendgrid 400',
		'a mail that is refused has failed',
		q{receipt ->> 'status', receipt ->> 'provider', receipt ->> 'http_status'}
	);
	$simulator->clear_rules;
	$node->sql("SELECT roleferry.retry($job)");
	told_is($job, 'failed, sent', 'tried again, it is told anew');

	$simulator->rule({ provider => 'sendgrid', action => { status => 500 } });
	my @unknown =
	  $node->enqueue(5, on_done => 'app.done', idempotency_key => undef);
	$node->wait_job_state($_, 'unknown') for @unknown;
	told_is($_, 'unknown', 'what nobody knows is told') for $unknown[0];
	$simulator->clear_rules;
	report('delivered', $unknown[0]);
	told_is($unknown[0], 'unknown, sent', 'and when an event ends the doubt');
	is(told($unknown[0], q{receipt ->> 'reason'}) =~ /settled as sent by event/ ? 1 : 0,
		1, 'with what ended it');
	report('dropped', $unknown[1]);
	$node->sql(
		qq{SELECT roleferry.settle($unknown[2], 'sent', 'asked them'), roleferry.settle($unknown[3], 'not_sent', 'they know nothing')}
	);
	report('delivered', $unknown[0]);
	told_is($unknown[2], 'unknown, sent asked them',
		'or a person does',
		q{receipt ->> 'status', CASE WHEN receipt ->> 'status' = 'sent' THEN receipt ->> 'reason' END}
	);
	is(told($unknown[1]),
		'unknown, failed', 'an event may say that it was not sent');
	is( told(
			$unknown[3],
			q{receipt ->> 'status', CASE WHEN receipt ->> 'status' = 'failed' THEN receipt ->> 'reason' END}
		),
		'unknown, failed they know nothing',
		'and so may a person');
	$node->disown(@unknown);
	is(told($unknown[4]), 'unknown', 'each once');
	is(told($unknown[0]), 'unknown, sent', 'and no more when nothing changes');
}

# Never sent.
{
	$node->sql(q{SELECT roleferry.pause_queue('sequences', 'test')});
	my ($cancelled, $expired) = (
		$node->enqueue(1, on_done => 'app.done'),
		$node->enqueue(
			1,
			on_done => 'app.done',
			expires_at => $node->sql('SELECT now() + interval \'1 s\'')));
	my $plain = $node->sql(
		q{SET ROLE app; INSERT INTO roleferry.outbox (task, args, on_done)
	VALUES ('send_email', '{"from_addr": "sender@mg.example.com", "to_addr": "late@example.net", "subject": "x", "body_text": "y"}', 'app.done') RETURNING id}
	);

	$node->sql(
		qq{SET ROLE app; SELECT roleferry.cancel($cancelled)});
	$node->sql(
		q{SELECT roleferry.suppress('late@example.net'), roleferry.suppress('gone@example.net')}
	);
	my $suppressed = $node->sql(
		q{SET ROLE app; SELECT roleferry.enqueue_email('sender@mg.example.com', 'gone@example.net', 'x', 'y', on_done => 'app.done')}
	);
	my $rejected = $node->sql(
		q{SET ROLE app; SELECT roleferry.enqueue_email('sender@mg.example.com', 'nobody', 'x', 'y', on_done => 'app.done', on_invalid => 'reject')}
	);
	$node->wait_job_state($expired, 'expired');
	$node->sql(q{SELECT roleferry.resume_queue('sequences')});
	told_is($cancelled, 'cancelled cancelled by app', 'a cancelled mail is told',
		q{receipt ->> 'status', receipt ->> 'reason'});
	is(told($expired), 'expired', 'and one that expired');
	is(told($suppressed), 'suppressed',
		'one whose recipient is suppressed when it is enqueued');
	is(told($plain), 'suppressed', 'or when its turn comes');
	is(told($rejected), 'failed', 'and one that was not accepted');
}

# It rolls back with what it tells.
{
	my $before = $node->sql('SELECT count(*) FROM app.told');

	$node->enqueue(1, on_done => 'app.done', rollback => 1);
	$node->sql(
		q{BEGIN; SET LOCAL ROLE app; SELECT roleferry.enqueue_email('sender@mg.example.com', 'gone@example.net', 'x', 'y', on_done => 'app.done'); ROLLBACK}
	);
	$node->wait_drained(30);
	is($node->sql('SELECT count(*) FROM app.told'),
		$before, 'what rolls back is not told');
}

# A mail that the provider keeps back until release('gate').
sub held_mail
{
	$simulator->rule(
		{ name => 'gate', provider => 'sendgrid', action => { hold => 'gate' } });
	my ($job) = $node->enqueue(1, on_done => 'app.done');

	$node->wait_until('it is not under way',
		30, sub { $simulator->held('gate') == 1 });
	$simulator->clear_rules;
	return $job;
}

# A task that cannot be run any more keeps no mail from being settled; nor does
# one that cannot even be read.
foreach my $way (
	[
		'REVOKE EXECUTE ON FUNCTION app.done(jsonb) FROM PUBLIC, app',
		qr/^app\.done app .*may not execute/,
		'GRANT EXECUTE ON FUNCTION app.done(jsonb) TO app'
	],
	[
		q{UPDATE roleferry.task SET function = 'app.done(' WHERE name = 'app.done'},
		qr/^app\.done app ./,
		q{UPDATE roleferry.task SET function = 'app.done(jsonb)' WHERE name = 'app.done'}
	])
{
	my ($spoil, $reason, $mend) = @$way;
	my $job = held_mail();

	$node->sql($spoil);
	$simulator->release('gate');
	$node->wait_job_state($job, 'sent');
	like(
		$node->sql(
			qq{SELECT task || ' ' || role || ' ' || reason FROM roleferry.dead_letter WHERE args -> 'job_id' = '$job'}
		),
		$reason,
		'a task that cannot be run is a dead letter');
	$node->sql("$mend; SELECT roleferry.redrive(task => 'app.done')");
	told_is($job, 'sent', 'which can be tried again');
}

# Whose job is somebody else's by now has nothing to tell.
{
	my $job = held_mail();
	my $settled = sub
	{
		return () = $simulator->journal(phase => 'answered', rf_job => "$installation.$job");
	};

	# As if a batch had it, which nobody looks after here.
	$node->sql("UPDATE roleferry.outbox SET worker = -1 WHERE id = $job");
	$simulator->release('gate');
	$node->wait_until('it is not answered', 30, $settled);
	$node->wait_turn;
	is(told($job), '', 'a settlement that comes too late tells nothing');
	$node->sql("UPDATE roleferry.outbox SET worker = 1 WHERE id = $job");
	my $pid = $node->dispatcher_pid;
	$node->sql("SELECT pg_terminate_backend($pid)");
	$node->wait_dispatcher(30, $pid);
	told_is($job, 'unknown', 'who finds the job does');
}

# What is put away because it may have crashed the dispatcher.
{
	my $running = 'SELECT count(*) FROM roleferry.outbox WHERE worker IS NOT NULL AND crashes =';

	$simulator->rule(
		{ name => 'gate', provider => 'sendgrid', action => { hold => 'gate' } });
	my ($job) = $node->enqueue(1,
		on_done => 'app.done',
		delivery => 'at_least_once');

	foreach my $crashes (0, 1)
	{
		$node->wait_until('it is not under way', 60,
			sub { (eval { $node->sql("$running $crashes") } || 0) == 1 && $simulator->held('gate') >= 1 });
		$node->kill_process($node->dispatcher_pid);
		$node->crash_wait;
	}
	$simulator->clear_rules;
	$simulator->release('gate');
	$node->wait_job_state($job, 'quarantined');
	told_is($job, 'quarantined', 'a quarantined mail is told of');
	$node->disown($job);
}

# A full queue refuses nothing that has happened.
{
	my @jobs;

	$node->sql(
		q{INSERT INTO roleferry.queue (name, max_depth) VALUES ('shallow', 1);
INSERT INTO roleferry.route (rank, pattern, queue) VALUES (1, 'app.done', 'shallow');
SELECT roleferry.pause_queue('shallow')});
	@jobs = map { $node->enqueue(1, on_done => 'app.done') } 1 .. 3;
	$node->wait_job_state($_, 'sent') foreach @jobs;
	push @jobs, $node->enqueue(1, on_done => 'app.done', run_at => '2100-01-01');
	is($node->sql("SET ROLE app; SELECT roleferry.cancel($jobs[3])"), 't', 'a job can be cancelled');
	$node->sql(q{SELECT roleferry.resume_queue('shallow')});
	told_is($_, 'sent', 'what is sent is told of, though the queue is full') foreach @jobs[ 0 .. 2 ];
	told_is($jobs[3], 'cancelled', 'so is what is cancelled');
	$node->sql(
		q{DELETE FROM roleferry.route WHERE queue = 'shallow'; DELETE FROM roleferry.queue WHERE name = 'shallow'}
	);
}

# A restored dump has told everything.
{
	my $file = $node->basedir . '/dump';
	my $number = $node->sql('SELECT count(*) FROM roleferry.dead_letter');

	command_ok(
		[ 'pg_dump', '-Fc', '-f', $file, $node->connstr('postgres') ],
		'the database is dumped');
	$node->sql('CREATE DATABASE copy TEMPLATE template0');
	command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $file ],
		'and restored');
	is( $node->safe_psql(
			'copy',
			'SELECT (SELECT count(*) FROM roleferry.dead_letter), (SELECT count(*) FROM roleferry.outbox)'
		),
		"$number|0",
		'its dead letters are restored, and tell nothing again');
	$node->sql('DROP DATABASE copy');
}

# Killed at each step.
sub crash_at
{
	my ($point, $skip) = @_;
	my @jobs;

	$node->sql('TRUNCATE app.told');
	$node->enqueue(1, on_done => 'app.done');
	$node->wait_drained(30);
	$node->sql(q{SELECT roleferry.pause_queue('sequences', 'test')});
	@jobs = $node->enqueue(40, on_done => 'app.done');
	$node->fault($point, 'kill', $skip);

	# The crash may be quicker than the session's end.
	$node->psql('postgres', q{SELECT roleferry.resume_queue('sequences')});
	$node->crash_wait;
	$node->wait_drained(60);
	is( $node->sql(
			q{SELECT string_agg(DISTINCT n || CASE WHEN same THEN ' same' ELSE ' other' END, ', ') FROM (
	SELECT (SELECT count(*) FROM app.told t WHERE (t.receipt ->> 'job_id')::bigint = j.id) AS n,
	       (SELECT bool_and(t.receipt ->> 'status' = j.state) FROM app.told t WHERE (t.receipt ->> 'job_id')::bigint = j.id) AS same
	  FROM roleferry.jobs j WHERE j.task = 'send_email' AND j.id >= } . $jobs[0] . q{) s}
		),
		'1 same',
		"killed at $point: each mail is told of once, as it ended");
	$node->assert_invariants("killed at $point: no mail is sent twice");
	return;
}

crash_at('before_record', 0);
crash_at('on_done_told', 0);
crash_at('in_record', 0);
crash_at('after_record', 0);
crash_at('after_claim_commit', 0);

$node->stop;
done_testing();

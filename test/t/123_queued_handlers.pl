
# Copyright (c) 2026, roleferry authors

# Queued handlers: the event's row and the handler's job commit together, the
# handler has its effect once, and where that fails it is seen with the event.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use RoleferryNode;
use RoleferrySigner;
use Test::More;

my $node = RoleferryNode->start_pair(
	'main',
	email_accounts => 'sendgrid',
	conf => "max_worker_processes = 16\nlog_statement = none");
my $signer = RoleferrySigner->new($node->basedir . '/signer');

$node->write_secret('hook', 'whsec_test');
$node->sql(
	q{
CREATE SCHEMA app AUTHORIZATION app;
CREATE ROLE front LOGIN;
SELECT roleferry.grant_access('front', 'webhook');
INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES ('stripe', 'stripe', '{hook}'), ('late', 'stripe', '{hook}');
INSERT INTO roleferry.webhook_source (name, scheme, secrets, shadow) VALUES ('shadow', 'stripe', '{hook}', true);
SET ROLE app;
CREATE TABLE app.effect (handler text, source text, event text, who text, amount numeric);
CREATE TABLE app.broken (handler text);
CREATE FUNCTION app.note(handler text, source text, event jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.effect VALUES (handler, source, event ->> 'id', current_user || '/' || session_user, (event #>> '{data,object,amount}')::numeric);
	IF EXISTS (SELECT FROM app.broken b WHERE b.handler = note.handler) THEN
		RAISE EXCEPTION 'it is broken' USING ERRCODE = '23514';
	END IF;
END $$;
CREATE FUNCTION app.one(text, jsonb) RETURNS void LANGUAGE sql AS $$ SELECT app.note('one', $1, $2) $$;
CREATE FUNCTION app.two(text, jsonb) RETURNS SETOF integer LANGUAGE sql AS $$ SELECT app.note('two', $1, $2); SELECT 1 WHERE false $$;
CREATE FUNCTION app.here(text, jsonb) RETURNS void LANGUAGE sql AS $$ SELECT app.note('here', $1, $2) $$;
RESET ROLE;
INSERT INTO roleferry.webhook_handler (source, function, mode, role, max_attempts, retry_base) VALUES
	('stripe', 'app.one', 'queued', 'app', 3, '0'), ('stripe', 'app.two', 'queued', 'app', 3, '0'),
	('stripe', 'app.here', 'inline', 'app', 3, '0'), ('shadow', 'app.one', 'queued', 'app', 3, '0'),
	('late', 'app.one', 'queued', 'app', 3, '1 h');
});
$node->wait_dispatcher(30);

sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }

sub event
{
	my ($id) = @_;

	return
	  qq({"id": "$id", "object": "event", "type": "a.b", "data": {"object": {"amount": 12.50}}});
}

sub call
{
	my ($id, $source) = @_;
	my $body = event($id);

	return sprintf q{roleferry.webhook_receive('%s', %s, '\x%s')},
	  $source || 'stripe', literal($signer->stripe($body, 'whsec_test')),
	  unpack('H*', $body);
}

sub receive
{
	my ($id, $source) = @_;

	return $node->safe_psql(
		'postgres',
		"SELECT concat_ws(' ', status, reason) FROM " . call($id, $source),
		extra_params => [ '-U', 'front' ]);
}

# Which handlers have had their effect, and how often.
sub effects
{
	my ($id) = @_;

	return $node->sql(
		qq{SELECT string_agg(handler || ' ' || n, ', ' ORDER BY handler) FROM
	(SELECT handler, count(*) AS n FROM app.effect WHERE event = '$id' GROUP BY 1) e});
}

sub status
{
	my ($id) = @_;

	return $node->sql(
		qq{SELECT status FROM roleferry.webhook_events WHERE event_id = '$id'}
	);
}

sub wait_status
{
	my ($id, $status) = @_;

	return $node->wait_until("$id is not $status",
		60, sub { (eval { status($id) } || '') eq $status });
}

# It goes on without the front.
is(receive('evt_1'), 'accepted queued',
	'an event with queued handlers is accepted');
wait_status('evt_1', 'applied');
is(effects('evt_1'), 'here 1, one 1, two 1', 'each handler has run once');
is( $node->sql(
		q{SELECT string_agg(DISTINCT source || ' ' || amount || ' ' || CASE handler WHEN 'here' THEN 'here' ELSE who END, ', ')
	FROM app.effect WHERE event = 'evt_1'}),
	'stripe 12.50 app/app, stripe 12.50 here',
	'with the event, queued ones in a session of their role');
is(receive('evt_1'), 'duplicate applied', 'again, it is a duplicate');
is( $node->sql(
		q{SELECT pending IS NULL AND jobs IS NULL AND attempts = 2 AND applied FROM roleferry.webhook_event WHERE event_id = 'evt_1'}
	),
	't',
	'and its row is at rest');
is( $node->sql(
		q{SELECT count(*) FROM roleferry.jobs WHERE task = 'webhook_handler' AND role = 'app' AND state = 'done'}
	),
	2,
	'its jobs are done');

# Together or not at all.
is( $node->sql(
		"BEGIN; SELECT status FROM " . call('evt_back') . '; ROLLBACK'),
	'accepted',
	'a front rolls back');
$node->wait_drained(30);
is(effects('evt_back') . status('evt_back'),
	'', 'and neither the event nor a job of it is left');

# What fails is retried and ends as a dead letter that names the event.
$node->sql(q{INSERT INTO app.broken VALUES ('one')});
is(receive('evt_2'), 'accepted queued', 'an event comes');
wait_status('evt_2', 'dead');
is(effects('evt_2'), 'here 1, two 1',
	'a handler that fails has no effect, the others have theirs');
is( $node->sql(
		q{SELECT concat_ws(' ', d.role, d.attempts, d.failures, d.reason, d.args ->> 'source', d.args ->> 'event_id', d.args ->> 'type', d.args ->> 'function')
	FROM roleferry.dead_letters d JOIN roleferry.webhook_events e ON d.job_id = ANY (e.jobs) WHERE e.event_id = 'evt_2'}
	),
	'app 3 3 23514: it is broken stripe evt_2 a.b app.one',
	'its dead letter names the event');
is( $node->sql(
		q{SELECT error || ' ' || attempts FROM roleferry.webhook_events WHERE event_id = 'evt_2'}
	),
	'23514: it is broken 4',
	'and the event says why');
is( $node->sql(
		q{SELECT concat_ws(' ', status, reason) FROM roleferry.webhook_replay(dry_run => true) WHERE event_id = 'evt_2'}
	),
	'failed dead',
	'a dry run would take it up');
is( $node->sql(
		q{SELECT concat_ws(' ', status, reason) FROM roleferry.webhook_replay() WHERE event_id = 'evt_2'}
	),
	'accepted dead',
	'a replay takes it up');
wait_status('evt_2', 'dead');
is( $node->sql(
		q{SELECT attempts || ' ' || failures FROM roleferry.dead_letter d WHERE args ->> 'event_id' = 'evt_2'}
	),
	'6 3',
	'and it fails again, as often as a new one');
$node->sql('TRUNCATE app.broken');
is( $node->sql(
		q{SELECT count(*) FROM roleferry.redrive(task => 'webhook_handler')}),
	1, 'mended, redrive takes it up');
wait_status('evt_2', 'applied');
is(effects('evt_2'), 'here 1, one 1, two 1', 'then it has its effect');
is( $node->sql(
		q{SELECT error IS NULL FROM roleferry.webhook_events WHERE event_id = 'evt_2'}
	),
	't',
	'and nothing is wrong with it');

# A replay, in its turn; and after that the dead letter has nothing to do.
$node->sql(q{INSERT INTO app.broken VALUES ('two'), ('here')});
like(receive('evt_3'), qr/^failed app\.here: 23514/, 'an inline one fails');
wait_status('evt_3', 'dead');
$node->wait_drained(30);
is(effects('evt_3'), 'one 1', 'what has failed has no effect');
is( $node->sql(
		q{SELECT string_agg((args ->> 'function') || ' ' || attempts, ', ' ORDER BY args ->> 'function') FROM roleferry.dead_letter}
	),
	'app.here 2, app.two 3',
	'both have been tried three times');
$node->sql('TRUNCATE app.broken');
is( $node->sql(
		q{BEGIN; SELECT status FROM roleferry.webhook_replay(type => 'a.b'); SELECT count(*) FROM app.effect WHERE event = 'evt_3'; ROLLBACK}
	),
	"accepted\n2",
	'a replay runs inline ones in its transaction');
is(status('evt_3'), 'dead', 'which may be rolled back');
$node->sql(q{SELECT roleferry.webhook_replay(type => 'a.b')});
wait_status('evt_3', 'applied');
is(effects('evt_3'), 'here 1, one 1, two 1', 'then each has had its effect');
is($node->sql('SELECT count(*) FROM roleferry.dead_letter'),
	0, 'and no dead letter is left');

# However many jobs there are of it, the handler has one effect.
$node->sql(q{SELECT roleferry.pause_queue('default', 'test')});
is(receive('evt_4'), 'accepted queued', 'an event waits');
$node->sql(
	q{INSERT INTO roleferry.outbox (task, args, role) SELECT task, args, role FROM roleferry.outbox}
);
like(
	(
		$node->psql(
			'postgres',
			q{INSERT INTO roleferry.outbox (task, args) VALUES ('webhook_handler', '{"event": 1, "handler": 1}')},
			extra_params => [ '-U', 'app' ]))[2],
	qr/no such handler to be run/,
	'nobody makes a job of what is done');
$node->sql(q{SELECT roleferry.resume_queue('default')});
$node->wait_drained(60);
wait_status('evt_4', 'applied');
is(effects('evt_4'), 'here 1, one 1, two 1', 'two jobs, one effect');
is($node->sql('SELECT count(*) FROM roleferry.dead_letter'),
	0, 'and none of them has failed');

# A thousand replays at once are one event, and one job of each handler.
{
	my $file = $node->basedir . '/replays';

	append_to_file($file, 'SELECT count(*) FROM ' . call('evt_many') . ";\n");
	command_like(
		[
			'pgbench', '-n', '-h', $node->host,
			'-p', $node->port, '-U', 'front', '-c', 20, '-j', 2,
			'-t', 50, '-f', $file, 'postgres'
		],
		qr{processed: 1000/1000},
		'a thousand replays are answered');
	$node->wait_drained(60);
	is(effects('evt_many'), 'here 1, one 1, two 1', 'each handler has run once');
	is( $node->sql(
			q{SELECT count(*) FROM roleferry.result_0 r, roleferry.webhook_event e WHERE e.event_id = 'evt_many'
	AND r.task = 'webhook_handler' AND r.created_at >= e.received_at}
		),
		2,
		'by one job each');
}

# What jsonb does not hold is tried, and put away with its reason.
{
	my $body =
	  '{"id": "evt_nul", "object": "event", "type": "a.b", "x": "\u0000"}';

	like(
		$node->sql(
			sprintf
			  q{SELECT concat_ws(' ', status, reason) FROM roleferry.webhook_receive('stripe', %s, '\x%s')},
			literal($signer->stripe($body, 'whsec_test')),
			unpack('H*', $body)),
		qr/^failed app\.here: 22P05/,
		'an event with a NUL is recorded');
	wait_status('evt_nul', 'dead');
	$node->wait_drained(30);
	is( $node->sql(
			q{SELECT string_agg(d.attempts || ' ' || left(d.reason, 5), ', ' ORDER BY d.attempts) FROM roleferry.dead_letter d
	WHERE d.args ->> 'event_id' = 'evt_nul'}
		),
		'2 22P05, 3 22P05, 3 22P05',
		'and dead when each handler has failed at it as often as it may');
	$node->sql('DELETE FROM roleferry.dead_letter');
}

# In shadow, until it is replayed.
is(receive('evt_5', 'shadow'), 'accepted shadow', 'in shadow nothing is queued');
is( $node->sql(q{SELECT reason FROM roleferry.webhook_replay('shadow')}),
	'shadow', 'until it is replayed');
wait_status('evt_5', 'applied');
is(effects('evt_5'), 'one 1', 'then it has its effect');

# What cannot run is not waited for.
$node->sql('ALTER ROLE app SUPERUSER');
like(receive('evt_6'), qr/^failed .*is a superuser/, 'as a superuser none is run');
is(status('evt_6'), 'dead', 'and none waits for that to end');
is(effects('evt_6'), '', 'nor has it an effect');
$node->sql('ALTER ROLE app NOSUPERUSER');
$node->sql(q{SELECT roleferry.webhook_replay()});
wait_status('evt_6', 'applied');
is(effects('evt_6'), 'here 1, one 1, two 1', 'until it is no more');
$node->sql(q{SELECT roleferry.pause_queue('default', 'test')});
is(receive('evt_7', 'late'), 'accepted queued', 'an event waits');
$node->sql(q{ALTER ROLE app SUPERUSER; SELECT roleferry.resume_queue('default')});
wait_status('evt_7', 'failed');
is(effects('evt_7'), '',
	'a role that became a superuser in the meantime runs nothing');
$node->sql('ALTER ROLE app NOSUPERUSER');
is( $node->sql(
		q{SELECT next_at > now() FROM roleferry.webhook_events WHERE event_id = 'evt_7'}
	),
	't',
	'it will be tried again');
$node->sql(q{SELECT roleferry.webhook_replay('late')});
wait_status('evt_7', 'applied');
is(effects('evt_7'), 'one 1', 'or at once, by a replay');
$node->sql(q{SELECT roleferry.pause_queue('default', 'test')});
receive('evt_8', 'late');
$node->sql(
	q{DELETE FROM roleferry.webhook_handler WHERE source = 'late'; SELECT roleferry.resume_queue('default')}
);
wait_status('evt_8', 'dead');
is( $node->sql(
		q{SELECT error FROM roleferry.webhook_events WHERE event_id = 'evt_8'}
	),
	'its handler is gone',
	'without its handler it is dead');

# Killed at each step of the way.
sub crash_at
{
	my ($point, $skip) = @_;
	my @ids = map { "evt_${point}_$_" } 1 .. 20;
	my $script = join ";\n", map { 'SELECT count(*) FROM ' . call($_) } @ids;

	# An executor is there.
	receive("evt_${point}_0");
	$node->wait_drained(60);
	$node->fault($point, 'kill', $skip);
	$node->psql('postgres', $script);
	$node->crash_wait;

	# As a provider would: what was not answered comes again.
	$node->sql($script);
	$node->wait_drained(60);
	is( $node->sql(
			qq{SELECT string_agg(DISTINCT n || ' ' || status, ', ') FROM (
	SELECT (SELECT count(*) FROM app.effect f WHERE f.event = e.event_id AND f.handler = h.handler) AS n, e.status
	  FROM roleferry.webhook_events e, unnest('{one,two,here}'::text[]) h (handler)
	 WHERE e.event_id LIKE 'evt\\_$point\\_%') s}),
		'1 applied',
		"killed at $point: each handler exactly once");
	is( $node->sql(
			qq{SELECT count(*) FROM roleferry.webhook_events WHERE event_id LIKE 'evt\\_$point\\_%'}
		),
		21,
		'and no event is lost');
	return;
}

# A full queue refuses no event.
{
	my @events = map { "evt_full_$_" } 1 .. 2;

	$node->sql(
		q{INSERT INTO roleferry.queue (name, max_depth) VALUES ('shallow', 1);
INSERT INTO roleferry.route (rank, pattern, queue) VALUES (1, 'webhook_handler', 'shallow');
SELECT roleferry.pause_queue('shallow')});
	is(receive($_), 'accepted queued', 'an event is taken, though the queue of its handlers is full') foreach @events;
	$node->sql(q{SELECT roleferry.resume_queue('shallow')});
	$node->wait_drained(60);
	is(effects($_), 'here 1, one 1, two 1', 'and has its effects') foreach @events;
	$node->sql(
		q{DELETE FROM roleferry.route WHERE queue = 'shallow'; DELETE FROM roleferry.queue WHERE name = 'shallow'}
	);
}

crash_at('webhook_recorded', 3);
crash_at('webhook_received', 3);
crash_at('after_claim_commit', 1);
crash_at('task_before_run', 3);
crash_at('task_in_run', 5);
crash_at('task_after_run', 5);
crash_at('task_before_commit', 5);
crash_at('task_after_commit', 5);

$node->stop;
done_testing();

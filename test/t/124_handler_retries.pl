
# Copyright (c) 2026, roleferry authors

# What a webhook's events failed at is tried again by the dispatcher, and by
# nobody else; while there is nothing to try, that costs nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

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
INSERT INTO roleferry.webhook_source (name, scheme, secrets) SELECT s, 'stripe', '{hook}' FROM unnest('{soon,once,later,plain,cancel}'::text[]) s;
SET ROLE app;
CREATE TABLE app.effect (source text, event text);
CREATE TABLE app.broken (source text);
CREATE FUNCTION app.note(source text, event jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.effect VALUES (source, event ->> 'id');
	IF EXISTS (SELECT FROM app.broken b WHERE b.source = note.source) THEN
		RAISE EXCEPTION 'it is broken';
	END IF;
END $$;
INSERT INTO app.broken VALUES ('soon'), ('once'), ('later'), ('cancel');
RESET ROLE;
INSERT INTO roleferry.webhook_handler (source, function, role, max_attempts, retry_base, retry_cap) VALUES
	('soon', 'app.note', 'app', 1000, '300 ms', '300 ms'), ('once', 'app.note', 'app', 1, '1 s', '1 s'),
	('later', 'app.note', 'app', 10, '1 day', '30 days'), ('cancel', 'app.note', 'app', 10, '1 day', '30 days'),
	('plain', 'app.note', 'app', 10, '1 day', '30 days');
});
$node->wait_dispatcher(30);

sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }

sub receive
{
	my ($source) = @_;
	my $body =
	  qq({"id": "evt_$source", "object": "event", "type": "a.b", "data": {"object": {}}});

	return $node->sql(
		sprintf
		  q{SELECT concat_ws(' ', status, reason) FROM roleferry.webhook_receive('%s', %s, '\x%s')},
		$source,
		literal($signer->stripe($body, 'whsec_test')),
		unpack('H*', $body));
}

sub event
{
	my ($source, $columns) = @_;

	return $node->sql(
		qq{SELECT concat_ws(' ', $columns) FROM roleferry.webhook_events WHERE source = '$source'}
	);
}

sub effects
{
	return $node->sql(
		"SELECT count(*) FROM app.effect WHERE source = '$_[0]'");
}

sub wait_event
{
	my ($source, $columns, $pattern) = @_;

	return $node->wait_until("$source is not $pattern",
		90, sub { event($source, $columns) =~ $pattern });
}

# Again and again, until it is mended.
is( receive('soon'),
	'failed app.note: P0001: it is broken',
	'an inline handler fails');
wait_event('soon', 'attempts', qr/^([3-9]|\d\d)/);
is(event('soon', 'status, error'),
	'failed app.note: P0001: it is broken',
	'the dispatcher has it tried again');
is(effects('soon'), 0, 'and each time its effects are undone');
$node->sql(q{DELETE FROM app.broken WHERE source = 'soon'});
wait_event('soon', 'status', qr/applied/);
is(effects('soon'), 1, 'mended, it has its effect once');
is(event('soon', 'error, next_at, jobs'), '', 'and is at rest');

# As often as its row says.
is( receive('once'),
	'failed app.note: P0001: it is broken',
	'one that may run once fails');
is(event('once', 'status, attempts, error'),
	'dead 1 P0001: it is broken', 'and is dead');
is( $node->sql(
		q{SELECT concat_ws(' ', state, reason, args ->> 'event_id') FROM roleferry.dead_letters WHERE args ->> 'source' = 'once'}
	),
	'failed P0001: it is broken evt_once',
	'as its dead letter says');
$node->sql(
	q{DELETE FROM app.broken WHERE source = 'once'; SELECT roleferry.redrive(task => 'webhook_handler')}
);
wait_event('once', 'status', qr/applied/);
is(effects('once'), 1, 'redriven, it has its effect');

# However a job ends, its event tells.
receive('cancel');
$node->sql(
	q{SELECT roleferry.cancel(id) FROM roleferry.outbox WHERE args ->> 'source' = 'cancel'}
);
is( event('cancel', 'status, error'),
	'dead cancelled by postgres',
	'one whose job is cancelled is dead');

# What events do by themselves is no handler's affair.
{
	$node->fault('event_settled', 'error', 0, 2);
	like(receive('plain'), qr/^failed .*event_settled/,
		'what an event does by itself fails');
	is(effects('plain'), 1, 'its handler has its effect all the same');
	is( event('plain', q{status, next_at > now(), jobs}),
		'failed t', 'and there is a time to try again');
	$node->sql(
		q{UPDATE roleferry.webhook_event SET next_at = now() WHERE source = 'plain'}
	);

	# It looks each minute, and first thing.
	my $pid = $node->dispatcher_pid;
	$node->sql("SELECT pg_terminate_backend($pid)");
	$node->wait_dispatcher(60, $pid);
	wait_event('plain', 'status', qr/applied/);
	is(effects('plain'), 1, 'the handler is not run again');
}

# One that waits costs nothing.
{
	my $now = q{SELECT pg_snapshot_xmax(pg_current_snapshot()) || ' ' || pg_current_wal_insert_lsn()};

	receive('later');
	is(event('later', 'status, next_at > now()'),
		'failed t', 'an event waits to be tried again');
	$node->wait_until(
		'an idle dispatcher writes',
		60,
		sub {
			my $before = $node->sql($now);

			$node->wait_turn for 1 .. 3;
			return $node->sql($now) eq $before;
		});
	pass('turns pass without a transaction id or WAL');
}

$node->stop;
done_testing();

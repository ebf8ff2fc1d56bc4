
# Copyright (c) 2026, roleferry authors

# Whoever wants one of our tables for himself gets it within two seconds,
# however busy the dispatcher is, and mails go on when he is done.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

my $limit = 2;
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.max_in_flight = 100
max_connections = 30
});
my $longest = 0;

# Mails without end, until somebody says stop.
$node->sql(
	q{
CREATE TABLE stop (); GRANT SELECT ON stop TO app;
CREATE TABLE fed (n bigint); GRANT INSERT ON fed TO app;
CREATE PROCEDURE feed() LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		INSERT INTO fed SELECT roleferry.enqueue_email('sender@mg.example.com', 'user' || n || '@example.net', 'fed', 'x') FROM generate_series(1, 50) AS n;
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
END
$$});

sub busy
{
	return $node->sql(
		q{SELECT count(*) FROM roleferry.outbox WHERE worker IS NOT NULL});
}

# Autocommit, as a person would.
sub timed
{
	my ($name, @statements) = @_;
	my $started = time();
	my $took;

	$node->sql($_) foreach @statements;
	$took = time() - $started;
	$longest = $took if $took > $longest;
	cmp_ok($took, '<', $node->patient($limit), sprintf('%s (%.2f s)', $name, $took));
	return;
}

sub sent
{
	return $node->sql(q{SELECT count(*) FROM roleferry.message});
}

$node->wait_dispatcher(30);
$simulator->rule({ name => 'pace', action => { delay => 0.03 } });

my $feeder = $node->background_psql('postgres', on_error_stop => 0);
$feeder->query_until(qr/fed/, "SET ROLE app;\n\\echo fed\nCALL feed();\n");
$node->wait_until('the dispatcher is not busy', 20, sub { busy() > 20 });

# Cancelling is no way to stop it, and does no harm.
{
	my $pid = $node->dispatcher_pid;
	my $before;

	$node->sql(
		"SELECT count(pg_cancel_backend($pid)), count(pg_sleep(0.005)) FROM generate_series(1, 200)"
	);
	is($node->dispatcher_pid, $pid,
		'a dispatcher that is cancelled again and again stays');
	$before = sent();
	$node->wait_until('mails do not go on', 20, sub { sent() > $before });
	pass('and goes on');
}

foreach
  my $table (qw(outbox message dead_letter attempt_0 activation idempotency))
{
	timed(
		"LOCK TABLE $table",
		"BEGIN; LOCK TABLE roleferry.$table IN ACCESS EXCLUSIVE MODE; COMMIT"
	);
}
timed("VACUUM FULL $_", "VACUUM FULL roleferry.$_")
  foreach qw(outbox message);
timed('ALTER TABLE',
	'ALTER TABLE roleferry.outbox ALTER COLUMN order_key SET STATISTICS 10');
timed(
	'ALTER TABLE that rewrites',
	'ALTER TABLE roleferry.message ALTER COLUMN note TYPE varchar; ALTER TABLE roleferry.message ALTER COLUMN note TYPE text'
) if $ENV{RF_LONG};
timed('REINDEX', 'REINDEX TABLE roleferry.outbox');
timed(
	'CREATE INDEX',
	'CREATE INDEX extra ON roleferry.outbox (created_at)',
	'DROP INDEX roleferry.extra');
timed('ALTER SERVER',
	q{ALTER SERVER mailgun OPTIONS (ADD max_in_flight '50')});

# Two tables in the order that the dispatcher does not use.
{
	my $session = $node->background_psql('postgres');
	my ($started, $took);

	$session->query_safe(
		'BEGIN; LOCK TABLE roleferry.message IN ACCESS EXCLUSIVE MODE; SELECT 1'
	);
	usleep(300_000);    # it settles, and waits for that lock
	$started = time();
	$session->query_safe(
		'LOCK TABLE roleferry.outbox IN ACCESS EXCLUSIVE MODE; SELECT 1');
	$took = time() - $started;
	$longest = $took if $took > $longest;
	cmp_ok(
		$took, '<', $node->patient($limit),
		sprintf('two tables, the one that is settled first last (%.2f s)',
			$took));
	$session->query_safe('COMMIT; SELECT 1');
	$session->quit;
}

{
	my $before = sent();

	$node->wait_until('mails do not go on', 20, sub { sent() > $before });
	pass('mails go on afterwards');
}

# The dispatcher remembers where the extension's row stands: it moves, and then
# its page is gone.
{
	my $page =
	  q{SELECT (ctid::text::point)[0] FROM pg_extension WHERE extname = 'roleferry'};
	my $before;

	$node->sql(
		q{DO $$ BEGIN FOR i IN 1..500 LOOP UPDATE pg_extension SET extname = extname WHERE extname = 'roleferry'; END LOOP; END $$}
	);
	cmp_ok($node->sql($page), '>', 0, 'the extension\'s row has moved');
	$before = sent();
	$node->wait_until('mails do not go on', 20, sub { sent() > $before });
	$node->sql('VACUUM FULL pg_extension');
	is($node->sql($page), '0', 'and back, to a shorter table');
	$before = sent();
	$node->wait_until('mails do not go on', 20, sub { sent() > $before });
	pass('mails go on');
}

#
# Nothing was lost or sent twice by it
#

{
	my %accepted;

	$node->sql('INSERT INTO stop DEFAULT VALUES');
	$feeder->quit;
	$simulator->clear_rules;
	$node->wait_drained(60);
	%accepted = $simulator->accepted_counts;
	cmp_ok($node->sql('SELECT count(*) FROM fed'),
		'>', 100, 'there were mails enough');
	is( $node->sql(
			'SELECT count(*) FROM fed WHERE n NOT IN (SELECT job_id FROM roleferry.message)'
		),
		'0',
		'each of them is sent');
	is((grep { $_ > 1 } values %accepted), 0, 'none twice');
	is($node->sql(q{SELECT count(*) FROM roleferry.dead_letter}),
		'0', 'and none is unknown');
}

#
# DROP EXTENSION in the middle of it
#

{
	$simulator->rule({ name => 'pace', action => { delay => 0.5 } });
	$node->enqueue(2000);
	$node->wait_until('the dispatcher is not busy', 20, sub { busy() > 50 });
	timed('DROP EXTENSION', 'DROP EXTENSION roleferry CASCADE');
	$node->wait_activity(qr/^this database has no extension roleferry$/);
	unlike(slurp_file($node->logfile), qr/PANIC|by signal/,
		'nothing crashed');
}

note(sprintf 'the longest wait was %.2f s', $longest);
$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# No transaction id is left, because nobody has vacuumed: the server refuses
# every write.  Nothing is claimed, hence nothing sent; what was under way keeps
# its outcome; the log has a line a minute, and doctor() says what to do.  When
# that is done, everything goes on by itself.  Row 48 of the fault matrix.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(sleep);

# PostgreSQL stops that many before the oldest id would be in the future.
my $half = 2**31 - 1;
my $reserve = 3_000_000;
my $left = 500;
my $segment = 1_048_576;

my ($node, $simulator) =
  RoleferryNode->start_pair('main', conf => 'wal_level = logical');

$node->sql(
	sprintf q{
CREATE SERVER spare FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'spare', base_url '%s');
GRANT USAGE ON FOREIGN SERVER spare TO app;
ALTER DATABASE template0 ALLOW_CONNECTIONS true}, $simulator->url('sendgrid')
);
$node->wait_dispatcher(30);

# As if two thousand million transactions had passed, of which the commit log
# knows nothing.  A slot that nobody uses keeps the server from freezing rows by
# itself, as it does where autovacuum is off, too.
sub jump
{
	my $oldest =
	  $node->sql('SELECT min(datfrozenxid::text::bigint) FROM pg_database');
	my $next = $oldest + $half - $reserve - $left;
	my $slot =
	  q{SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')};
	my $file = sprintf '%s/pg_xact/%04X', $node->data_dir, $next / $segment;

	$node->sql($slot);
	$node->stop;
	command_ok(
		[ 'pg_resetwal', '--next-transaction-id', $next, $node->data_dir ],
		"a cluster whose next transaction is $next");
	open my $handle, '>:raw', $file or die "could not create \"$file\": $!";
	print $handle "\0" x ($segment / 4);
	close $handle or die "could not write \"$file\": $!";
	$node->start;
	$node->wait_dispatcher(30);
	return;
}

sub use_up
{
	my ($status, undef, $error) = $node->psql(
		'postgres', q{
DO $$ BEGIN FOR i IN 1 .. 2000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$},
		on_error_die => 0);

	like(
		$error,
		qr/not accepting commands.* wraparound/,
		'no transaction id is left');
	return;
}

sub bodies
{
	my ($subject) = @_;

	return
	  scalar(() = $simulator->journal(phase => 'body', subject => $subject));
}

sub findings
{
	return $node->sql(
		q{SELECT severity, finding, what_to_do FROM roleferry.doctor() WHERE finding LIKE '%transaction ids%'}
	);
}

sub complaints
{
	my ($offset) = @_;
	my $text = slurp_file($node->logfile, $offset);

	return
	  scalar(() =
		  $text =~
		  /WARNING:  roleferry dispatcher failed while .*wraparound/g);
}

sub holds_nothing
{
	return $node->sql(
		q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'roleferry %' AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)}
	) eq '0';
}

#
# Few are left: the server warns, and so does doctor()
#

is(findings(), '', 'a cluster with ids enough is nothing to tell');
jump();

my $offset = -s $node->logfile;
my @before = $node->enqueue(5);
$node->wait_until('the mails are not sent',
	20, sub { $node->distinct_states(@before) eq 'sent' });
pass('mails are sent as long as there are ids');
like(
	findings(),
	qr/^warning\|transaction ids .* database "\w+"/,
	'doctor() warns of what is coming');

# Claimed, and not answered yet.
$simulator->rule(
	{
		name => 'held',
		match => { subject => '^held$' },
		action => { hold => 'held' }
	});
my @held = $node->enqueue(5, subject => 'held');
$node->wait_until('the mails are not under way',
	20, sub { $simulator->held('held') == 5 });

# Not claimed yet: their account has no key.
my @waiting = $node->enqueue(5, subject => 'waiting', accounts => ['spare']);
$node->wait_until(
	'the account is not closed',
	20,
	sub {
		$node->sql(
			q{SELECT state FROM roleferry.accounts WHERE account = 'spare'})
		  eq 'unusable';
	});

#
# None is left
#

use_up();
my $pid = $node->dispatcher_pid;

$node->write_secret('spare', 'SG.test-key');
$node->wait_for_log(
	qr/WARNING:  roleferry dispatcher failed while claiming jobs: .*wraparound/,
	$offset);
pass('the log says why nothing is claimed');
$node->wait_until('a worker holds a transaction', 20, \&holds_nothing);
pass('whoever waits holds no transaction id and no snapshot');
like(
	findings(),
	qr/^error\|no transaction ids are left.* database "\w+".*\|.*VACUUM/,
	'doctor() says why, and what to do');

$simulator->release('held');
$simulator->clear_rules;
$node->wait_until('the answers do not come',
	20,
	sub { () = $simulator->journal(phase => 'answered', rule => 'held') });

# Half a dozen more tries.
sleep 8;
is($node->distinct_states(@held), 'running', 'outcomes that cannot be written are kept');
is(bodies('waiting'), 0, 'what is not claimed is not sent');
is($node->dispatcher_pid, $pid, 'the dispatcher stays');
cmp_ok(complaints($offset), '<=', 2, 'and says so at most once a minute');
like(
	[
		$node->psql(
			'postgres',
			q{SET ROLE app; SELECT roleferry.enqueue_email('a@mg.example.com', 'b@example.net', 's', 'x')}
		)
	]->[2],
	qr/not accepting commands.* wraparound/,
	'who enqueues is told');

#
# Somebody drops the slot, and vacuums
#

$node->sql(q{SELECT pg_drop_replication_slot('forgotten')});
foreach my $database (qw(postgres template1 template0))
{
	$node->safe_psql($database, 'VACUUM (FREEZE, TRUNCATE off)');
}
$node->wait_drained(30);
is($node->distinct_states(@held), 'sent', 'the outcomes are written');
is($node->distinct_states(@waiting), 'sent', 'and the other mails sent');
is($node->dispatcher_pid, $pid, 'by the same dispatcher');
is(findings(), '', 'doctor() has nothing more to tell');
unlike(
	slurp_file($node->logfile, $offset),
	qr/PANIC|FATAL|by signal/,
	'nothing crashed');
$node->assert_invariants('nothing is lost or sent twice');

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# The dispatcher remembers where the rows of those stand whose turn it is, and
# that nothing stands behind the last of a key.  Rows are rewritten, locked and
# watched by others, and what it remembers is no longer so: the order holds, and
# nobody waits.  Sweeps are so far apart that they help nobody.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'places', conf => q{
autovacuum = off
roleferry.max_in_flight = 2
roleferry.sweep_interval = 10min
roleferry.request_timeout = 5min
});

$node->wait_dispatcher(30);

# Numbers of the mails between the two that providers have read, in their order.
sub arrived
{
	my ($first, $last) = @_;
	my @numbers =
	  map { $_->{custom_args}{n} } $simulator->journal(phase => 'body');

	return join ' ', grep { $_ >= $first && $_ <= $last } @numbers;
}

sub wait_arrived
{
	my ($first, $last, $expected, $name) = @_;

	$node->wait_until("$expected do not come",
		30, sub { length arrived($first, $last) >= length $expected });
	is(arrived($first, $last), $expected, $name);
	return;
}

# Three mails of a key, of which the first is gone, so that the second has its turn
# where it is parked; its queue is paused.
sub make_ready
{
	my ($key, $first) = @_;

	$node->{rf_next} = $first;
	my @ids = $node->enqueue(3, order_key => $key);
	$node->sql("SELECT roleferry.cancel($ids[0])");
	return @ids;
}

sub pause
{
	$node->sql(q{SELECT roleferry.pause_queue('sequences', 'test')});
	$node->wait_until('the pause is not known',
		30, sub { $node->sql('SELECT roleferry.pauses_known()') eq 't' });
	return;
}

sub resume
{
	$node->sql(q{SELECT roleferry.resume_queue('sequences')});
	return;
}

# Two mails are under way and no other has room.
sub fill
{
	my ($first) = @_;

	$node->{rf_next} = $first;
	$node->hold_mail($_) foreach $first, $first + 1;
	$node->enqueue(2);
	$node->wait_mail_held($_) foreach $first, $first + 1;
	return;
}

# How often somebody has looked whose turn it is, as far as it is told.
sub looks
{
	$node->sql('SELECT roleferry.wake()');
	return $node->sql(
		q{SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'outbox_order_key_idx'}
	);
}

sub wait_looked
{
	my ($before) = @_;

	$node->wait_until('nobody looks', 30, sub { looks() > $before });
	return;
}

my $log = -s $node->logfile;

# Rows move: there are fewer pages than there were.
fill(1001);
$node->{rf_next} = 2001;
my @before = $node->enqueue(300);
my %ids;
foreach my $key (1 .. 8)
{
	$node->{rf_next} = 10 * $key;
	$ids{$key} = [ $node->enqueue(3, order_key => "a$key") ];
}
my $looks = looks();
$node->sql("SELECT roleferry.cancel($ids{$_}[0])") foreach 1 .. 8;
wait_looked($looks + 7);
$node->disown(@before);
$node->sql(
	"DELETE FROM roleferry.outbox WHERE id BETWEEN $before[0] AND $before[-1]"
);
$node->sql('VACUUM FULL roleferry.outbox');
$node->release_mail($_) foreach 1001, 1002;
wait_arrived(
	10 * $_,
	10 * $_ + 2,
	join(' ', 10 * $_ + 1, 10 * $_ + 2),
	"rows that were rewritten: key $_") foreach 1 .. 8;

# Rows are locked: who has one in hand holds up his key, and no other.
pause();
my @b = make_ready('b', 101);
make_ready('c', 111);
$node->wait_turn;
my $session = $node->background_psql('postgres', on_error_stop => 1);
$session->query_safe(
	"BEGIN; SELECT FROM roleferry.outbox WHERE id = $b[1] FOR UPDATE");
resume();
wait_arrived(111, 113, '112 113', 'a key beside one that is locked');
is(arrived(101, 103), '', 'which is left alone');
$session->query_safe('COMMIT');
wait_arrived(101, 103, '102 103', 'until the lock is gone');
$session->quit;

# The key of a job changes while it waits for its turn to be served.
pause();
my @d = make_ready('d', 121);
make_ready('e', 131);
$node->wait_turn;
$node->sql("UPDATE roleferry.outbox SET order_key = 'e' WHERE id = $d[1]");
$node->hold_mail(122);
resume();
$node->wait_mail_held(122);
wait_arrived(123, 123, '123', 'the rest of the key that it has left goes on');
is(arrived(131, 133), '', 'that of its new key waits');
$node->release_mail(122);
wait_arrived(131, 133, '132 133', 'for its end');

# The last of a key: who comes behind it is told.
$node->{rf_next} = 141;
$node->hold_mail(142);
$node->enqueue(2, order_key => 'f');
$node->wait_mail_held(142);
$node->enqueue(2, order_key => 'f');
$node->{rf_next} = 191;
$node->enqueue(1);
wait_arrived(191, 191, '191', 'a mail without a key goes by');
is(arrived(141, 149), '141 142', 'what comes behind the last waits for it');
$node->release_mail(142);
wait_arrived(141, 149, '141 142 143 144', 'and goes after it');

# An index that a claim has to write to.
$node->sql('CREATE INDEX others ON roleferry.outbox (worker)');
pause();
my @g = make_ready('g', 151);
$node->wait_turn;
$node->hold_mail(152);
resume();
$node->wait_mail_held(152);
is( $node->sql(
		"SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT id FROM roleferry.outbox WHERE worker > 0"
	),
	$g[1],
	'an index of somebody else\'s knows what is claimed');
$node->release_mail(152);
wait_arrived(151, 153, '152 153', 'and the key goes on');
$node->sql('DROP INDEX roleferry.others');

# A trigger that is to see each claim.
$node->sql(
	q{CREATE TABLE seen (id bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.seen VALUES (NEW.id);
	RETURN NEW;
END $$});
fill(1101);
$node->{rf_next} = 161;
my @h = $node->enqueue(3, order_key => 'h');
$looks = looks();
$node->sql("SELECT roleferry.cancel($h[0])");
wait_looked($looks);
$node->sql(
	'CREATE TRIGGER note BEFORE UPDATE ON roleferry.outbox FOR EACH ROW EXECUTE FUNCTION note()'
);
$node->release_mail($_) foreach 1101, 1102;
wait_arrived(161, 163, '162 163', 'the order holds with a trigger');
is($node->sql(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM seen}),
	"$h[1] $h[2]", 'which sees each claim');
$node->sql('DROP TRIGGER note ON roleferry.outbox');

# No index to look into.
pause();
make_ready('i', 171);
$node->sql('DROP INDEX roleferry.outbox_order_key_idx');
resume();
wait_arrived(171, 173, '172 173', 'the order holds without the index');

unlike(
	slurp_file($node->logfile, $log),
	qr/dispatcher failed/,
	'and nothing failed');
$node->assert_invariants('nothing was lost, or sent twice');
done_testing();

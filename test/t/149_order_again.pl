
# Copyright (c) 2026, roleferry authors

# Jobs of an order key that come back: dead letters by retry() and redrive(), and
# whatever waited, was parked, was under way or was to be tried again when the
# dispatcher died.  The order is the providers'.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'again', conf => q{
roleferry.sweep_interval = 60s
roleferry.shutdown_grace = 0
roleferry.request_timeout = 5min
restart_after_crash = on
});

# No retry comes before it is told to.
$node->sql(
	q{INSERT INTO roleferry.retry_policy (outcome, base, cap) VALUES ('transient', '1 year', '1 year'), ('ambiguous', '1 year', '1 year')}
);
$node->wait_dispatcher(30);

# Numbers of the mails that providers have read since the last call.
my $seen = 0;

sub arrived
{
	my @bodies = $simulator->journal(phase => 'body');
	my @new = map { $_->{custom_args}{n} } @bodies[ $seen .. $#bodies ];

	$seen = @bodies;
	return @new;
}

sub in_range
{
	my ($first, $last, @numbers) = @_;

	return join ' ', grep { $_ >= $first && $_ <= $last } @numbers;
}

sub refuse
{
	my ($pattern, $status) = @_;

	$simulator->clear_rules('refuse')
	  if grep { ($_->{name} || '') eq 'refuse' } $simulator->rules;
	$simulator->rule(
		{
			name => 'refuse',
			match => { to => $pattern },
			action => { status => $status }
		});
	return;
}

sub wait_left
{
	my ($count) = @_;

	$node->wait_until("there are not $count left",
		60,
		sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq $count });
	return;
}

sub wait_retried
{
	my ($id) = @_;

	$node->wait_until(
		"job $id is not to be tried again",
		60,
		sub {
			$node->sql(
				"SELECT count(*) FROM roleferry.outbox WHERE id = $id AND worker IS NULL AND attempts = 1"
			) eq '1';
		});
	return;
}

sub let_retry
{
	my ($id) = @_;

	$node->sql(
		"UPDATE roleferry.outbox SET run_at = now() WHERE id = $id; SELECT roleferry.wake()"
	);
	return;
}

# Three that were refused come back while the fourth is under way.
refuse('^user[123]@', 400);
$node->hold_mail(4);
my @ids = $node->enqueue(6, order_key => 'a');
$node->wait_mail_held(4);
is("@{[ arrived() ]}", '1 2 3 4', 'three are refused, the fourth is under way');
$simulator->clear_rules('refuse');
is( $node->sql('SELECT count(*) FROM roleferry.redrive() WHERE problem IS NULL'
	),
	'3',
	'redrive() takes the three');
$node->release_mail(4);
wait_left(0);
is("@{[ arrived() ]}", '1 2 3 5 6', 'and they go by their ids, before the rest');

# One that comes back goes before a retry that waits, and at once.
$node->{rf_next} = 11;
refuse('^user11@', 400);
@ids = $node->enqueue(1, order_key => 'b');
wait_left(0);
refuse('^user12@', 500);
push @ids,
  $node->enqueue(
	1,
	order_key => 'b',
	delivery => 'at_least_once',
	accounts => ['sendgrid']);
wait_retried($ids[1]);
push @ids, $node->enqueue(2, order_key => 'b');
$simulator->clear_rules('refuse');
$node->sql("SELECT roleferry.retry($ids[0])");
wait_left(3);
is("@{[ arrived() ]}", '11 12 11', 'retry() goes before a smaller claim');
let_retry($ids[1]);
wait_left(0);
is("@{[ arrived() ]}", '12 13 14', 'then the retry, then the rest');

# Taken out of a backlog that is paused, and put back.
$node->{rf_next} = 21;
$node->sql(q{SELECT roleferry.pause_queue('sequences', 'test')});
@ids = $node->enqueue(5, order_key => 'c');
$node->sql("SELECT roleferry.cancel($ids[2])");
$node->sql("SELECT roleferry.cancel($ids[0])");
$node->sql("SELECT roleferry.retry($ids[2])");
$node->sql("SELECT roleferry.retry($ids[0])");
$node->sql(q{SELECT roleferry.resume_queue('sequences')});
wait_left(0);
is("@{[ arrived() ]}", '21 22 23 24 25', 'cancelled and back before anything went');

# The dispatcher dies.  Of d the second, which was claimed where it was parked, is
# under way; of e it may be sent twice; of f it is to be tried again; of g the
# second has its turn, but its queue is paused.
$node->{rf_next} = 31;
my %first = (d => 31, e => 41, f => 51, g => 61);
my %ids;

$node->hold_mail($_) foreach 32, 42, 61;
refuse('^user52@', 500);
foreach my $key (qw(d e f g))
{
	$node->{rf_next} = $first{$key};
	$ids{$key} = [
		$node->enqueue(
			5,
			order_key => $key,
			$key eq 'g' ? (queue => 'analytics') : (),
			$key =~ /[ef]/
			? (delivery => 'at_least_once', accounts => ['sendgrid'])
			: ())
	];
}
$node->wait_mail_held($_) foreach 32, 42, 61;
wait_retried($ids{f}[1]);
$node->sql(q{SELECT roleferry.pause_queue('analytics', 'test')});
$node->wait_until('the pause is not known',
	30, sub { $node->sql('SELECT roleferry.pauses_known()') eq 't' });
$node->release_mail(61);
wait_left(4 + 4 + 4 + 4);
is( $node->sql(
		"SELECT string_agg(DISTINCT why || ': ' || detail, '; ') FROM roleferry.blocked WHERE job_id = $ids{g}[1]"
	),
	'pause: queue analytics: test',
	'blocked says what keeps a job whose turn it is');
is( $node->sql(
		'SELECT count(*) FROM roleferry.outbox WHERE worker IS NOT NULL AND lane < 0'
	),
	'2',
	'two are under way that were claimed where they were parked');
my @before = arrived();
is(in_range(31, 39, @before), '31 32', 'before it dies: d');
is(in_range(41, 49, @before), '41 42', 'e');
is(in_range(51, 59, @before), '51 52', 'f');
is(in_range(61, 69, @before), '61', 'g');
$node->kill_process($node->dispatcher_pid);
$node->crash_wait;
$node->wait_dispatcher(60);
$node->release_mail($_) foreach 32, 42;
$simulator->clear_rules;
wait_left(4 + 4);
my @after = arrived();
is(in_range(31, 39, @after),
	'33 34 35', 'd: what may have been sent is unknown, the rest goes on');
is(in_range(41, 49, @after),
	'42 43 44 45', 'e: what may be sent twice is, before the next');
is(in_range(51, 69, @after), '', 'f and g wait as before');
is( $node->sql(
		"SELECT why || ' ' || (SELECT string_agg(DISTINCT b.detail, '') FROM roleferry.blocked b WHERE b.job_id = $ids{f}[2]) FROM roleferry.blocked WHERE job_id = $ids{f}[1]"
	),
	"retry job $ids{f}[1] goes first and is tried again",
	'a retry holds its key over a crash');
let_retry($ids{f}[1]);
$node->sql(q{SELECT roleferry.resume_queue('analytics')});
wait_left(0);
@after = arrived();
is(in_range(51, 59, @after), '52 53 54 55', 'f goes on with its retry');
is(in_range(61, 69, @after), '62 63 64 65', 'g with the one whose turn it was');
is( $node->sql(
		q{SELECT string_agg(order_key || ' ' || state, ', ') FROM roleferry.dead_letter}
	),
	'd unknown',
	'one is unknown, nothing else is dead');
$node->assert_invariants('nothing was lost, or sent without a commit',
	at_least_once => 1);
done_testing();


# Copyright (c) 2026, roleferry authors

# Whose turn it is: no queue and no tenant starves, priorities go first; and how
# much a queue may hold.  Counted at the providers.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'fair', conf => q{
roleferry.max_in_flight = 8
roleferry.request_timeout = 5min
});

# Mails of one statement: subject WHAT, so many, in the order of their run_at
# before everybody else's.
sub enqueue
{
	my ($what, $count, $options) = @_;

	$node->sql(
		qq{SELECT count(roleferry.enqueue_email('team\@mg.example.com', '$what\@example.net', '$what', 'x', $options))
		FROM generate_series(1, $count)});
	return;
}

# How many mails had arrived when the last of these came.
sub position_of_last
{
	my ($what) = @_;
	my @arrived = map { $_->{subject} } $simulator->journal(phase => 'body');
	my @places = grep { $arrived[$_] eq $what } 0 .. $#arrived;

	return @places ? $places[-1] + 1 : undef;
}

sub wait_arrived
{
	my ($what, $count) = @_;

	$node->wait_until(
		"$what do not arrive",
		60,
		sub {
			(() = $simulator->journal(phase => 'body', subject => $what)) >=
			  $count;
		});
	return;
}

sub clear
{
	$node->sql('SELECT roleferry.pause_all()');
	$node->wait_until(
		'something is under way',
		30,
		sub {
			$node->sql(
				q{SELECT count(*) FROM roleferry.outbox WHERE worker IS NOT NULL}
			) eq '0';
		});
	$node->sql('DELETE FROM roleferry.outbox');
	return;
}

sub arrived
{
	my @all = $simulator->journal(phase => 'body');

	return scalar @all;
}

$node->sql(q{INSERT INTO roleferry.queue (name) VALUES ('large'), ('small')});
$node->sql(q{SELECT roleferry.pause_all()});
$node->wait_dispatcher(30);

# A queue with 50,000 beside one with ten.
enqueue('large', 50_000, q{queue => 'large'});
enqueue('small', 10, q{queue => 'small'});
$node->sql('SELECT roleferry.resume_all()');
wait_arrived('small', 10);
cmp_ok(position_of_last('small'),
	'<', 400,
	'ten jobs of a queue do not wait for fifty thousand of another');
clear();

# The same, though the other queue's jobs are of a higher priority; which go first.
my $before = arrived();
enqueue('urgent', 5000, q{queue => 'large', priority => 10});
enqueue('lowly', 10, q{queue => 'small', priority => 0});
$node->sql('SELECT roleferry.resume_all()');
wait_arrived('lowly', 10);
my $when = position_of_last('lowly') - $before;
cmp_ok($when, '<', 2500, "nor for those of a higher priority ($when)");
cmp_ok($when, '>', 30, 'which have the larger part of the turns');
clear();

# Priorities within a queue.
$before = arrived();
enqueue('ordinary', 300, q{queue => 'large', priority => 5});
enqueue('first', 100, q{queue => 'large', priority => 10});
$node->sql('SELECT roleferry.resume_all()');
wait_arrived('first', 100);
cmp_ok(position_of_last('first') - $before,
	'<=', 108, 'within a queue a priority of 10 goes first');
$node->wait_drained(60);
$node->sql('SELECT roleferry.pause_all()');

# A tenant with 20,000 beside one with five.
$before = arrived();
enqueue('crowd', 20_000, q{queue => 'large', tenant_key => 'a'});
enqueue('few', 5, q{queue => 'large', tenant_key => 'b'});
$node->sql('SELECT roleferry.resume_all()');
wait_arrived('few', 5);
cmp_ok(position_of_last('few') - $before,
	'<', 300,
	'five jobs of a tenant do not wait for twenty thousand of another');
clear();

# Draining.
$simulator->rule(
	{
		name => 'hold',
		match => { to => 'slow@' },
		action => { hold => 'hold' }
	});
enqueue('slow', 3, q{queue => 'small'});
$node->sql('SELECT roleferry.resume_all()');
$node->wait_until('they are not under way',
	20, sub { $simulator->held('hold') == 3 });
enqueue('later', 2, q{queue => 'small', run_at => now() + interval '1 hour'});
$node->sql(q{SELECT roleferry.pause_queue('small')});
is($node->sql(q{SELECT roleferry.drain_queue('small', '300 ms')}),
	'f', 'a queue with jobs under way is not drained');
$simulator->clear_rules;
$simulator->release('hold');
is($node->sql(q{SELECT roleferry.drain_queue('small', '20 s')}),
	't', 'it is when they have ended');
is($node->sql('SELECT count(*) FROM roleferry.outbox'),
	'2', 'what waits stays');
$node->sql(
	q{DELETE FROM roleferry.outbox; SELECT roleferry.resume_queue('small')});

# How much a queue holds.
$node->sql(
	q{UPDATE roleferry.queue SET max_depth = 20 WHERE name = 'small'; SELECT roleferry.pause_queue('small')}
);
enqueue('depth', 15, q{queue => 'small'});
my (undef, undef, $error) = $node->psql('postgres',
	q{SELECT roleferry.enqueue_email('team@mg.example.com', 'depth@example.net', 'depth', 'x', queue => 'small') FROM generate_series(1, 6)}
);
like(
	$error,
	qr/ERROR:  queue "small" is full/,
	'one transaction is refused as a whole');
enqueue('depth', 5, q{queue => 'small'});
(undef, undef, $error) = $node->psql('postgres',
		"\\set VERBOSITY verbose\n"
	  . q{SELECT roleferry.enqueue_email('team@mg.example.com', 'depth@example.net', 'depth', 'x', queue => 'small')}
);
like(
	$error,
	qr/ERROR:  54000: queue "small" is full\nDETAIL:  It holds 20 jobs, and its max_depth is 20\./,
	'what was rolled back does not count');
$node->sql(
	q{UPDATE roleferry.queue SET on_full = 'warning' WHERE name = 'small'});
(undef, undef, $error) = $node->psql('postgres',
	q{SELECT roleferry.enqueue_email('team@mg.example.com', 'depth@example.net', 'depth', 'x', queue => 'small') FROM generate_series(1, 3)}
);
is(scalar(() = $error =~ /WARNING:  queue "small" is full/g),
	1, 'a warning is one a transaction');
$node->sql(
	q{UPDATE roleferry.queue SET on_full = 'error', max_depth = 23 WHERE name = 'small'}
);
$node->sql(
	q{DELETE FROM roleferry.outbox WHERE id = (SELECT max(id) FROM roleferry.outbox)}
);
$node->wait_until(
	'what was deleted by hand still counts',
	20,
	sub {
		$node->psql('postgres',
			q{SELECT roleferry.enqueue_email('team@mg.example.com', 'depth@example.net', 'depth', 'x', queue => 'small')}
		) == 0;
	});
pass('what was deleted by hand does not count for longer than a second');
$node->kill_process($node->dispatcher_pid);
$node->crash_wait;
(undef, undef, $error) = $node->psql('postgres',
	q{SELECT roleferry.enqueue_email('team@mg.example.com', 'depth@example.net', 'depth', 'x', queue => 'small')}
);
like(
	$error,
	qr/ERROR:  queue "small" is full/,
	'after a crash it is counted anew');
$node->sql(q{SELECT roleferry.resume_queue('small')});
$node->wait_drained(30);
enqueue('depth', 20, q{queue => 'small'});
$node->wait_drained(30);
pass('what has been sent makes room');
done_testing();

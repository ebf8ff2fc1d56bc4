
# Copyright (c) 2026, roleferry authors

# Queues: pauses that last, end and can be taken back, and jobs of one queue
# that are under way at once.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('queues');

sub accepted
{
	return $simulator->stats('sendgrid')->{accepted} +
	  $simulator->stats('mailgun')->{accepted};
}

# A queue, over a restart and a crash, and nobody else's jobs.
$node->sql(q{SELECT roleferry.pause_queue('sequences', 'the copy is wrong')});
$node->enqueue(3);
$node->wait_turn;
is(accepted(), 0, 'a paused queue starts nothing');
$node->enqueue(2, queue => 'default');
$node->wait_until('the other queue does not go on',
	20, sub { accepted() == 2 });
pass('another queue goes on');
is( $node->sql(
		q{SELECT state, reason, until FROM roleferry.queues WHERE name = 'sequences'}
	),
	'paused|the copy is wrong|infinity',
	'the view queues says why');
is( $node->sql(
		q{SELECT count(*), min(why), min(detail) FROM roleferry.blocked}),
	'3|pause|queue sequences: the copy is wrong',
	'so does blocked, for each job that waits');
is( $node->sql(
		q{SELECT string_agg(severity || ': ' || finding, '; ') FROM roleferry.doctor()}
	),
	'warning: queue "sequences" is paused: the copy is wrong',
	'and doctor() finds nothing else');
$node->restart;
$node->wait_turn;
is(accepted(), 2, 'it survives a restart');
$node->kill_process($node->dispatcher_pid);
$node->crash_wait;
$node->wait_turn;
is(accepted(), 2, 'and a crash');
is( $node->sql(
		q{SELECT status FROM roleferry.send_email('team@mg.example.com', 'ada@example.net', 'Hi', 'x')}
	),
	'queued',
	'a call is queued');
is( $node->sql(
		q{SELECT roleferry.resume_queue('sequences'), roleferry.resume_queue('sequences')}
	),
	't|f',
	'resuming says whether it was paused');
$node->wait_until('the queue does not go on', 20, sub { accepted() == 6 });
pass('resumed, its jobs go within moments');

# What is rolled back pauses nothing.
$node->sql(q{BEGIN; SELECT roleferry.pause_all(); ROLLBACK});
$node->enqueue(1);
$node->wait_drained(20);
is(accepted(), 7, 'a pause that is rolled back is none');

# For a time.
$node->sql(
	q{SELECT roleferry.pause_queue('sequences', 'a moment', now() + interval '1500 ms')}
);
$node->enqueue(2);
$node->wait_turn;
is(accepted(), 7, 'paused for a time, jobs wait');
$node->wait_drained(20);
is(accepted(), 9, 'and go when it is over');

# An account: the next one takes over; all: nothing goes at all.
$node->sql(
	q{SELECT roleferry.pause_account('sendgrid', 'their status page is red')}
);
my $before = $simulator->stats('sendgrid')->{accepted};
$node->enqueue(3);
$node->wait_drained(20);
is($simulator->stats('sendgrid')->{accepted},
	$before, 'a paused account is passed over');
is( $node->sql(
		q{SELECT state, reason FROM roleferry.accounts WHERE account = 'sendgrid'}
	),
	'paused|their status page is red',
	'the view accounts says why');
$node->sql(
	q{ALTER SERVER sendgrid RENAME TO grid; SELECT roleferry.pause_all('stop')}
);
my $all = accepted();
$node->enqueue(2, accounts => ['mailgun']);
$node->wait_turn;
is(accepted(), $all, 'pause_all() stops everything');
is( $node->sql(
		q{SELECT string_agg(account || ' ' || state, ', ' ORDER BY account) FROM roleferry.accounts WHERE account IN ('grid', 'mailgun')}
	),
	'grid paused, mailgun paused',
	'every account says so');
$node->sql(q{SELECT roleferry.resume_all()});
$node->wait_drained(20);
is(accepted(), $all + 2, 'until it is resumed');
$node->enqueue(1, accounts => ['grid']);
$node->wait_turn;
is(accepted(), $all + 2, 'an account that was renamed is still paused');
$node->sql(q{ALTER SERVER grid RENAME TO sendgrid});
$node->sql(
	q{UPDATE roleferry.outbox SET accounts = '{sendgrid}' WHERE accounts = '{grid}'}
);
$node->sql(q{SELECT roleferry.resume_account('sendgrid')});
$node->wait_drained(20);
is(accepted(), $all + 3, 'and no longer after that');

# No more of a queue at once than it says, and others beside it.
$node->sql(
	q{INSERT INTO roleferry.queue (name, concurrency) VALUES ('narrow', 2)});
$simulator->rule({ provider => 'sendgrid', action => { hold => 'slow' } });
$node->enqueue(6, queue => 'narrow', accounts => ['sendgrid']);
$node->wait_until('no two are under way',
	20, sub { $simulator->held('slow') == 2 });
my $others = $simulator->stats('mailgun')->{accepted};
$node->enqueue(1, accounts => ['mailgun']);
$node->wait_until('another mail does not go',
	20, sub { $simulator->stats('mailgun')->{accepted} > $others });
is($simulator->held('slow'),
	2, 'two of a queue are under way at once, and no third');
$node->enqueue(3, accounts => ['sendgrid']);
$node->wait_until('the others do not go',
	20, sub { $simulator->held('slow') == 5 });
pass('others go beside them');
$node->sql(
	q{UPDATE roleferry.queue SET concurrency = 4 WHERE name = 'narrow'});
$node->wait_until('no more go', 20, sub { $simulator->held('slow') == 7 });
pass('more, as soon as the queue says so');
$simulator->clear_rules;
$simulator->release('slow');
$node->wait_drained(30);
is($node->sql(q{SELECT count(*) FROM roleferry.dead_letter}),
	'0', 'none was lost');
is($node->sql(q{SELECT string_agg(finding, '; ') FROM roleferry.doctor()}),
	'', 'doctor() finds a sound installation sound');

done_testing();

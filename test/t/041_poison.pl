
# Copyright (c) 2026, roleferry authors

# One row, one account or one table that is not as it should be stops nobody
# else: the row fails alone, other accounts go on, and outcomes that cannot be
# written now are kept and written later, without sending anything again.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.max_in_flight = 16
});

sub make_account
{
	my ($name, $provider) = @_;
	my $url = $simulator->url($provider);
	my $domain = $provider eq 'mailgun' ? q{, domain 'mg.example.com'} : '';

	$node->sql(qq{
CREATE SERVER $name FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider '$provider', secret '$provider', base_url '$url'$domain);
GRANT USAGE ON FOREIGN SERVER $name TO app});
	return;
}

sub count_states
{
	my (@ids) = @_;

	return $node->sql("SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM roleferry.jobs WHERE id IN (@{[ join ',', @ids ]}) GROUP BY 1) s");
}

sub bodies
{
	my ($subject) = @_;

	return scalar @{ [ $simulator->journal(phase => 'body', subject => $subject) ] };
}

sub column
{
	my ($id, $column, $view) = @_;

	return $node->sql("SELECT $column FROM roleferry.$view WHERE job_id = $id");
}

# Queued where the dispatcher sees but does not take them; freed all at once.
sub enqueue_held
{
	my ($count, %options) = @_;

	return $node->enqueue($count, %options, run_at => '2040-01-01');
}

sub let_go
{
	my (@ids) = @_;

	$node->sql("UPDATE roleferry.outbox SET run_at = now() WHERE id IN (@{[ join ',', @ids ]}); SELECT roleferry.wake()");
	return;
}

$node->wait_dispatcher(30);

#
# Row 47: rows that were good when they came.
#

my @held = enqueue_held(20, subject => 'poison');
my %poison = (
	$held[1] => [ q{'[]'}, qr/"args" is not a JSON object/ ],
	$held[3] => [ q{'"text"'}, qr/"args" is not a JSON object/ ],
	$held[5] => [ q{args - 'to_addr'}, qr/"to_addr" is empty/ ],
	$held[7] => [ q{args || '{"subject": 5}'}, qr/"subject" is not a string/ ],
	$held[9] => [ q{args || '{"subject": "a\nBcc: victim@example.org"}'}, qr/"subject" holds a control character/ ],
	$held[11] => [ q{args || '{"headers": {"X-A": "b\r\nX-Evil: yes"}}'}, qr/"headers" holds a control character/ ],
	$held[13] => [ q{args || '{"to_addr": "a@example.net, victim@example.org"}'}, qr/"to_addr" holds more than one address/ ],
	$held[15] => [ q{args || '{"nonsense": true}'}, qr/"nonsense" is not an argument/ ]);

$node->sql(join ';', map { "UPDATE roleferry.outbox SET args = $poison{$_}[0] WHERE id = $_" } keys %poison);
let_go(@held);
$node->wait_job_end($_) for @held;
is(count_states(@held), 'failed 8, sent 12', 'rows that were spoilt fail, all others are sent');
foreach my $id (sort { $a <=> $b } keys %poison)
{
	is($node->job_state($id), 'failed', "job $id, spoilt, has failed");
	like(column($id, 'reason', 'dead_letters'), $poison{$id}[1], "job $id says why");
}
is(bodies('poison'), 12, 'nothing of a spoilt row has left');
$node->disown(keys %poison);

# Accounts that change while mails wait for them.
make_account('dropped', 'sendgrid');
make_account('revoked', 'sendgrid');
make_account('moved', 'sendgrid');
my @only_dropped = enqueue_held(3, accounts => ['dropped']);
my @dropped_first = enqueue_held(3, accounts => [ 'dropped', 'mailgun' ]);
my @only_revoked = enqueue_held(3, accounts => ['revoked']);
my @revoked_first = enqueue_held(3, accounts => [ 'revoked', 'mailgun' ]);
my @moved = enqueue_held(3, accounts => ['moved'], subject => 'moved');
my @others = enqueue_held(3);

$node->sql('DROP SERVER dropped; REVOKE USAGE ON FOREIGN SERVER revoked FROM app');
$node->sql(qq{ALTER SERVER moved OPTIONS (SET provider 'mailgun', SET secret 'mailgun', ADD domain 'mg.example.com',
	SET base_url '@{[ $simulator->url('mailgun') ]}')});
let_go(@only_dropped, @dropped_first, @only_revoked, @revoked_first, @moved, @others);
$node->wait_job_end($_) for (@only_dropped, @dropped_first, @only_revoked, @revoked_first, @moved, @others);
is(count_states(@only_dropped), 'failed 3', 'mails whose only account was dropped fail');
like(column($only_dropped[0], 'reason', 'dead_letters'), qr/none of its accounts exists and may be used/, 'and say so');
is(count_states(@only_revoked), 'failed 3', 'mails whose only account was taken from their role fail');
like(column($only_revoked[0], 'reason', 'dead_letters'), qr/none of its accounts exists and may be used/, 'and say so');
is(count_states(@dropped_first, @revoked_first), 'sent 6', 'mails that have another account are sent');
is($node->sql("SELECT DISTINCT account FROM roleferry.messages WHERE job_id IN (@{[ join ',', @dropped_first, @revoked_first ]})"),
	'mailgun', 'by that');
is(count_states(@moved), 'sent 3', 'mails of an account that was altered are sent');
is(scalar @{ [ $simulator->journal(phase => 'accepted', provider => 'mailgun') ] }, 9, 'by what it is now');
is(count_states(@others), 'sent 3', 'mails of other accounts are sent');

# The key file is written anew again and again while mails go out.
{
	$simulator->rule({ name => 'slow', action => { delay => 0.02 } });
	my @ids = $node->enqueue(300);
	my $rounds = 0;

	$node->wait_until('the mails are not sent', 30, sub {
		$node->write_secret('sendgrid', $rounds++ % 2 ? 'SG.test-key' : "SG.test-key\n");
		return $node->sql('SELECT count(*) FROM roleferry.outbox') eq '0';
	});
	is(count_states(@ids), 'sent 300', 'a key file that is replaced again and again costs no mail');
	cmp_ok($rounds, '>', 3, 'it was replaced while mails went out');
	$simulator->clear_rules;
}

#
# Row 32: tables that cannot be written for a while.
#

# A session that holds the lock for three seconds; returns when it has it.
sub hold_lock
{
	my ($table, $seconds) = @_;
	my ($out, $err) = ('', '');
	my $psql = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
			"BEGIN; LOCK TABLE roleferry.$table IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep($seconds); COMMIT" ],
		'<', \undef, '>', \$out, '2>', \$err);

	$node->wait_until("no lock on $table", 10, sub {
		return $node->sql(qq{
SELECT count(*) FROM pg_locks
WHERE relation = 'roleferry.$table'::regclass AND mode = 'AccessExclusiveLock' AND granted}) eq '1';
	});
	return $psql;
}

my $dispatcher = $node->dispatcher_pid;

foreach my $case ([ 'message', {}, 'sent' ], [ 'dead_letter', { status => 400 }, 'failed' ],
	[ 'attempt_0', { status => 500 }, 'unknown' ], [ 'outbox', {}, 'sent' ])
{
	my ($table, $action, $state) = @$case;
	my $subject = "locked $table";

	make_account("by_$table", 'sendgrid');
	$simulator->rule({ name => $subject, match => { subject => "^$subject\$" },
			action => { hold => $table, %$action } });
	my @ids = $node->enqueue(12, subject => $subject, accounts => ["by_$table"]);
	$node->wait_until('not all are under way', 10, sub { $simulator->held($table) == 12 });
	my $psql = hold_lock($table, 3);
	my $began = time;

	$simulator->release($table);
	$node->wait_until('the dispatcher does not meet the lock', 10, sub {
		slurp_file($node->logfile) =~ /WARNING:.*dispatcher failed while .*: canceling statement due to lock timeout/;
	});
	is($node->dispatcher_pid, $dispatcher, "$table locked: the dispatcher lives on");
	$psql->finish;
	cmp_ok(time - $began, '>', 2, "$table was locked for a while");
	$node->wait_job_end($_) for @ids;
	is(count_states(@ids), "$state 12", "$table locked: every outcome is kept, and written when it can be");
	is(bodies($subject), 12, "$table locked: nothing is sent again");
	is($node->sql("SELECT max(attempts) FROM roleferry.jobs WHERE id IN (@{[ join ',', @ids ]})"), 1,
		"$table locked: one attempt each");
	$simulator->clear_rules;
	my ($next) = $node->enqueue(1, accounts => ['mailgun']);
	is($node->wait_job_end($next), 'sent', "$table free again: other accounts go on");
}

# VACUUM FULL takes the same lock, again and again, while mails come and go.
{
	my @ids;

	$simulator->rule({ name => 'slow', action => { delay => 0.05 } });
	foreach my $round (1 .. 8)
	{
		push @ids, $node->enqueue(20);
		$node->sql('VACUUM FULL roleferry.outbox');
		$node->sql('VACUUM FULL roleferry.message');
	}
	$node->wait_drained(30);
	is(count_states(@ids), 'sent 160', 'VACUUM FULL of the outbox loses no mail');
	$simulator->clear_rules;
}

is($node->dispatcher_pid, $dispatcher, 'one dispatcher has lived through all of this');
$node->assert_invariants('nothing is lost, sent twice or sent without a commit');

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# The clock is set: an hour forward, an hour back, a second back as by a leap
# second, and summer time begins.  Whatever measures time does not notice;
# what is meant by the clock goes by it; and what waits for no time of its own
# does not wait for the clock.  Row 41 of the fault matrix.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryClock;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time sleep);

my $clock = RoleferryClock->new(PostgreSQL::Test::Utils::tempdir . '/clock');
plan skip_all => RoleferryClock->why_not unless $clock;

my ($max, $per) = (5, 600);
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.request_timeout = '300s'
roleferry.idle_timeout = '300s'
roleferry.breaker_failures = 2
roleferry.breaker_cooldown = '2s'
});

{
	local %ENV = $clock->environment;
	$node->restart;
}
$node->wait_dispatcher(30);
$node->sql(
	sprintf q{
INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('mailgun', %d, '%d s');
CREATE SERVER spare FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '%s');
GRANT USAGE ON FOREIGN SERVER spare TO app;
CREATE TABLE public.effect (n int);
CREATE FUNCTION public.slow(n int) RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(4); INSERT INTO public.effect VALUES (n) $$;
SELECT roleferry.register_task('slow', 'public.slow(int)')},
	$max, $per, $simulator->url('sendgrid'));

sub set_clock
{
	my ($seconds, $said) = @_;
	my $offset = -s $node->logfile;

	$clock->set($seconds);
	$node->wait_for_log(qr/LOG:  the clock was set $said/, $offset);
	go_on();
	return;
}

# Whoever is willing to send anything would have by then.
sub go_on
{
	wait_states('sent', $node->enqueue(1, accounts => ['spare']));
	return;
}

sub wait_states
{
	my ($states, @ids) = @_;

	$node->wait_until("the jobs are not $states",
		30, sub { $node->distinct_states(@ids) eq $states });
	return;
}

sub later
{
	my ($interval, %more) = @_;

	return $node->enqueue(
		2,
		accounts => ['sendgrid'],
		run_at => $node->sql("SELECT now() + '$interval'::interval"),
		%more);
}

sub hold_mails
{
	my ($subject, $count) = @_;
	my @ids;

	$simulator->rule(
		{
			name => $subject,
			match => { subject => "^$subject\$" },
			action => { hold => $subject }
		});
	@ids =
	  $node->enqueue($count, subject => $subject, accounts => ['sendgrid']);
	$node->wait_until('the mails are not under way',
		30, sub { $simulator->held($subject) == $count });
	return @ids;
}

# Somebody who waits for a mail that its provider does not answer.
sub wait_for_mail
{
	my ($subject, $timeout) = @_;
	my $session = { out => '', err => '' };
	my @command = (
		'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
		"SELECT status FROM roleferry.send_email('sender\@mg.example.com', 'waiter\@example.net', '$subject', 'x',
	accounts => '{sendgrid}', timeout => '$timeout')");

	$session->{run} = IPC::Run::start(\@command, '<', \undef,
		'>', \$session->{out}, '2>', \$session->{err});
	return $session;
}

sub told
{
	my ($session) = @_;

	eval { $session->{run}->finish };
	return "$session->{out}$session->{err}";
}

sub crash
{
	$node->kill_process($node->dispatcher_pid);
	$node->crash_wait;
	$node->wait_dispatcher(30);
	go_on();
	return;
}

# Once a minute old records go, and here they are too old by the clock.
sub kept_when_tidied
{
	my $kept;

	foreach (qw(message_retention dead_letter_retention result_ttl))
	{
		$node->sql("ALTER SYSTEM SET roleferry.$_ = '10min'");
	}
	$node->reload;
	sleep 130;
	$kept = kept();
	$node->sql('ALTER SYSTEM RESET ALL');
	$node->reload;
	return $kept;
}

sub kept
{
	return $node->sql(
		'SELECT (SELECT count(*) FROM roleferry.messages), (SELECT count(*) FROM roleferry.dead_letters), roleferry.result(1) IS NOT NULL'
	);
}

my @first = $node->enqueue(3, accounts => ['sendgrid']);
wait_states('sent', @first);

#
# An hour forward
#

# Of the last ones that were granted nobody knows after a crash when they ended:
# so there have to be some before.
my @limited = $node->enqueue($max - 1, accounts => ['mailgun']);
wait_states('sent', @limited);
push @limited, $node->enqueue($max + 1, accounts => ['mailgun']);
$node->wait_until('the window is not full',
	30, sub { $simulator->moments('mailgun') == $max });
{
	my @held = hold_mails('held', 10);
	my $waiter = wait_for_mail('held', '290s');
	my @soon = later('30 min');
	my @tomorrow = later('1 day');
	my $task = $node->sql(q{SELECT roleferry.enqueue('slow', '{"n": 1}')});
	my $before = kept();
	my @paused;

	$node->sql(
		q{SELECT roleferry.pause_queue('sequences', 'until noon', now() + interval '30 min')}
	);
	@paused =
	  $node->enqueue(2, queue => 'sequences', accounts => ['sendgrid']);
	$node->wait_until('the waiting caller is not under way',
		30, sub { $simulator->held('held') == 11 });
	$node->wait_until(
		'the task is not under way',
		30,
		sub {
			$node->sql(
				"SELECT worker IS NOT NULL FROM roleferry.outbox WHERE id = $task"
			) eq 't';
		});

	set_clock(3600, qr/forward by 3[56]\d\d\.\d+ s/);
	wait_states('sent', @soon);
	pass('what was to run at a time runs when the clock says so');
	wait_states('sent', @paused);
	pass('a pause ends when the clock says so');
	is($node->distinct_states(@tomorrow), 'waiting', 'what is to run tomorrow waits');
	is($simulator->held('held'),
		11, 'requests under way go on: their deadlines are not of the clock');
	is($node->distinct_states(@held), 'running', 'and nobody thinks them dead');
	is(scalar($simulator->moments('mailgun')),
		$max, 'a full window of a rate limit stays full');
	is( kept_when_tidied(),
		$before =~ s/^(\d+)/$1 + 5/er,
		'nothing is thrown away in the hour after') if $ENV{RF_LONG};

	$simulator->release('held');
	wait_states('sent', @held);
	is(told($waiter), "sent\n", 'who waited has the answer');
	$node->wait_until('the task does not end',
		30, sub { $node->sql('SELECT count(*) FROM public.effect') eq '1' });
	pass('a task that was under way ends once');
	$simulator->clear_rules;

	# The window is read from its rows now, which an hour makes no older.
	crash();
	is(scalar($simulator->moments('mailgun')),
		$max, 'and a full window is full after a crash, too');
	cmp_ok($simulator->most_within($per, $simulator->moments('mailgun')),
		'<=', $max, 'the provider has not seen more than the limit');
	is($node->distinct_states(@limited[ $max .. 2 * $max - 1 ]),
		'waiting', 'what is beyond it waits');
	like(
		$node->sql(
			q{SELECT state, until - now() < interval '11 min' FROM roleferry.accounts WHERE account = 'mailgun'}
		),
		qr/^limited\|t$/,
		'for as long as it would have without');
}

#
# An hour back
#

{
	my @held = hold_mails('unanswered', 5);
	my $waiter = wait_for_mail('unanswered', '3s');
	my @due = $node->enqueue(5, accounts => ['mailgun']);
	my @retried;

	# One account fails, so that a retry waits and its circuit is open.
	$simulator->rule(
		{
			name => 'down',
			match => { subject => '^retried$' },
			count => 2,
			action => { status => 503, headers => { 'Retry-After' => '3' } }
		});
	@retried = $node->enqueue(
		2,
		subject => 'retried',
		accounts => ['spare'],
		delivery => 'at_least_once');
	$node->wait_until(
		'the retries do not wait',
		30,
		sub {
			$node->sql(
				"SELECT count(*) FROM roleferry.outbox WHERE attempts > 0 AND worker IS NULL AND id IN ("
				  . join(',', @retried)
				  . ')') eq '2';
		});
	$node->wait_until('the waiting caller is not under way',
		30, sub { $simulator->held('unanswered') == 6 });

	set_clock(0, qr/back by 3[56]\d\d\.\d+ s/);
	wait_states('sent', @retried);
	pass('retries and circuits do not wait for an hour');
	like(told($waiter), qr/^\w+$/m, 'who waits gives up by his own timeout');
	is(scalar($simulator->moments('mailgun')),
		$max, 'a full window of a rate limit stays full');
	like(
		$node->sql(
			q{SELECT finding FROM roleferry.doctor() WHERE finding LIKE 'the newest rows are of %'}
		),
		qr/^the newest rows are of .*, and the clock says .*: it is slow, or was fast before$/,
		'doctor() tells of rows from the future');

	# What stands behind the limit was put in an hour from now.
	$node->sql(q{UPDATE roleferry.rate_limit SET max_requests = 1000});
	wait_states('sent', @limited, @due);
	pass('what was due before is due');

	crash();
	is($node->distinct_states(@held), 'unknown',
		'a crash is what makes mails under way unknown');
	$simulator->release('unanswered');
	$simulator->clear_rules;
}

#
# A server that is started after its clock was set back
#

{
	my @due;

	set_clock(1800, qr/forward by 1[78]\d\d\.\d+ s/);
	$node->sql(q{SELECT roleferry.pause_account('spare', 'for now')});
	@due = $node->enqueue(5, accounts => ['spare']);
	$node->stop;
	$clock->set(0);
	{
		local %ENV = $clock->environment;
		$node->start;
	}
	$node->sql(q{SELECT roleferry.resume_account('spare')});
	wait_states('sent', @due);
	pass('what was due is due after a restart');
}

#
# A leap second, while mails go
#

{
	my @ids = $node->enqueue(300, accounts => ['sendgrid']);

	set_clock(-1, qr/back by (?:1\.0|0\.9)\d+ s/);
	push @ids, $node->enqueue(20, accounts => ['sendgrid']);
	wait_states('sent', @ids);
	pass('mails go on over a leap second');
}

#
# Summer time began some hours ago, so that a day had 23 hours
#

{
	my @begin = gmtime(time - 10 * 3600);
	my $zone = sprintf 'RFW0RFS,%d/%d,%d/0', $begin[7], $begin[2],
	  ($begin[7] + 20) % 365;
	my $use =
	  q{INSERT INTO roleferry.rate_use (limit_id, key_hash, granted_at, tokens, outstanding)};

	$node->append_conf('postgresql.conf', "timezone = '$zone'");
	$node->reload;
	$node->sql(
		qq{
UPDATE roleferry.rate_limit SET per = '1 day', max_requests = 1000;
DELETE FROM roleferry.rate_use;
$use SELECT id, 0, clock_timestamp() - interval '23.6 hours', 700, 0 FROM roleferry.rate_limit;
$use SELECT id, 0, clock_timestamp() - interval '23.5 hours', 1, 0 FROM roleferry.rate_limit;
$use VALUES (12345, 0, clock_timestamp(), 1, 0)});
	crash();
	$node->wait_until(
		'nobody tidies up',
		30,
		sub {
			$node->sql(
				'SELECT count(*) FROM roleferry.rate_use WHERE limit_id = 12345'
			) eq '0';
		});
	is( $node->sql(
			'SELECT count(*) FROM roleferry.rate_use WHERE tokens = 700'),
		'1',
		'a window of a day has 24 hours when summer time begins');
	is($node->sql('SELECT used >= 701 FROM roleferry.rate_limits'),
		't', 'and all that it has counted');

	my @ids = later('2 s');
	wait_states('sent', @ids);
	pass('jobs run at their time in another zone');
}

#
# In the end
#

$node->sql(q{SELECT roleferry.cancel(id) FROM roleferry.outbox});
is( $node->sql(
		q{SELECT count(*) FROM roleferry.dead_letters WHERE state IN ('quarantined', 'failed', 'expired')}
	),
	'0',
	'nothing failed of it');
unlike(
	slurp_file($node->logfile),
	qr/PANIC|WARNING:  roleferry dispatcher failed/,
	'nothing went wrong on the way');
$node->assert_invariants('nothing is lost or sent twice');

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# The way of a mail that nothing goes wrong with: whatever way it was put in,
# it leaves soon after the commit, when it is due, in its order, once, and the
# tables tell what the provider knows.

use strict;
use warnings;

use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

# Nobody looks around for ten minutes: a wake-up that is missing is a failure
# and not a delay.
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.sweep_interval = '600s'
max_prepared_transactions = 5
max_connections = 30
wal_level = logical
max_wal_senders = 4
max_replication_slots = 4
});
my $next = 1;

# How long a commit may take to become a request, seconds, two busy cores
# included.
my $soon = 1;

sub numbers
{
	my ($count) = @_;

	$next += $count;
	return ($next - $count .. $next - 1);
}

# Returns the numbers, not the ids.
sub enqueue
{
	my ($count, %options) = @_;
	my @ns = numbers($count);

	$node->enqueue($count, first => $ns[0], %options);
	return @ns;
}

sub args_of
{
	my ($n) = @_;

	return JSON::PP->new->canonical->encode(
		{
			from_addr => 'sender@mg.example.com',
			to_addr => "user$n\@example.net",
			subject => "mail $n",
			body_text => "mail $n",
			custom_args => { n => "$n" }
		});
}

# When the first byte of each of these mails was seen by the provider.
sub started
{
	my (@ns) = @_;
	my %wanted = map { $_ => 1 } @ns;
	my (%request, %started);

	foreach my $line ($simulator->journal)
	{
		$request{ $line->{request} } = $line->{t} if $line->{phase} eq 'headers';
		next unless $line->{phase} eq 'body';
		my $n = $line->{custom_args}{n};
		next unless defined $n && $wanted{$n};
		$started{$n} = $request{ $line->{request} } unless defined $started{$n};
	}
	return \%started;
}

sub wait_started
{
	my ($what, $timeout, @ns) = @_;

	return $node->wait_until($what, $timeout, sub {
		my $started = started(@ns);

		return keys %$started == @ns ? $started : undef;
	});
}

sub count_accepted
{
	my (@ns) = @_;
	my %accepted = %{ $node->accepted };

	return { map { $_ => $accepted{$_} || 0 } @ns };
}

sub once { return { map { $_ => 1 } @_ }; }
sub never { return { map { $_ => 0 } @_ }; }

my $app = sub {
	my ($sql) = @_;
	return $node->safe_psql('postgres', "SET ROLE app;\n$sql");
};

$node->wait_dispatcher(30);

# The first mail resolves the host and makes the connection; those that are
# timed come after it.
enqueue(1);
enqueue(1, accounts => ['mailgun']);
$node->wait_drained(30);

#
# Ways in
#

{
	my $worst = 0;
	my @ns;

	foreach my $i (1 .. 5)
	{
		my ($n) = enqueue(1);
		my $committed = time();
		my $started = wait_started('a committed mail does not leave', 20, $n);

		push @ns, $n;
		$worst = $started->{$n} - $committed if $started->{$n} - $committed > $worst;
	}
	cmp_ok($worst, '<', $node->patient($soon), 'the first byte leaves soon after the commit, without a sweep');
	$node->wait_drained(20);
	is_deeply(count_accepted(@ns), once(@ns), 'a mail that enqueue_email put in is taken once');
}

{
	my @gone = enqueue(10, rollback => 1);
	my @kept = enqueue(10);

	$node->wait_drained(20);
	is_deeply(count_accepted(@kept), once(@kept), 'a mail enqueued after a rollback is sent');
	is_deeply(count_accepted(@gone), never(@gone), 'a mail that was rolled back is not sent');
	is_deeply(started(@gone), {}, 'and no provider saw a byte of it');
}

{
	my @ns = numbers(3);
	my $values = join ', ', map { "('send_email', '" . args_of($_) . "')" } @ns;
	my @ids = split /\n/, $app->("INSERT INTO roleferry.outbox (task, args) VALUES $values RETURNING id;");

	$node->adopt(map { $ns[$_] => $ids[$_] } 0 .. $#ns);
	wait_started('a plain INSERT does not wake the dispatcher', 20, @ns);
	$node->wait_drained(20);
	is_deeply(count_accepted(@ns), once(@ns), 'a plain INSERT in the role of a sender sends');
	is($node->sql("SELECT string_agg(DISTINCT role, ',') FROM roleferry.messages WHERE job_id IN ("
			. join(',', @ids) . ')'),
		'app', 'and the job is that role\'s');
}

# COPY, with and without ROLLBACK; the ids are asked for inside the transaction.
sub copy_in
{
	my ($end, @ns) = @_;
	my $rows = join '', map { "send_email\t" . args_of($_) . "\n" } @ns;

	return split /\n/, $node->safe_psql(
		'postgres', "BEGIN;
SET LOCAL ROLE app;
COPY roleferry.outbox (task, args) FROM stdin;
$rows\\.
RESET ROLE;
SELECT id FROM roleferry.outbox WHERE args #>> '{custom_args,n}' IN ("
		  . join(',', map { "'$_'" } @ns) . ") ORDER BY id;
$end;");
}

{
	my @gone = numbers(3);
	my @ns = numbers(50);
	my @ids;

	copy_in('ROLLBACK', @gone);
	@ids = copy_in('COMMIT', @ns);
	is(scalar @ids, 50, 'COPY in the role of a sender puts rows in');
	$node->adopt(map { $ns[$_] => $ids[$_] } 0 .. $#ns);
	wait_started('COPY does not wake the dispatcher', 20, @ns);
	$node->wait_drained(20);
	is_deeply(count_accepted(@ns), once(@ns), 'what COPY put in is sent');
	is_deeply(started(@gone), {}, 'what a rolled-back COPY put in is not');
}

#
# Transactions that began long ago
#

{
	my @early = numbers(3);
	my @late = numbers(2);
	my $session = $node->background_psql('postgres');
	my ($committed, $started, $slowest, @ids);
	my $call = q{SELECT roleferry.enqueue_email('sender@mg.example.com', 'user%d@example.net',
		'mail %d', body_text => 'x', custom_args => '{"n": "%d"}'%s);};

	$session->query_safe('BEGIN; SET LOCAL ROLE app;');
	push @ids, $session->query_safe(sprintf $call, ($_) x 3, '') for @early;

	# Others go on meanwhile: the dispatcher's mark passes the transaction's now().
	my $opened = time();
	while (time() < $opened + 3)
	{
		enqueue(3);
		$node->wait_drained(20);
	}
	is_deeply(started(@early), {}, 'nothing leaves before its transaction commits');
	push @ids, $session->query_safe(sprintf $call, ($_) x 3, q{, run_at => now() - interval '10 minutes'})
	  for @late;
	$session->query_safe('COMMIT;');
	$committed = time();
	$session->quit;
	my @ns = (@early, @late);
	$node->adopt(map { $ns[$_] => $ids[$_] } 0 .. $#ns);
	$started = wait_started('mails of an old transaction stay behind the mark', 20, @ns);
	($slowest) = sort { $b <=> $a } values %$started;
	cmp_ok($slowest - $committed, '<', $node->patient($soon),
		'mails with an old now() and a run_at long past leave within a second of the commit');
	$node->wait_drained(20);
	is_deeply(count_accepted(@ns), once(@ns), 'each of them once');
}

# The commit's hint says run_at, the mark is lowered to it: also where only
# backdated rows come, after newer ones were served.
{
	enqueue(20);
	$node->wait_drained(20);
	my @old = enqueue(20, run_at => '2001-01-01 00:00:00+00');
	my $committed = time();
	my $started = wait_started('backdated mails stay behind the mark', 20, @old);
	my ($slowest) = sort { $b <=> $a } values %$started;

	cmp_ok($slowest - $committed, '<', $node->patient($soon), 'mails dated back by years leave at once');
	$node->wait_drained(20);
}

#
# What the tables tell
#

{
	$node->sql(q{INSERT INTO roleferry.queue (name) VALUES ('invoices')});
	my ($n) = enqueue(1, tenant_key => 'acme', queue => 'invoices');
	my $id = $node->committed($n);
	my ($line, $installation);

	$node->wait_drained(20);
	is( $node->sql("SELECT account, provider, http_status, attempts, role, queue, tenant_key, from_addr, to_addr,
			subject, note IS NULL, sent_at >= created_at FROM roleferry.messages WHERE job_id = $id"),
		"sendgrid|sendgrid|202|1|app|invoices|acme|sender\@mg.example.com|user$n\@example.net|mail $n|t|t",
		'a message row tells by which account, with which answer and to whom a mail went');
	is( $node->sql("SELECT task, state, attempts, role, account, reason IS NULL FROM roleferry.jobs WHERE id = $id"),
		'send_email|sent|1|app|sendgrid|t', 'jobs calls it sent');
	like(
		$node->sql("SELECT message_id || ' ' || raw_message_id FROM roleferry.messages WHERE job_id = $id"),
		qr/^([^. ]+) \1/, 'the message id is the provider\'s up to the first dot');
	like(
		$node->sql("SELECT string_agg(event || ':' || coalesce(account, '') || ':' || detail, '; ') FROM roleferry.job_report($id)"),
		qr/^enqueued::send_email, queue invoices.*by app; sent:sendgrid:taken at attempt 1 as /,
		'job_report tells the life of a sent mail');
	is($app->("SELECT state FROM roleferry.jobs WHERE id = $id;"), 'sent', 'its role sees the job');
	is($app->("SELECT count(*) > 0 FROM roleferry.job_report($id);"), 't', 'and its report');

	$node->sql(q{CREATE ROLE other; SELECT roleferry.grant_access('other', 'sender')});
	is( $node->sql("SET ROLE other; SELECT (SELECT count(*) FROM roleferry.jobs), (SELECT count(*) FROM roleferry.messages),
			(SELECT count(*) FROM roleferry.job_report($id))"),
		'0|0|0', 'another sender sees nothing of it');

	$installation = $node->sql('SELECT installation FROM roleferry.activation');
	($line) = $simulator->journal(phase => 'accepted', provider => 'sendgrid', rf_job => "$installation.$id");
	is($line->{custom_args}{n}, "$n", 'SendGrid gets rf_job beside the caller\'s own arguments');

	($n) = enqueue(1, accounts => ['mailgun']);
	$id = $node->committed($n);
	$node->wait_drained(20);
	($line) = $simulator->journal(phase => 'accepted', provider => 'mailgun', rf_job => "$installation.$id");
	is($line->{custom_args}{n}, "$n", 'so does Mailgun');
	is($node->sql("SELECT account, provider, http_status FROM roleferry.messages WHERE job_id = $id"),
		'mailgun|mailgun|200', 'and the message row says so');
	unlike($node->sql("SELECT message_id FROM roleferry.messages WHERE job_id = $id"),
		qr/[<>]/, 'without the angle brackets of Mailgun\'s id');
}

{
	$simulator->rule(
		{
			name => 'refuse',
			match => { subject => '^refused$' },
			action => {
				status => 400,
				body => { errors => [ { message => 'The subject is not to our taste', field => 'subject' } ] }
			}
		});
	my ($n) = enqueue(1, subject => 'refused');
	my $id = $node->committed($n);

	$node->wait_job_state($id, 'failed');
	$simulator->clear_rules;
	is( $node->sql("SELECT state, outcome, account, http_status, attempts, failures, role, task, args ->> 'to_addr',
			convert_from(excerpt, 'UTF8') LIKE '%not to our taste%' FROM roleferry.dead_letters WHERE job_id = $id"),
		"failed|permanent|sendgrid|400|1|1|app|send_email|user$n\@example.net|t",
		'a refused mail is a dead letter with the answer and its arguments');
	like($node->sql("SELECT reason FROM roleferry.jobs WHERE id = $id"),
		qr/not to our taste/, 'the reason is in the provider\'s words');
	like(
		$node->sql("SELECT string_agg(event || ':' || coalesce(http_status::text, '') || ':' || coalesce(outcome, ''), ' ') FROM roleferry.job_report($id)"),
		qr/^enqueued:: attempt 1:400:permanent failed:400:permanent$/,
		'job_report tells the attempt and the end of a refused mail');
	is_deeply(count_accepted($n), never($n), 'and no provider has it');
}

#
# Idempotency, time, order, limits
#

{
	my ($n, $again, $other) = numbers(3);
	my @first = $node->enqueue(1, first => $n, idempotency_key => 'invoice-1');
	my $call = q{SELECT roleferry.enqueue_email('sender@mg.example.com', 'user@example.net', 'again', body_text => 'x',
		custom_args => '{"n": "%d"}', idempotency_key => 'invoice-1', on_conflict => 'keep');};

	is($app->(sprintf $call, $again), $first[0], 'a key that is in force returns the first job\'s id');
	$node->wait_drained(20);
	is($app->(sprintf $call, $again), $first[0], 'also when that job is done');
	$node->adopt($other, $node->sql(sprintf $call, $other));
	isnt($node->committed($other), $first[0], 'another role\'s key is another key');
	$node->wait_drained(20);
	is_deeply(count_accepted($n, $again, $other), { $n => 1, $again => 0, $other => 1 },
		'one key is one mail');
}

{
	my $due = $node->sql(q{SELECT extract(epoch FROM now() + interval '2 seconds')});
	my ($later) = enqueue(1, run_at => $node->sql("SELECT to_timestamp($due)"));
	my $started = wait_started('a mail with a run_at does not leave', 20, $later);

	cmp_ok($started->{$later}, '>=', $due, 'a mail does not leave before its run_at');
	cmp_ok($started->{$later}, '<', $due + $node->patient($soon), 'but within a second of it, without a sweep');
	$node->wait_drained(20);
}

{
	my @priorities = (3, 7, 0, 10, 5, 1, 9, 2, 8, 4, 6);
	my @ns = numbers(scalar @priorities);
	my (%id, %place, @order);

	$node->sql(q{ALTER SERVER mailgun OPTIONS (ADD max_in_flight '1')});
	$simulator->rule({ name => 'gate', provider => 'mailgun', count => 1, action => { hold => 'gate' } });
	my ($first) = enqueue(1, accounts => ['mailgun']);
	$node->wait_until('the only place of an account is not taken', 20, sub { $simulator->held('gate') == 1 });
	$node->enqueue(1, first => $ns[$_], priority => $priorities[$_], accounts => ['mailgun']) for 0 .. $#ns;
	is_deeply(started(@ns), {}, 'an account with max_in_flight 1 takes no second mail');
	$simulator->clear_rules;
	$simulator->release('gate');
	my $started = wait_started('mails of all priorities do not leave', 20, @ns);
	@order = map { $priorities[ $_ - $ns[0] ] } sort { $started->{$a} <=> $started->{$b} } @ns;
	is("@order", '10 9 8 7 6 5 4 3 2 1 0', 'what is due together leaves by priority, 10 first');
	$node->wait_drained(20);
	$node->sql('ALTER SERVER mailgun OPTIONS (DROP max_in_flight)');
	is($simulator->stats('mailgun')->{max_in_progress}, 1, 'never two at once');
}

{
	# Both from one clock reading: a mail that is due before it expires is sent.
	my ($run_at, $expires_at) = split /\|/,
	  $node->sql(q{SELECT now() + interval '1 second', now() + interval '900 milliseconds'});
	my ($n) = enqueue(1, run_at => $run_at, expires_at => $expires_at);
	my $id = $node->committed($n);

	$node->wait_job_state($id, 'expired');
	is_deeply(started($n), {}, 'a mail that expired before it was due is not sent');
	like($node->sql("SELECT reason FROM roleferry.dead_letters WHERE job_id = $id"),
		qr/^not sent before /, 'and says until when it was good');
	($n) = enqueue(1, expires_at => $node->sql(q{SELECT now() + interval '1 hour'}));
	$node->wait_drained(20);
	is_deeply(count_accepted($n), once($n), 'one that is still good is sent');
}

{
	# An account that no connection was made to yet: every attempt is refused.
	$simulator->listener('mailgun_eu', 'refuse');
	$node->sql(sprintf q{
CREATE SERVER nowhere FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'mailgun', domain 'eu.example.com', secret 'mailgun', base_url '%s');
GRANT USAGE ON FOREIGN SERVER nowhere TO app}, $simulator->url('mailgun_eu'));

	my ($once) = enqueue(1, accounts => ['nowhere'], max_attempts => 1);
	my ($twice) = enqueue(1, accounts => ['nowhere'], max_attempts => 2);
	my ($once_id, $twice_id) = map { $node->committed($_) } $once, $twice;

	$node->wait_job_state($once_id, 'failed');
	$node->wait_job_state($twice_id, 'failed');
	is($node->sql("SELECT attempts, failures, outcome FROM roleferry.dead_letters WHERE job_id = $once_id"),
		'1|1|transient', 'max_attempts 1 gives up after one failure');
	is($node->sql("SELECT attempts, failures FROM roleferry.dead_letters WHERE job_id = $twice_id"),
		'2|2', 'max_attempts 2 after two');
	is($node->sql("SELECT string_agg(event, ', ') FROM roleferry.job_report($twice_id)"),
		'enqueued, attempt 1, attempt 2, failed', 'and job_report tells both');
}

#
# Active or mute
#

# A session that goes on enqueueing, a mail a transaction.
sub keep_enqueueing
{
	my ($count, $pause) = @_;
	my @ns = numbers($count);
	my $session = $node->background_psql('postgres');

	$session->query_until(qr/begun/, sprintf(q{
SET ROLE app;
\echo begun
DO $$
BEGIN
	FOR n IN %d .. %d LOOP
		PERFORM roleferry.enqueue_email('sender@mg.example.com', 'user' || n || '@example.net', 'mail ' || n,
			body_text => 'x', custom_args => pg_catalog.jsonb_build_object('n', n::text));
		COMMIT;
		PERFORM pg_catalog.pg_sleep(%f);
	END LOOP;
END $$;
}, $ns[0], $ns[-1], $pause));
	return ($session, @ns);
}

sub adopt_all
{
	foreach my $row (split /\n/, $node->sql(q{
SELECT args #>> '{custom_args,n}', id FROM roleferry.outbox
UNION ALL SELECT substring(subject FROM '^mail (\d+)$'), job_id FROM roleferry.message}))
	{
		my ($n, $id) = split /\|/, $row;

		$node->adopt($n, $id) if $n ne '' && !defined $node->committed($n);
	}
	return;
}

{
	my ($session, @ns) = keep_enqueueing(60, 0.05);
	my ($stopped, $resumed, $started, @late, @between);

	$node->wait_until('a busy session sends nothing', 20, sub { keys %{ started(@ns) } >= 5 });
	is($node->sql('SELECT roleferry.deactivate()'), 'no longer active: new jobs wait', 'deactivate() answers');
	$stopped = time();
	$session->query_until(qr/over/, "\\echo over\n");
	$session->quit;
	adopt_all();
	$started = started(@ns);
	@late = grep { $started->{$_} > $stopped + $node->patient(1) } keys %$started;
	is("@late", '', 'a second after deactivate() nothing starts any more');
	cmp_ok($node->sql(q{SELECT count(*) FROM roleferry.jobs WHERE state = 'waiting'}),
		'>', 10, 'what is enqueued then waits');
	is($node->sql(q{SELECT count(*) FROM roleferry.jobs WHERE state = 'running'}), '0', 'and is not claimed');
	like($node->sql(q{SELECT detail FROM roleferry.job_report((SELECT max(id) FROM roleferry.outbox)) WHERE event = 'waiting'}),
		qr/not active/, 'job_report says why it waits');

	@between = grep { !exists $started->{$_} } @ns;
	like($node->sql(q{SELECT roleferry.activate()}), qr/^active; jobs waiting: \d+$/,
		'activate() goes on where the same database had stopped');
	$resumed = time();
	$started = wait_started('activate() does not resume', 20, @between);
	my ($first) = sort { $a <=> $b } map { $started->{$_} } @between;
	cmp_ok($first - $resumed, '<', $node->patient($soon), 'within a second of activate() what waited leaves');
	$node->wait_drained(20);
	is_deeply(count_accepted(@ns), once(@ns), 'each of them once');
}

foreach my $copy (
	[ 'system_identifier = system_identifier + 1', 'another cluster' ],
	[ 'database_oid = 1', 'another database' ])
{
	my ($change, $whose) = @$copy;
	my @ns;

	$node->sql("UPDATE roleferry.activation SET $change");
	@ns = enqueue(3);
	$node->sql('SELECT roleferry.wake()');
	# Ten times as long as a mail takes above.
	my $until = time() + 1;
	usleep(50_000) while time() < $until;
	is_deeply(started(@ns), {}, "the activation row of $whose lets nothing out");
	$node->sql(q{SELECT roleferry.activate(waiting => 'send')});
	$node->wait_drained(20);
	is_deeply(count_accepted(@ns), once(@ns), 'until somebody activates this one');
}

#
# What no commit announces is found by the sweep, and checked by it
#

$node->append_conf('postgresql.conf', "roleferry.sweep_interval = '500ms'\n");
$node->reload;

{
	my @ns = numbers(3);
	my @gone = numbers(2);
	my $call = q{SELECT roleferry.enqueue_email('sender@mg.example.com', 'user' || n || '@example.net', 'mail ' || n,
		body_text => 'x', custom_args => pg_catalog.jsonb_build_object('n', n::text)) FROM generate_series(%d, %d) n;};

	$node->sql('BEGIN; SET LOCAL ROLE app; ' . sprintf($call, $ns[0], $ns[-1])
		  . q{RESET ROLE; PREPARE TRANSACTION 'two'});
	$node->sql('BEGIN; SET LOCAL ROLE app; ' . sprintf($call, $gone[0], $gone[-1])
		  . q{RESET ROLE; PREPARE TRANSACTION 'none'});
	enqueue(1);
	$node->wait_drained(20);
	is_deeply(started(@ns, @gone), {}, 'a prepared transaction sends nothing');
	$node->sql(q{ROLLBACK PREPARED 'none'});
	$node->sql(q{COMMIT PREPARED 'two'});
	my $committed = time();
	my $started = wait_started('mails of a prepared transaction are not found', 20, @ns);
	adopt_all();
	my ($slowest) = sort { $b <=> $a } values %$started;
	cmp_ok($slowest - $committed, '<', $node->patient(0.5 + $soon),
		'after COMMIT PREPARED in another session its mails leave with the next sweep');
	$node->wait_drained(20);
	is_deeply(count_accepted(@ns), once(@ns), 'each of them once');
	is_deeply(started(@gone), {}, 'what ROLLBACK PREPARED threw away is not sent');
}

{
	my ($before, $inside, $after) = numbers(3);
	my $call = q{SELECT roleferry.enqueue_email('sender@mg.example.com', 'user%d@example.net', 'mail %d',
		body_text => 'x', custom_args => '{"n": "%d"}');};

	$app->('BEGIN;' . sprintf($call, ($before) x 3) . 'SAVEPOINT s;' . sprintf($call, ($inside) x 3)
		  . 'ROLLBACK TO SAVEPOINT s;' . sprintf($call, ($after) x 3) . 'COMMIT;');
	adopt_all();
	$node->wait_drained(20);
	adopt_all();
	is_deeply(count_accepted($before, $inside, $after), { $before => 1, $inside => 0, $after => 1 },
		'what a savepoint rolled back is not sent, the rest of the transaction is');
}

foreach my $off (
	[ 'session_replication_role = replica', 'SET LOCAL session_replication_role = replica', '' ],
	[ 'ALTER TABLE DISABLE TRIGGER',
		'ALTER TABLE roleferry.outbox DISABLE TRIGGER outbox_check',
		'ALTER TABLE roleferry.outbox ENABLE TRIGGER outbox_check;' ])
{
	my ($name, $disable, $enable) = @$off;
	my ($n) = numbers(1);
	my $good = args_of($n);
	my ($id, $bad, $task) = split /\n/, $node->sql("BEGIN; $disable;
INSERT INTO roleferry.outbox (task, args, role) VALUES ('send_email', '$good', 'app') RETURNING id;
INSERT INTO roleferry.outbox (task, args, role) VALUES ('send_email', '{\"to_addr\": \"nobody\"}', 'app') RETURNING id;
INSERT INTO roleferry.outbox (task, args, role) VALUES ('no_such_task', '$good', 'app') RETURNING id;
$enable COMMIT;");

	$node->adopt($n, $id);
	$node->wait_drained(20);
	is_deeply(count_accepted($n), once($n), "$name: the dispatcher finds the row and sends it");
	is($node->job_state($id), 'sent', 'as any other');
	is($node->sql("SELECT queue FROM roleferry.messages WHERE job_id = $id"), 'sequences', 'with what the check fills in');
	is($node->job_state($bad), 'failed', 'but not one that the check refuses');
	like($node->sql("SELECT reason FROM roleferry.jobs WHERE id = $bad"), qr/"\w+" /, 'naming the field');
	is($node->job_state($task), 'failed', 'nor one without a task');
}

#
# Rows that logical replication brings: no trigger fires, no commit of theirs
# is announced
#

{
	my @plain = numbers(20);
	my @whole = numbers(20);
	my $call = q{SET ROLE app;
SELECT roleferry.enqueue_email('sender@mg.example.com', 'user' || n || '@example.net', 'mail ' || n, body_text => 'x',
	custom_args => pg_catalog.jsonb_build_object('n', n::text)) FROM generate_series(%d, %d) AS n;};
	my $origin = sub { return $node->safe_psql('origin', $_[0]); };
	my ($installation, $committed, $started, $slowest, @ids, %jobs);

	# A publisher that nobody serves: it is not in roleferry.databases, and
	# was never activated.  Its ids are its own.
	$node->sql('CREATE DATABASE origin');
	$origin->(sprintf q{
CREATE EXTENSION roleferry;
CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '%s');
CREATE SERVER mailgun FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'mailgun', base_url '%s');
SELECT roleferry.grant_access('app', 'sender');
GRANT USAGE ON FOREIGN SERVER sendgrid, mailgun TO app;
ALTER SEQUENCE roleferry.outbox_id_seq RESTART WITH 1000000;
CREATE PUBLICATION plain FOR TABLE roleferry.outbox (id, task, args, role) WITH (publish = 'insert');
CREATE PUBLICATION whole FOR TABLE roleferry.outbox WITH (publish = 'insert');
SELECT pg_create_logical_replication_slot('mails', 'pgoutput');
}, map { $simulator->url($_) } qw(sendgrid mailgun));
	$node->sql(sprintf q{
CREATE SUBSCRIPTION mails CONNECTION %s PUBLICATION plain
	WITH (create_slot = false, slot_name = 'mails', copy_data = false)},
		RoleferryNode::quote_literal($node->connstr('origin')));

	# What the check has filled in stays behind: it is this side's business.
	@ids = split /\n/, $origin->(sprintf $call, $plain[0], $plain[-1]);
	$committed = time();
	my ($bad) = split /\n/, $origin->(q{
SET session_replication_role = replica;
INSERT INTO roleferry.outbox (task, args, role) VALUES ('send_email', '{"to_addr": "nobody"}', 'app') RETURNING id;});
	$node->adopt(map { $plain[$_] => $ids[$_] } 0 .. $#plain);
	$started = wait_started('replicated mails are not found', 20, @plain);
	($slowest) = sort { $b <=> $a } values %$started;
	cmp_ok($slowest - $committed, '<', $node->patient(0.5 + $soon), 'mails that replication brings leave with the next sweep');
	$node->wait_job_state($bad, 'failed');
	is($node->sql("SELECT reason FROM roleferry.jobs WHERE id = $bad") =~ /"\w+" / ? 1 : 0, 1,
		'but not one that the check refuses, here as well');
	$node->wait_drained(20);
	is_deeply(count_accepted(@plain), once(@plain), 'each of them once');
	is($node->sql('SELECT DISTINCT state, role FROM roleferry.jobs WHERE id IN (' . join(',', @ids) . ')'),
		'sent|app', 'the subscriber calls them sent, in the role that had enqueued them');

	# Whole rows come checked; what they are good for is found by the sweep, too.
	$node->sql('ALTER SUBSCRIPTION mails SET PUBLICATION whole WITH (refresh = true, copy_data = false)');
	@ids = split /\n/, $origin->(sprintf $call, $whole[0], $whole[-1]);
	$node->adopt(map { $whole[$_] => $ids[$_] } 0 .. $#whole);
	wait_started('replicated mails with all columns are not found', 20, @whole);
	$node->wait_drained(20);
	is_deeply(count_accepted(@whole), once(@whole), 'mails replicated with all columns are sent once');

	$installation = $node->sql('SELECT installation FROM roleferry.activation');
	%jobs = map { $_->{rf_job} =~ /^(\w+)\./ => 1 } grep { $_->{custom_args}{n} >= $plain[0] } $simulator->journal(phase => 'accepted');
	is_deeply([ keys %jobs ], [$installation], 'all by the subscriber');
	is($origin->(q{SELECT state, count(*) FROM roleferry.jobs GROUP BY state}), 'waiting|41', 'the publisher has sent none');
	$node->sql('DROP SUBSCRIPTION mails');
	$node->sql('DROP DATABASE origin');
}

#
# Parallel query
#

{
	my ($first, @rest) = numbers(21);
	my $last = $rest[-1];
	my $call = q{SELECT roleferry.enqueue_email('sender@mg.example.com', 'user' || n || '@example.net', 'mail ' || n,
	body_text => 'x', custom_args => pg_catalog.jsonb_build_object('n', n::text)) FROM public.big WHERE n BETWEEN %d AND %d AND filler <> ''};
	my $parallel = q{
SET force_parallel_mode = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;};
	my $session;

	$parallel =~ s/force_parallel_mode/debug_parallel_query/ if $node->pg_version >= 16;
	$node->sql(q{CREATE TABLE public.big AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 100000) AS n;
ANALYZE public.big; GRANT SELECT ON public.big TO app});
	my $explain = "$parallel EXPLAIN (COSTS OFF) " . ($call =~ s/roleferry\.enqueue_email\(.*\) FROM/upper(filler) FROM/sr);
	like($node->sql(sprintf $explain, $first, $last), qr/Workers Planned/, 'a query of this kind is a parallel one');

	# The workers of another query in the same transaction end before it does.
	$session = $node->background_psql('postgres');
	$session->query_safe("$parallel SET ROLE app; BEGIN;");
	$session->query_safe(sprintf "$call;", $first, $first);
	$session->query_safe(q{SELECT count(*) FROM public.big WHERE filler <> '';});
	usleep(600_000);
	is_deeply(started($first), {}, 'the end of a parallel worker lets nothing out');
	$session->query_safe(sprintf "$call;", $rest[0], $last);
	$session->query_safe('COMMIT;');
	$session->quit;
	wait_started('mails of a parallel query do not leave', 20, $first, @rest);
	adopt_all();
	$node->wait_drained(20);
	adopt_all();
	is_deeply(count_accepted($first, @rest), once($first, @rest), 'what a SELECT under parallel query enqueues is sent once');
}

$node->assert_invariants('over all of it nothing is lost, repeated or made up');
is( $node->sql(q{SELECT count(*) FROM roleferry.jobs WHERE state IN ('unknown', 'quarantined')}),
	'0', 'and nothing is in doubt');

$node->stop;
done_testing();

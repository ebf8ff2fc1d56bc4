
# Copyright (c) 2026, roleferry authors

# send_email() waits where no rollback can follow, and puts the mail into the
# outbox everywhere else.  What was sent is counted at the provider.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(usleep);

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.idempotency_retention = '30d'
});
my $next = 1;

# The call for mail $n; %options are further arguments, as SQL.
sub call
{
	my ($n, %options) = @_;
	my %arguments = (
		from_addr => q{'sender@mg.example.com'},
		to_addr => qq{'user$n\@example.net'},
		subject => qq{'mail $n'},
		body_html => q{'<p>hello</p>'},
		custom_args => qq{'{"n": "$n"}'},
		%options);

	return 'roleferry.send_email('
	  . join(', ', map { "$_ => $arguments{$_}" } sort keys %arguments) . ')';
}

# As the application's role, in one psql: output and errors.
sub run
{
	my (@statements) = @_;
	my (undef, $out, $err) = $node->psql('postgres', join("\n", 'SET ROLE app;', @statements));

	return ($out, $err);
}

sub accepted
{
	my ($n) = @_;

	return $node->accepted->{$n} || 0;
}

# Mail $n, sent by the statement, was waited for.
sub waits
{
	my ($name, $n, $wanted, @statements) = @_;
	my ($out, $err) = run(@statements);

	is($out, $wanted, "$name: the caller waits for it") or diag($err);
	is(accepted($n), 1, "$name: and the provider has it, once");
	return;
}

# Mail $n was put into the outbox by a transaction that committed.
sub queues
{
	my ($name, $n, $wanted, @statements) = @_;
	my ($out, $err) = run(@statements);

	like($out, $wanted, "$name: only queued") or diag($err);
	$node->wait_drained(30);
	is(accepted($n), 1, "$name: and sent once, after the commit");
	return;
}

# Mail $n was never sent, because its transaction did not commit.
sub forgets
{
	my ($name, $n, $error, @statements) = @_;
	my (undef, $err) = run(@statements);

	like($err, $error, "$name: it fails");
	$node->wait_drained(30);
	is(accepted($n), 0, "$name: and nothing was sent");
	return;
}

$node->wait_dispatcher(30);
$node->sql('CREATE SCHEMA app AUTHORIZATION app');

# --- Where it waits ---

my $n = $next++;
waits('SELECT * FROM', $n, 'sent|sendgrid|202|t|t|t',
	'SELECT status, provider, http_status, reason IS NULL, message_id IS NOT NULL, job_id > 0 FROM '
	  . call($n) . ';');
is($node->sql("SELECT account, http_status, role, attempts FROM roleferry.messages WHERE subject = 'mail $n'"),
	'sendgrid|202|app|1', 'a mail that was waited for is a message as any other');

$n = $next++;
my ($out) = run('SELECT ' . call($n) . ';');
like($out, qr/^\(sent,.*,sendgrid,\d+,,202\)$/, 'in the select list, too, the caller waits');
is(accepted($n), 1, 'and the provider has it, once');

$n = $next++;
($out) = run('SELECT (' . call($n) . ').*;');
like($out, qr/^sent\|/, '(send_email(...)).* waits');
is(accepted($n), 1, 'and sends once, not once for each column');

$n = $next++;
waits('arguments from a sub-select', $n, 'sent',
	'SELECT status FROM ' . call($n, subject => q{(SELECT 'mail ' || count(*) FROM roleferry.jobs)}) . ';');

$n = $next++;
waits('a condition that cannot fail', $n, 'sent',
	'SELECT status FROM ' . call($n) . q{ WHERE status = 'sent';});

$n = $next++;
waits('a prepared statement', $n, 'sent',
	'PREPARE send(text) AS SELECT status FROM ' . call($n, subject => '$1') . ';',
	q{EXECUTE send('mail');});

$n = $next++;
waits('the extended protocol', $n, 'sent',
	'SELECT status FROM ' . call($n, subject => '$1') . q{ \bind 'mail' \g}) if $node->pg_version >= 16;

# --- Where a rollback could follow ---

my $queued = qr/^queued$/m;

$n = $next++;
queues('a transaction block', $n, $queued,
	'BEGIN;', 'SELECT status FROM ' . call($n) . ';', 'COMMIT;');

$n = $next++;
forgets('a block that rolls back', $n, qr/division by zero/,
	'BEGIN;', 'SELECT status FROM ' . call($n) . ';', 'SELECT 1/0;', 'COMMIT;');

$n = $next++;
queues('autocommit off', $n, $queued,
	'\set AUTOCOMMIT off', 'SELECT status FROM ' . call($n) . ';', 'COMMIT;');

$n = $next++;
queues('several statements in one query', $n, $queued,
	'SELECT status FROM ' . call($n) . ' \; SELECT 1;');

$n = $next++;
forgets('several statements of which a later one fails', $n, qr/division by zero/,
	'SELECT status FROM ' . call($n) . ' \; SELECT 1/0;');

$n = $next++;
forgets('rows of which one fails', $n, qr/division by zero/,
	'SELECT ' . call($n) . ', 1/(2 - i) FROM generate_series(1, 2) AS i;');

$n = $next++;
forgets('a column beside it that fails', $n, qr/division by zero/,
	'SELECT status, 1/(length(status) - 6) FROM ' . call($n) . ';');

$n = $next++;
($out) = run('SELECT status FROM generate_series(1, 3) AS i, LATERAL '
	  . call($n, subject => q{'mail ' || i}) . ';');
is($out, "queued\nqueued\nqueued", 'a call for each row: only queued');
$node->wait_drained(30);
is(accepted($n), 3, 'a call for each row: and each is sent once');

$n = $next++;
queues('DO', $n, qr/NOTICE|^$/,
	'DO $$ BEGIN PERFORM * FROM ' . call($n) . '; END $$;');

$n = $next++;
queues('a loop in DO', $n, qr/^$/,
	'DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM ' . call($n) . ' LOOP IF r.status <> $_$queued$_$ THEN RAISE $_$waited$_$; END IF; END LOOP; END $$;');

$n = $next++;
queues('PL/pgSQL', $n, $queued,
	'CREATE FUNCTION app.f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN status FROM ' . call($n) . '; END $$;',
	'SELECT app.f();');

$n = $next++;
queues('an SQL function', $n, $queued,
	'CREATE FUNCTION app.g() RETURNS SETOF roleferry.email_receipt LANGUAGE sql AS $$ SELECT * FROM ' . call($n) . ' $$;',
	'SELECT status FROM app.g();');

$n = $next++;
forgets('a trigger whose statement fails', $n, qr/no more/,
	'CREATE TABLE app.lead (id int PRIMARY KEY);',
	'CREATE FUNCTION app.t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM * FROM ' . call($n)
	  . '; IF NEW.id = 2 THEN RAISE $_$no more$_$; END IF; RETURN NULL; END $$;',
	'CREATE TRIGGER t AFTER INSERT ON app.lead FOR EACH ROW EXECUTE FUNCTION app.t();',
	'INSERT INTO app.lead VALUES (1), (2);');

queues('a trigger', $n, qr/^$/, 'INSERT INTO app.lead VALUES (3);');

$n = $next++;
queues('INSERT ... SELECT', $n, qr/^$/,
	'CREATE TABLE app.receipt AS SELECT * FROM roleferry.send_email($$$$, $$$$, $$$$) WHERE false;',
	'INSERT INTO app.receipt SELECT * FROM ' . call($n) . ';');

$n = $next++;
queues('a data-modifying CTE', $n, $queued,
	'WITH gone AS (DELETE FROM app.lead RETURNING id) SELECT status FROM ' . call($n) . ';');

$n = $next++;
queues('EXPLAIN ANALYZE', $n, qr/Function Scan/,
	'EXPLAIN (ANALYZE) SELECT * FROM ' . call($n) . ';');

$n = $next++;
queues('a cursor WITH HOLD, which the commit runs', $n, $queued,
	'DECLARE c CURSOR WITH HOLD FOR SELECT status FROM ' . call($n) . ';', 'FETCH ALL FROM c;');

$n = $next++;
queues('a savepoint', $n, $queued,
	'BEGIN;', 'SAVEPOINT s;', 'SELECT status FROM ' . call($n) . ';', 'RELEASE s;', 'COMMIT;');

$n = $next++;
queues('an argument that writes', $n, $queued,
	'CREATE FUNCTION app.w() RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.lead VALUES (9); RETURN $_$x$_$; END $$;',
	'ALTER TABLE app.lead DISABLE TRIGGER ALL;',
	'SELECT status FROM ' . call($n, subject => '(SELECT app.w())') . ';');

$n = $next++;
forgets('roleferry.send_in_transaction = error', $n, qr/cannot wait here: a rollback could follow/,
	'SET roleferry.send_in_transaction = error;', 'BEGIN;', 'SELECT status FROM ' . call($n) . ';', 'COMMIT;');

# --- What the caller is told ---

$simulator->rule({ name => 'refuse', provider => 'sendgrid', match => { subject => '^bad$' }, action => { status => 400 } });
$n = $next++;
($out) = run('SELECT status, provider, http_status, reason IS NOT NULL FROM ' . call($n, subject => q{'bad'}) . ';');
is($out, 'failed|sendgrid|400|t', 'a refusal is a row, not an error');

$simulator->rule({ name => 'full', provider => 'sendgrid', match => { subject => '^busy$' },
	action => { status => 503, headers => { 'Retry-After' => '1' } } });
$n = $next++;
($out) = run('SELECT status, provider, http_status FROM ' . call($n, subject => q{'busy'}) . ';');
is($out, 'sent|mailgun|200', 'a refusal for now goes on to the next account while the caller waits');
is(accepted($n), 1, 'and is sent once');

$simulator->rule({ name => 'lost', match => { subject => '^lost$' }, action => { close => 'after_read' } });
$n = $next++;
($out) = run('SELECT status, reason IS NOT NULL FROM ' . call($n, subject => q{'lost'}) . ';');
is($out, 'unknown|t', 'where nobody can know, the receipt says so');
is(accepted($n), 1, 'and it is not sent again');
$simulator->clear_rules;

# --- Idempotency ---

$n = $next++;
($out) = run(
	'SELECT status, job_id FROM ' . call($n, idempotency_key => q{'once'}) . ';',
	'SELECT status, job_id FROM ' . call($n, idempotency_key => q{'once'}) . ';',
	'BEGIN;', 'SELECT status, job_id FROM ' . call($n, idempotency_key => q{'once'}) . ';', 'COMMIT;');
like($out, qr/^(sent\|\d+)\n\1\n\1$/, 'a key used before returns the receipt of its mail');
is(accepted($n), 1, 'and sends nothing');

# A key held by a transaction that goes on must not stop everybody's mail.
my $holder = $node->background_psql('postgres');
$holder->query_safe('SET ROLE app');
$holder->query_safe('BEGIN');
$n = $next++;
$holder->query_safe('SELECT job_id FROM ' . call($n, idempotency_key => q{'held'}));
my (undef, $err) = run('SELECT status FROM ' . call($n, idempotency_key => q{'held'}) . ';');
like($err, qr/another transaction is using this idempotency_key/, 'a key in use elsewhere is a clear error');
$holder->query_safe('COMMIT');
$holder->quit;
$node->wait_drained(30);
is(accepted($n), 1, 'and its mail is sent once');

# The short wait was for the key alone: who locks the outbox for a moment still
# makes nobody fail.
my $log_end = -s $node->logfile;
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE roleferry.outbox IN ACCESS EXCLUSIVE MODE');
$node->wait_until('the dispatcher does not wait for the lock', 10, sub {
	$node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher' AND wait_event_type = 'Lock'}) eq '1';
});
usleep(200_000);				# longer than for a key, shorter than for a lock
$locker->query_safe('COMMIT');
$locker->quit;
unlike(slurp_file($node->logfile, $log_end), qr/roleferry dispatcher failed/, 'the dispatcher waits for other locks as long as before');

# --- Errors ---

(undef, $err) = run('SELECT * FROM ' . call(0, to_addr => q{'nobody'}) . ';');
like($err, qr/"to_addr"/, 'a bad address is an error that names the field');
(undef, $err) = run('SELECT * FROM ' . call(0, timeout => q{'-1s'}) . ';');
like($err, qr/"timeout"/, 'a bad timeout, too');
(undef, $err) = run('SET default_transaction_read_only = on;', 'SELECT * FROM ' . call(0) . ';');
like($err, qr/read-only transaction/, 'nothing is sent from a read-only transaction');
$node->sql('SELECT roleferry.deactivate()');
(undef, $err) = run('SELECT * FROM ' . call(0) . ';');
like($err, qr/not active.*roleferry\.activate/s, 'a database that is not active sends nothing and says so');
$node->sql('SELECT roleferry.activate()');
$n = $next++;
waits('after activate()', $n, 'sent', 'SELECT status FROM ' . call($n) . ';');
my @after;
foreach (1 .. 10)
{
	$node->sql('SELECT roleferry.deactivate()');
	$node->sql('SELECT roleferry.activate()');
	push @after, (run('SELECT status FROM ' . call($next++) . ';'))[0];
}
is("@after", join(' ', ('sent') x 10), 'however often: what activate() has committed counts at once');
is(accepted(0), 0, 'no mail of a failed call was sent');

(undef, $out, $err) = $node->psql('template1', 'CREATE EXTENSION roleferry; '
	  . q{CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid');});
(undef, undef, $err) = $node->psql('template1', 'SELECT * FROM ' . call(0));
like($err, qr/no dispatcher serves database "template1".*roleferry\.databases/s,
	'a database that is not served says so');

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# The extension and the library are upgraded apart from each other, under a
# running server and in either order: nothing crashes, nothing is lost or sent
# twice, and whoever looks is told what to do.  Rows 36 and 37 of the fault
# matrix.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use RoleferryStage;
use Test::More;
use Time::HiRes qw(time usleep);

plan skip_all => 'needs the stage that script/test builds'
  unless RoleferryStage->available;

my $new = '9.9.0';
my $in_flight = 50;
my $stage =
  RoleferryStage->new(PostgreSQL::Test::Utils::tempdir() . '/stage');
my $old = $stage->version;
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => $stage->conf . q{
roleferry.max_in_flight = 60
max_connections = 30
});

# What an update does, as far as this library cares: an argument more, a type
# that changes.
my $update = q{
ALTER TABLE roleferry.outbox ADD COLUMN colour text;
CREATE FUNCTION roleferry.enqueue_more(a text, b text, c text) RETURNS bigint
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'roleferry_enqueue_email';
CREATE FUNCTION roleferry.gates_more(OUT a text, OUT b text, OUT c text, OUT d timestamptz, OUT e text) RETURNS SETOF record
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'roleferry_account_gates';
CREATE FUNCTION roleferry.identity_more(OUT a bigint, OUT b oid, OUT c int, OUT d text, OUT e text)
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'roleferry_server_identity';
};
my $undo = q{
DROP FUNCTION roleferry.enqueue_more, roleferry.gates_more, roleferry.identity_more;
ALTER TABLE roleferry.outbox DROP COLUMN colour;
};

sub hold_mails
{
	my ($subject) = @_;
	my @ids;

	$simulator->rule(
		{
			name => $subject,
			match => { subject => "^$subject\$" },
			action => { hold => 'held' }
		});
	@ids = $node->enqueue($in_flight, subject => $subject);
	$node->wait_until('the mails are not under way',
		20, sub { $simulator->held('held') == $in_flight });
	return @ids;
}

sub bodies
{
	my ($subject) = @_;

	return
	  scalar(() = $simulator->journal(phase => 'body', subject => $subject));
}

sub count_in_log
{
	my ($pattern, $offset) = @_;
	my $text = slurp_file($node->logfile, $offset);

	return scalar(() = $text =~ /$pattern/g);
}

# What a session is told that calls across versions.
sub told
{
	my ($statement) = @_;
	my (undef, undef, $error) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\n$statement");

	return $error;
}

# A psql that goes on while the test does something else.
sub start_psql
{
	my (@arguments) = @_;
	my $session = { out => '' };

	$session->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), @arguments ],
		'<', \undef, '>&', \$session->{out});
	return $session;
}

sub finish_psql
{
	my ($session) = @_;

	eval { $session->{run}->finish };
	chomp $session->{out};
	return $session->{out};
}

my $pid = $node->wait_dispatcher(30);
$stage->add_version($new, $update, $undo);

#
# ALTER EXTENSION UPDATE with mails under way, the library still the old one
#

{
	my $offset = -s $node->logfile;
	my @held = hold_mails('updated');
	my (@ids, $started, $took, $error);

	# What changes nothing disturbs nobody.
	$node->sql("ALTER EXTENSION roleferry UPDATE TO '$old'");
	is($simulator->held('held'),
		$in_flight,
		'an update that changes nothing leaves the mails under way');
	is($node->dispatcher_pid, $pid, 'and the dispatcher at work');

	# Answers that come in time are recorded, in the tables they were meant for.
	$simulator->rule(
		{
			name => 'soon',
			match => { subject => '^soon$' },
			action => { delay => 0.7 }
		});
	@ids = $node->enqueue(5, subject => 'soon');
	$node->wait_until('the mails are not under way',
		20, sub { bodies('soon') == 5 });
	$started = time();
	(undef, undef, $error) =
	  $node->psql('postgres', 'ALTER EXTENSION roleferry UPDATE');
	$took = time() - $started;
	like(
		$error,
		qr/WARNING:  nothing is sent from this database until the server is restarted.*version \Q$new\E now.*version \Q$old\E/s,
		'the extension is updated, and a warning says what it takes');
	cmp_ok($took, '<', $node->patient(2.5), "it does not wait for providers ($took s)");
	is($node->distinct_states(@ids), 'sent',
		'answers that came within a moment are recorded');
	is($node->distinct_states(@held), 'unknown', 'what had no answer is unknown');
	$simulator->release('held');
	$simulator->clear_rules;

	$node->wait_activity(
		qr/^the extension roleferry is of version \Q$new\E, the server's library of version \Q$old\E$/
	);
	pass('the dispatcher idles, and says why');
	@ids = $node->enqueue(10, subject => 'between');
	is($node->distinct_states(@ids), 'waiting', 'mails can be enqueued, and wait');
	like(
		told("SELECT roleferry.enqueue_more('a', 'b', 'c')"),
		qr/ERROR:  55000: .*another version.*restart the server/s,
		'a function with other arguments is refused');
	like(
		told('SELECT * FROM roleferry.gates_more()'),
		qr/ERROR:  55000: .*another version/,
		'one with other columns, too');
	like(
		told('SELECT * FROM roleferry.identity_more()'),
		qr/ERROR:  55000: .*another version/,
		'also where it is a row');
	usleep(2_500_000);    # two looks more
	is( count_in_log(
			qr/sends nothing from database "postgres": the extension/,
			$offset),
		1,
		'the log says so once');
	is(count_in_log(qr/WARNING:  (?!nothing is sent)/, $offset),
		0, 'and nothing else goes wrong');
	is(bodies('between'), 0, 'nothing is sent');

	$node->sql("ALTER EXTENSION roleferry UPDATE TO '$old'");
	$node->wait_drained(20);
	is($node->distinct_states(@ids), 'sent', 'it goes on as soon as the versions agree');
}

#
# What else is under way: SQL tasks, callers who wait, sessions that enqueue
#

{
	my $mail =
	  q{'sender@mg.example.com', 'user@example.net', 'stream', 'x', accounts => '{sendgrid}'};
	my $script = PostgreSQL::Test::Utils::tempdir() . '/stream.sql';
	my ($caller, $stream);
	my (@tasks, @ids, $error);

	$node->sql(
		q{
CREATE TABLE public.effect (n int);
CREATE FUNCTION public.slow(n int) RETURNS void LANGUAGE sql
	AS $$ INSERT INTO public.effect VALUES (n); SELECT pg_sleep(CASE WHEN pg_try_advisory_xact_lock_shared(7) THEN 0 ELSE 60 END) $$;
SELECT roleferry.register_task('slow', 'public.slow(int)')});

	# As long as somebody has the lock, the tasks take a minute.
	my $brake = $node->background_psql('postgres');
	$brake->query_safe('SELECT pg_advisory_lock(7)');
	@tasks = map {
		$node->sql(
			qq{SELECT roleferry.enqueue('slow', '{"n": $_}', delivery => 'at_least_once')}
		)
	} 1 .. 3;
	$simulator->rule(
		{
			name => 'called',
			match => { subject => '^called$' },
			action => { hold => 'called' }
		});
	$caller = start_psql('-c',
		q{SELECT status FROM roleferry.send_email('sender@mg.example.com', 'user@example.net', 'called', 'x', accounts => '{sendgrid}', timeout => '60 s')}
	);
	$node->wait_until(
		'the tasks and the call are not under way',
		30,
		sub {
			$simulator->held('called') == 1
			  && $node->sql(
				q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%slow%' AND backend_type = 'roleferry executor'}
			  ) > 0;
		});

	# Before, in and after the update.
	open my $file, '>', $script or die "could not create \"$script\": $!";
	print $file
	  "SELECT roleferry.enqueue_email($mail);\nDO 'BEGIN PERFORM pg_sleep(0.01); END';\n"
	  foreach 1 .. 300;
	close $file or die "could not write \"$script\": $!";
	$stream = start_psql('-f', $script);
	$node->wait_until('nothing is enqueued', 30,
		sub { bodies('stream') > 5 });

	(undef, undef, $error) =
	  $node->psql('postgres', 'ALTER EXTENSION roleferry UPDATE');
	unlike($error, qr/ERROR/, 'the extension is updated');
	like(finish_psql($caller), qr/^unknown$/,
		'who waited for a mail that was out is told that nobody knows');
	is($node->distinct_states(@tasks), 'waiting',
		'tasks that were under way wait to be run again');
	is($node->sql('SELECT count(*) FROM public.effect'),
		'0', 'and have had no effect');
	@ids = grep { /^\d+$/ } split /\n/, finish_psql($stream);
	is(scalar(@ids), 300, 'whoever enqueues in the meantime notices nothing');

	$simulator->release('called');
	$simulator->clear_rules;
	$brake->quit;
	$node->sql("ALTER EXTENSION roleferry UPDATE TO '$old'");
	$node->wait_drained(60);
	like($node->distinct_states(@ids), qr/^sent(?:,unknown)?$/,
		'all that was enqueued goes out');
	is(bodies('stream'), 300, 'each mail once');
	is($node->sql('SELECT count(*), count(DISTINCT n) FROM public.effect'),
		'3|3', 'and each task has its effect once');
}

#
# Dispatchers that have to leave are no dispatchers that fail
#

{
	my $offset = -s $node->logfile;

	foreach (1 .. 4)
	{
		$node->sql("ALTER EXTENSION roleferry UPDATE TO '$new'");
		$node->wait_dispatcher(30);
		$node->sql("ALTER EXTENSION roleferry UPDATE TO '$old'");
		$node->wait_dispatcher(30);
	}
	unlike($node->activity('roleferry launcher'),
		qr/ends soon/, 'the launcher does not take leaving for failing');
	unlike(
		slurp_file($node->logfile, $offset),
		qr/ends soon after each start/,
		'and says nothing like it');
}

#
# The same inside a transaction that does not end for a while
#

{
	my @ids;
	my $session = $node->background_psql('postgres');

	$session->query("BEGIN; ALTER EXTENSION roleferry UPDATE; SELECT 1");
	$node->wait_activity(qr/^the extension roleferry is being changed$/);
	pass('nobody sees half of an update');
	$session->query('ROLLBACK; SELECT 1');
	$session->quit;
	@ids = $node->enqueue(3, subject => 'rolled back');
	$node->wait_drained(20);
	is($node->distinct_states(@ids), 'sent',
		'an update that is rolled back leaves no trace');
}

#
# Behind our back: no command that we could have noticed
#

{
	my $offset = -s $node->logfile;
	my @held = hold_mails('behind');

	$node->sql(
		"UPDATE pg_extension SET extversion = '8.8' WHERE extname = 'roleferry'"
	);
	$node->wait_activity(qr/is of version 8\.8/);
	$simulator->release('held');
	$node->wait_until(
		'the answers do not come',
		20,
		sub {
			() = $simulator->journal(phase => 'answered', rule => 'behind');
		});
	is($node->distinct_states(@held), 'running',
		'outcomes are not written into tables of another version');
	$node->sql(
		"UPDATE pg_extension SET extversion = '$old' WHERE extname = 'roleferry'"
	);
	$node->wait_drained(20);
	is($node->distinct_states(@held), 'sent',
		'they are kept until the versions agree again');
	is(bodies('behind'), $in_flight, 'and no mail is sent again');
	is(count_in_log(qr/roleferry goes on in database "postgres"/, $offset),
		1, 'and the log says that it goes on');
	$simulator->clear_rules;
}

#
# A column of another type, and a row that comes by the trigger
#

{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $insert =
	  q{INSERT INTO roleferry.outbox (task, args) VALUES ('send_email',
		'{"from_addr": "sender@mg.example.com", "to_addr": "user@example.net", "subject": "trigger", "body_text": "x"}')};

	$session->query_safe("BEGIN; $insert; ROLLBACK; SELECT 1");
	$node->sql(
		'ALTER TABLE roleferry.outbox RENAME COLUMN order_key TO gone; ALTER TABLE roleferry.outbox ADD COLUMN order_key bytea'
	);
	like(
		told($insert),
		qr/ERROR:  55000: the table roleferry.outbox is that of another version/,
		'the trigger refuses a table that it does not know');
	is($session->query("$insert RETURNING 'put in'"),
		'', 'also in a session that knew it as it was');
	$session->quit;
}

unlike(
	slurp_file($node->logfile),
	qr/PANIC|by signal/,
	'nothing crashed so far');
$node->assert_invariants('nothing is lost or sent twice');

#
# Another library is put in place under the running server
#

{
	my $offset = -s $node->logfile;
	my $copy = PostgreSQL::Test::Utils::tempdir();
	my $library = $stage->build_library($new, '-DRF_SHARED_ABI=99');
	my @ids;

	# The table is broken: begin anew.
	$node->sql(
		sprintf q{
DROP EXTENSION roleferry CASCADE;
CREATE EXTENSION roleferry VERSION '%s';
CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '%s');
SELECT roleferry.grant_access('app', 'sender');
GRANT USAGE ON FOREIGN SERVER sendgrid TO app;
ALTER SEQUENCE roleferry.outbox_id_seq RESTART WITH 1000;
SELECT roleferry.activate()}, $old, $simulator->url('sendgrid'));
	$pid = $node->wait_dispatcher(30);

	$stage->replace_library($library);
	@ids = $node->enqueue(5);
	$node->wait_drained(20);
	is($node->distinct_states(@ids), 'sent',
		'sessions and dispatcher go on with the library that the server has loaded'
	);
	kill 'TERM', $pid;
	$node->wait_dispatcher(20, $pid);
	@ids = $node->enqueue(5);
	$node->wait_drained(20);
	is($node->distinct_states(@ids), 'sent', 'also a dispatcher that starts afterwards');

	PostgreSQL::Test::Utils::system_or_bail('cp', $library,
		"$copy/roleferry.so");
	chmod 0755, $copy;
	$node->sql(
		qq{
CREATE FUNCTION public.other_wake() RETURNS void LANGUAGE C AS '$copy/roleferry', 'roleferry_wake';
CREATE FUNCTION public.other_gates(OUT a text, OUT b text, OUT c text, OUT d timestamptz) RETURNS SETOF record
	LANGUAGE C AS '$copy/roleferry', 'roleferry_account_gates'});
	like(
		told("SELECT $_"),
		qr/ERROR:  55000: the server has preloaded another copy of roleferry's library/,
		"a copy of another version is refused: $_"
	) foreach 'public.other_wake()', 'public.other_gates()';
	like(told("LOAD '$copy/roleferry'; SELECT roleferry.wake()"),
		qr/^$/, 'and does not disturb the one that is preloaded');
	is($node->sql('SELECT count(*) FROM roleferry.accounts'),
		'1', 'which works as before');
	@ids = $node->enqueue(5, subject => 'waits for the restart');
	$node->wait_drained(20);
	is(count_in_log(qr/PANIC|by signal|sends nothing.*version/, $offset),
		0, 'nothing crashed, nobody noticed');
}

#
# The server is restarted: the library is new, the extension old
#

{
	my @ids;
	my $offset = -s $node->logfile;

	$node->restart;
	$node->wait_activity(
		qr/^the extension roleferry is of version \Q$old\E, the server's library of version \Q$new\E$/
	);
	pass('after the restart the dispatcher waits for ALTER EXTENSION UPDATE');
	@ids = $node->enqueue(5, subject => 'before the update');
	is($node->distinct_states(@ids), 'waiting', 'mails can be enqueued');
	is( $node->sql(
			qq{ALTER EXTENSION roleferry UPDATE; SELECT extversion FROM pg_extension WHERE extname = 'roleferry'}
		),
		$new,
		'the extension is updated');
	$node->wait_drained(20);
	is($node->distinct_states(@ids), 'sent', 'and they are sent');
	is(count_in_log(qr/sends nothing from database/, $offset),
		1, 'the log has one line about it');
	unlike(slurp_file($node->logfile), qr/PANIC|by signal/,
		'nothing crashed');
	is(scalar(grep { $_ > 1 } values %{ $node->accepted }),
		0, 'no mail was sent twice');
}

$node->stop;
done_testing();

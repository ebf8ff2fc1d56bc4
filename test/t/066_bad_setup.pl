
# Copyright (c) 2026, roleferry authors

# A set-up that cannot work: not preloaded, preloaded twice, a database that
# lets nobody in, roles that are dropped or renamed while their mails wait.
# Whoever looks is told what is missing, and what can work does.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

use constant LAUNCHER => 'roleferry launcher';

#
# Not preloaded
#

{
	my $bare = PostgreSQL::Test::Cluster->new('bare');
	my $error;
	my $told = sub {
		my ($statement) = @_;
		my ($status, undef, $text) =
		  $bare->psql('postgres', "\\set VERBOSITY verbose\n$statement");

		return $text;
	};

	$bare->init;
	$bare->append_conf('postgresql.conf',
		qq{roleferry.databases = 'postgres'\nmax_connections = 20\n});
	$bare->start;
	$bare->safe_psql('postgres', 'CREATE EXTENSION roleferry');
	pass('the extension can be created where the library is not preloaded');
	$bare->safe_psql(
		'postgres', q{
CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url 'https://sendgrid.example')}
	);
	pass('accounts can be made');
	like(
		$told->(
			q{CREATE SERVER wrong FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'pigeon')}
		),
		qr/ERROR:  HV0/,
		'and are checked');
	like(
		$told->(
			q{CREATE SERVER wrong FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', base_url 'http://sendgrid.example')}
		),
		qr/ERROR:  HV024/,
		'as strictly as ever');
	like(
		$told->($_),
		qr/ERROR:  55000: roleferry is not preloaded.*HINT:  Add "roleferry" to shared_preload_libraries and restart/s,
		"told what to do: $_")
	  foreach
	  q{SELECT roleferry.enqueue_email('a@example.net', 'b@example.net', 's', 'x')},
	  q{INSERT INTO roleferry.outbox (task, args) VALUES ('send_email', '{}')},
	  'SELECT roleferry.wake()', 'SELECT * FROM roleferry.accounts';
	is($bare->safe_psql('postgres', 'SELECT count(*) FROM roleferry.jobs'),
		'0', 'what needs no worker can be read');
	is( $bare->safe_psql(
			'postgres', q{SELECT roleferry.account_provider('sendgrid')}),
		'sendgrid',
		'functions that need nothing work');
	is( $bare->safe_psql(
			'postgres',
			q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'roleferry%'}
		),
		'0',
		'no worker runs');
	like(
		$told->('ALTER EXTENSION roleferry UPDATE'),
		qr/NOTICE.*already installed/,
		'ALTER EXTENSION UPDATE works');
	is( $told->(
			'CREATE DATABASE other TEMPLATE postgres; DROP DATABASE other WITH (FORCE)'
		),
		'',
		'databases can be copied and dropped');
	$bare->safe_psql('postgres', 'DROP EXTENSION roleferry CASCADE');
	pass('and the extension dropped');
	unlike(slurp_file($bare->logfile), qr/PANIC|by signal/,
		'nothing crashed');
	$bare->stop;
}

#
# Preloaded twice, and a database that lets nobody in
#

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.databases = 'postgres, "Closed"'
max_connections = 30
});

{
	$node->append_conf('postgresql.conf',
		q{shared_preload_libraries = 'roleferry, roleferry'});
	$node->restart;
	$node->wait_dispatcher(30);
	is( $node->sql(
			sprintf
			  q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = '%s'},
			LAUNCHER),
		'1',
		'a library that is listed twice is loaded once');
	$node->sql('CREATE DATABASE "Closed" ALLOW_CONNECTIONS false');
	$node->wait_activity(
		qr/^databases served: 1 of 2; not "Closed": the database allows no connections$/,
		LAUNCHER);
	pass('the launcher says which database lets nobody in');
	$node->sql('ALTER DATABASE "Closed" ALLOW_CONNECTIONS true');
	$node->wait_dispatcher(20, 0, 'Closed');
	pass('and serves it as soon as it does');
	unlike(slurp_file($node->logfile),
		qr/FATAL:  (?!terminating connection due to administrator command)/,
		'without having tried in vain');
}

#
# Roles that go while their mails wait, are under way, or are not checked yet
#

{
	my (%ids, $held, $open);

	$node->sql(
		"CREATE ROLE $_; SELECT roleferry.grant_access('$_', 'sender'); GRANT USAGE ON FOREIGN SERVER sendgrid, mailgun TO $_"
	) foreach 'leaver', 'renamed', 'flying';
	$simulator->rule(
		{
			name => 'hold',
			match => { subject => '^flying$' },
			action => { hold => 'held' }
		});
	($held) = $node->enqueue(1, role => 'flying', subject => 'flying');
	$node->wait_until('the mail is not under way',
		20, sub { $simulator->held('held') == 1 });

	$node->sql('SELECT roleferry.deactivate()');
	$node->wait_activity(qr/^not active|under way/);
	($ids{leaver}) = $node->enqueue(1, role => 'leaver');
	($ids{renamed}) = $node->enqueue(1, role => 'renamed');
	($ids{unchecked}) = split /\n/, $node->sql(
		q{
SET session_replication_role = replica;
INSERT INTO roleferry.outbox (task, role, args) VALUES ('send_email', 'leaver',
	'{"from_addr": "sender@mg.example.com", "to_addr": "user@example.net", "subject": "s", "body_text": "x"}') RETURNING id}
	);
	($open) = $node->enqueue(1);
	$node->sql(
		'DROP OWNED BY leaver, flying; DROP ROLE leaver, flying; ALTER ROLE renamed RENAME TO newname'
	);
	pass(
		'roles can be dropped and renamed while their mails wait or are under way'
	);
	$simulator->release('held');
	$simulator->clear_rules;
	$node->wait_until(
		'the answer is not recorded',
		20,
		sub {
			$node->sql("SELECT state FROM roleferry.jobs WHERE id = $held")
			  eq 'sent';
		});
	pass('an answer to a mail of a dropped role is recorded');

	$node->sql(q{SELECT roleferry.activate('send')});
	$node->wait_drained(20);
	is( $node->sql(
			"SELECT state, reason FROM roleferry.dead_letters WHERE job_id = $ids{leaver}"
		),
		'failed|its role "leaver" does not exist any more',
		'mails of a dropped role become dead letters that say so');
	is( $node->sql(
			"SELECT state, reason FROM roleferry.dead_letters WHERE job_id = $ids{renamed}"
		),
		'failed|its role "renamed" does not exist any more',
		'also those of a renamed one');
	like(
		$node->sql(
			"SELECT state, reason FROM roleferry.dead_letters WHERE job_id = $ids{unchecked}"
		),
		qr/^failed\|.*role "leaver" does not exist/,
		'also those that were not checked');
	is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $open"),
		'sent', 'nobody else is held up');
	is( $node->sql(
			qq{
SET ROLE newname; INSERT INTO roleferry.outbox (task, args) SELECT 'send_email', '{"from_addr": "sender\@mg.example.com", "to_addr": "user\@example.net", "subject": "again", "body_text": "x"}'}
		),
		'',
		'a renamed role goes on under its new name');
	$node->wait_drained(20);
	is( $node->sql(
			q{SELECT role FROM roleferry.messages WHERE subject = 'again'}),
		'newname',
		'and its mails go out');
}

#
# A server in single-user mode, as after a wraparound
#

{
	my ($output, $error);

	$node->stop;
	IPC::Run::run(
		[ 'postgres', '--single', '-D', $node->data_dir, 'postgres' ],
		'<',
		\q{SELECT roleferry.enqueue_email('sender@mg.example.com', 'user@example.net', 'single', 'x')
CREATE DATABASE single TEMPLATE postgres
DROP DATABASE single
VACUUM roleferry.outbox
SELECT 'the ' || 'end'
}, '>', \$output, '2>', \$error);
	like($output, qr/the end/,
		'the library does no harm in single-user mode');
	unlike($error, qr/ERROR|FATAL|PANIC/, 'and a mail can be enqueued');
	$node->start;
	$node->wait_until(
		'the mail is not sent',
		20,
		sub {
			$node->sql(
				q{SELECT count(*) FROM roleferry.messages WHERE subject = 'single'}
			) eq '1';
		});
	pass('it is sent when the server runs');
}

unlike(slurp_file($node->logfile), qr/PANIC|by signal/, 'nothing crashed');
$node->assert_invariants('nothing is lost or sent twice');

$node->stop;
done_testing();

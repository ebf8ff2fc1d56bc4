
# Copyright (c) 2026, roleferry authors

# Every setting that a reload can change is changed by one while mails are under
# way: it holds at once, and nothing is lost or sent twice.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

use constant LAUNCHER => 'roleferry launcher';

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.max_in_flight = 3
max_connections = 30
max_worker_processes = 8
});

# Values of settings that are no numbers; the others that are text stay.
my %texts = (
	'roleferry.databases' => 'postgres, "Shop", postgres',
	'roleferry.email_accounts' => 'mailgun, sendgrid',
	'roleferry.allow_insecure_hosts' => 'test.example:8080',
	'roleferry.allow_private_addresses' => '127.0.0.0/8, ::1, 10.0.0.0/8');

sub set
{
	my ($name, $value) = @_;

	$node->sql(
		"ALTER SYSTEM SET $name = " . RoleferryNode::quote_literal($value));
	$node->reload;
	return;
}

sub reset_all
{
	$node->sql('ALTER SYSTEM RESET ALL');
	$node->reload;
	return;
}

sub state_of
{
	return $node->sql(
		'SELECT string_agg(DISTINCT state, $$,$$) FROM roleferry.jobs WHERE id IN ('
		  . join(',', @_)
		  . ')');
}

sub wait_state
{
	my ($name, $state, @ids) = @_;

	return ok(
		$node->wait_until(
			"a job is not $state",
			30, sub { state_of(@ids) eq $state }),
		$name);
}

sub hold
{
	my ($subject, $count) = @_;
	my @ids;

	$simulator->rule(
		{
			name => $subject,
			match => { subject => "^$subject\$" },
			action => { hold => 'held' }
		});
	@ids = $node->enqueue($count, subject => $subject);
	return @ids;
}

sub wait_held
{
	my ($count) = @_;

	return $node->wait_until("not $count mails are under way",
		20, sub { $simulator->held('held') == $count });
}

sub let_go
{
	$simulator->release('held');
	$simulator->clear_rules;
	return;
}

# Jobs whose time has not come need not wait for it.
sub now
{
	$node->sql(
		'UPDATE roleferry.outbox SET run_at = now() WHERE worker IS NULL; SELECT roleferry.wake()'
	);
	return;
}

my $pid = $node->wait_dispatcher(30);

#
# More may be under way, then fewer
#

{
	my @ids = hold('many', 10);

	wait_held(3);
	set('roleferry.max_in_flight', 10);
	wait_held(10);
	pass('max_in_flight can be raised while mails are under way');
	set('roleferry.max_in_flight', 2);
	let_go();
	wait_state('they land though there are more than may fly now',
		'sent', @ids);
	@ids = hold('few', 5);
	wait_held(2);
	usleep(300_000);
	is($simulator->held('held'), 2, 'and from then on fewer fly');
	$simulator->clear_rules;
	$simulator->release('held');
	wait_state('until all have', 'sent', @ids);
	reset_all();
}

#
# Each of them, whatever it is called
#

{
	my @settings = map { [ split /\|/, $_, -1 ] } split /\n/, $node->sql(
		q{
SELECT name, vartype, setting, max_val, enumvals[1], enumvals[2] FROM pg_settings
WHERE name LIKE 'roleferry.%' AND context = 'sighup' AND name <> 'roleferry.max_in_flight' ORDER BY name}
	);
	my @held = hold('all', 3);
	my %wanted;

	cmp_ok(scalar @settings, '>=', 20, 'the settings are found');
	wait_held(3);
	foreach my $setting (@settings)
	{
		my ($name, $type, $value, $max, @enums) = @$setting;

		$wanted{$name} =
			$type eq 'integer' ? ($value < $max ? $value + 1 : $value - 1)
		  : $type eq 'bool' ? ($value eq 'on' ? 'off' : 'on')
		  : $type eq 'enum' ? ($value eq $enums[0] ? $enums[1] : $enums[0])
		  : $texts{$name};
		delete $wanted{$name} unless defined $wanted{$name};
	}
	$node->sql("ALTER SYSTEM SET $_ = "
		  . ($texts{$_} || RoleferryNode::quote_literal($wanted{$_})))
	  foreach sort grep { !$texts{$_} } keys %wanted;
	$node->append_conf('postgresql.conf', "$_ = '$texts{$_}'")
	  foreach sort keys %texts;
	$node->reload;
	$node->wait_until(
		'the settings do not change',
		20,
		sub {
			$node->sql(
				q{SELECT count(*) FROM pg_settings WHERE pending_restart}) eq
			  '0'
			  && $node->sql('SHOW roleferry.connect_timeout') eq '10001ms';
		});
	# At once: the mails that are held have idle_timeout until they are unknown.
	my %now = map { split /\|/, $_, -1 } split /\n/,
	  $node->sql('SELECT name, setting FROM pg_settings');
	is($now{$_}, $wanted{$_}, "a reload changes $_") foreach sort keys %wanted;
	is( $node->sql(
			'SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL'),
		'0',
		'none is refused');
	let_go();
	wait_state('mails that were under way are sent', 'sent', @held);
	@held = $node->enqueue(3);
	wait_state('others go by the account that comes first now', 'sent',
		@held);
	is( $node->sql(
			'SELECT DISTINCT account FROM roleferry.messages WHERE job_id IN ('
			  . join(',', @held) . ')'),
		'mailgun',
		'which is another');
	is($node->dispatcher_pid, $pid, 'the dispatcher is the same');
	$node->wait_activity(
		qr/^databases served: 1 of 2; not "Shop": there is no such database$/,
		LAUNCHER);
	pass(
		'a database that is listed twice is served once, and a new one is looked for'
	);
	reset_all();
	$node->append_conf('postgresql.conf',
		"roleferry.databases = 'postgres'\nroleferry.email_accounts = 'sendgrid, mailgun'"
	);
	$node->reload;
}

#
# Lists that make no sense
#

{
	my $offset = -s $node->logfile;
	my (undef, undef, $error) = $node->psql('postgres',
		q{ALTER SYSTEM SET roleferry.databases = 'shop books'});
	my @ids;

	like(
		$error,
		qr/invalid value for parameter "roleferry.databases".*names separated by commas/s,
		'a list that cannot be read is refused');
	(undef, undef, $error) = $node->psql('postgres',
		q{ALTER SYSTEM SET roleferry.email_accounts = 'a,,b'});
	like(
		$error,
		qr/invalid value for parameter "roleferry.email_accounts"/,
		'also one of accounts');
	$node->append_conf('postgresql.conf',
		q{roleferry.databases = 'shop books'});
	$node->reload;
	$node->wait_for_log(
		qr/invalid value for parameter "roleferry.databases": "shop books"/,
		$offset);
	@ids = $node->enqueue(1);
	wait_state('in the file, too: the list in force stays', 'sent', @ids);
	is($node->dispatcher_pid, $pid, 'and nobody is stopped');

	$offset = -s $node->logfile;
	$node->append_conf('postgresql.conf',
			"roleferry.databases = 'postgres, "
		  . join(', ', map { "d$_" } 1 .. 33)
		  . q{'});
	$node->reload;
	$node->wait_for_log(
		qr/roleferry\.databases lists more than 32 databases: "d32" and what follows it is not served/,
		$offset);
	$node->wait_activity(
		qr/^databases served: 1 of 32; not "d1": there is no such database$/,
		LAUNCHER);
	is($node->dispatcher_pid, $pid,
		'more databases than fit do not disturb those that do');
	$node->append_conf('postgresql.conf', q{roleferry.databases = ''});
	$node->reload;
	$node->wait_until('the dispatcher stays',
		20, sub { !defined $node->dispatcher_pid });
	$node->wait_activity(qr/^roleferry\.databases is empty$/, LAUNCHER);
	pass('an empty list serves nobody');
	$node->append_conf('postgresql.conf',
		q{roleferry.databases = 'postgres'});
	$node->reload;
	$pid = $node->wait_dispatcher(20);
}

#
# What each does to a mail
#

{
	my @ids;

	# Nobody can be reached like this; nothing is lost by it.
	foreach my $case (
		[ 'roleferry.ca_file' => '/nonexistent' ],
		[ 'roleferry.allow_private_addresses' => '10.0.0.0/8' ],
		[ 'roleferry.http_proxy' => 'http://127.0.0.1:9' ])
	{
		my $seen = () = $simulator->journal(phase => 'body');

		set(@$case);
		$node->wait_until('the setting is not read',
			20, sub { $node->sql("SHOW $case->[0]") eq $case->[1] });
		@ids = $node->enqueue(1, subject => $case->[0]);
		$node->wait_until(
			'the mail is not tried',
			20,
			sub {
				$node->sql(
					"SELECT count(*) FROM roleferry.attempts WHERE job_id = $ids[0]"
				) > 0;
			});
		is(scalar(() = $simulator->journal(phase => 'body')),
			$seen, "$case->[0] = '$case->[1]' lets nothing out");
		reset_all();
		$node->wait_until(
			'the mail is not sent',
			30,
			sub {
				now();
				state_of(@ids) eq 'sent';
			});
		pass('and with the old value the mail is sent');
	}

	set('roleferry.request_timeout', '300ms');
	$simulator->rule(
		{
			name => 'hang',
			match => { subject => '^hang$' },
			action => { hang => 'before_status' }
		});
	@ids = $node->enqueue(1, subject => 'hang');
	wait_state(
		'request_timeout: who does not answer in time leaves the mail unknown',
		'unknown', @ids);
	$simulator->clear_rules;
	reset_all();

	set('roleferry.retry_after_max', '2s');
	$simulator->rule(
		{
			name => 'later',
			match => { subject => '^later$' },
			count => 1,
			action =>
			  { status => 429, headers => { 'Retry-After' => '3000' } }
		});
	@ids = $node->enqueue(1, subject => 'later', accounts => ['mailgun']);
	wait_state('retry_after_max: nobody can close an account for longer',
		'sent', @ids);
	$simulator->clear_rules;
	reset_all();

	set('roleferry.breaker_failures', 1);
	set('roleferry.breaker_cooldown', '600s');
	$simulator->rule(
		{
			name => 'broken',
			match => { subject => '^broken$' },
			action => { status => 500 }
		});
	@ids = $node->enqueue(1, subject => 'broken', accounts => ['mailgun']);
	wait_state('a mail that a provider fails on is unknown', 'unknown', @ids);
	is( $node->sql(
			q{SELECT state, until > now() + interval '500 s' FROM roleferry.accounts WHERE account = 'mailgun'}
		),
		'open|t',
		'breaker_failures and breaker_cooldown: one failure opens the circuit for as long'
	);
	$simulator->clear_rules;
	reset_all();

	set('roleferry.max_attempts', 1);
	set('roleferry.http_proxy', 'http://127.0.0.1:9');
	@ids = $node->enqueue(1, subject => 'refused', accounts => ['sendgrid']);
	$node->wait_until('the mail is not given up',
		20, sub { state_of(@ids) eq 'failed' });
	is( $node->sql("SELECT attempts FROM roleferry.jobs WHERE id = $ids[0]"),
		'1', 'max_attempts: a mail is given up after as many');
	reset_all();
}

is($node->dispatcher_pid, $pid, 'the dispatcher has lived through all of it');
unlike(slurp_file($node->logfile), qr/PANIC|by signal/, 'nothing crashed');
$node->assert_invariants('nothing is lost or sent twice');

$node->stop;
done_testing();

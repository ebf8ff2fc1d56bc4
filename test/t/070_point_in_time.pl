
# Copyright (c) 2026, roleferry authors

# A restore to a point in time sends nothing until somebody activates it, says
# why, and then does with its jobs what that somebody wants.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	init => [ allows_streaming => 1, has_archiving => 1 ],
	conf => q{
roleferry.max_in_flight = 8
wal_keep_size = 64MB
});

sub requests
{
	return scalar $simulator->journal(phase => 'body');
}

# The first eight jobs are under way at the moment that is restored, ten more are
# due and wait for a place.
$simulator->rule(
	{ name => 'hold', action => { hold => 'hold', accept => 'before' } });
my @under_way =
  ($node->enqueue(5, subject => 'under way'),
	$node->enqueue(3, subject => 'under way', delivery => 'at_least_once'));
$node->wait_until('the mails are not under way',
	30, sub { $simulator->held('hold') == 8 });
my @waiting = $node->enqueue(10);

$node->backup('base');
$node->sql('CREATE TABLE public.mark (n int)');
my $xid = $node->sql(
	'INSERT INTO public.mark VALUES (1) RETURNING pg_current_xact_id()');
my $time = $node->sql('SELECT clock_timestamp()');
$node->sql(q{SELECT pg_create_restore_point('before the mails')});
$node->sql('INSERT INTO public.mark VALUES (2)');
$simulator->release('hold');
$simulator->clear_rules;
$node->wait_drained(30);
my $installation =
  $node->sql('SELECT installation FROM roleferry.activation');
my $end = $node->sql('SELECT pg_walfile_name(pg_current_wal_lsn())');
$node->sql('SELECT pg_switch_wal()');
$node->poll_query_until('postgres',
	"SELECT last_archived_wal >= '$end' FROM pg_stat_archiver")
  or die 'the archive stays behind';
is(requests(), 18, 'the original sends all its mails');

# The archive stays as it is, so that each copy is the first one to it.
$node->stop;
my $sent = requests();

sub restore
{
	my ($name, $target) = @_;
	my $copy = RoleferryNode->new_copy($name, $node);

	$copy->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
	$copy->append_conf('postgresql.conf', <<"EOC");
archive_mode = off
$target
EOC
	$copy->start;

	# A person can also look around first, and promote it then.
	if ($target =~ /pause/)
	{
		$copy->poll_query_until('postgres', q{SELECT pg_get_wal_replay_pause_state() = 'paused'})
		  or die 'it does not pause';
		$copy->promote;
	}
	$copy->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()')
	  or die 'still in recovery';
	$copy->wait_dispatcher(30);
	return $copy;
}

my $go_on = "\nrecovery_target_action = promote";
my %copies = (
	name => [
		"recovery_target_name = 'before the mails'$go_on",
		qr/at restore point "before the mails"/
	],
	xid => [ "recovery_target_xid = '$xid'$go_on", qr/after transaction $xid/ ],
	time => [ "recovery_target_time = '$time'\nrecovery_target_action = pause", qr/before 20\d\d-/ ],
	immediate => [ "recovery_target = 'immediate'$go_on", qr/reached consistency/ ]);

sub check_mute
{
	my ($name, $copy, $reason) = @_;
	my $activity = $copy->wait_turn;
	my $told = $copy->sql(
		'SELECT concat_ws(chr(58), state, reason) FROM roleferry.activation_state()'
	);
	my ($state) = $told =~ /^(\w+):/;

	is(requests(), $sent, "$name: nothing is sent");
	is($state, 'restored', "$name: it is a restore");
	like(
		$activity,
		qr/^not active: it was restored to a point in time \($reason.*\); see roleferry\.activate\(\)$/s,
		"$name: pg_stat_activity says to which point");
	like(
		$copy->sql(
			"SELECT detail FROM roleferry.job_report($waiting[0]) WHERE event = 'waiting'"
		),
		qr/^this database is not active: it was restored/,
		"$name: a job that waits says why");
	like(
		$copy->sql(
			"SELECT detail FROM roleferry.job_report($under_way[0]) WHERE event = 'running'"
		),
		qr/^attempt 1 was under way elsewhere; this database is not active/,
		"$name: one that was under way, too");
	is_deeply(
		$copy->states,
		{ waiting => 10, running => 8 },
		"$name: its jobs are as they were");
	return;
}

sub activate
{
	my ($copy, $what) = @_;

	return $copy->sql("SELECT roleferry.activate(waiting => '$what')");
}

# The restore up to the end has seen the settlements: nothing waits in it.
foreach my $name (qw(name xid time immediate))
{
	my ($target, $reason) = @{ $copies{$name} };
	my $copy = restore($name, $target);
	my ($status, undef, $error) =
	  $copy->psql('postgres', 'SELECT roleferry.activate()');

	check_mute($name, $copy, $reason);
	like(
		$error,
		qr/not activated: jobs wait in the outbox.*13 of them, the oldest since .*, 0 held\. 5 were under way elsewhere and become unknown\./s,
		"$name: activate() says what waits and asks");

	if ($name eq 'name')
	{
		like(
			activate($copy, 'hold'),
			qr/^active; jobs waiting: 13, held; under way elsewhere and now unknown: 5$/,
			'hold: activate() tells what becomes of them');
		$copy->wait_until('the jobs of the other life are not settled',
			10, sub { ($copy->states->{unknown} || 0) == 5 });
		$copy->wait_turn;
		is(requests(), $sent,
			'hold: nothing is sent, not even what may be sent twice');
		is( $copy->sql(
				q{SELECT count(*) FROM roleferry.outbox WHERE run_at = 'infinity'}
			),
			'13',
			'hold: all of it is held');
		my ($id) = $copy->enqueue(1);
		$copy->wait_until(
			'a new mail is not sent',
			10,
			sub {
				$copy->sql(
					"SELECT state = 'sent' FROM roleferry.jobs WHERE id = $id"
				) eq 't';
			});
		is(requests(), ++$sent, 'hold: new mails are sent');
		isnt($copy->sql('SELECT installation FROM roleferry.activation'),
			$installation, 'a restore is another installation');
		is($copy->sql('SELECT timeline FROM roleferry.activation'),
			'2', 'on a timeline of its own');

		# What is active stays so, though the server remembers nothing by then.
		$copy->restart;
		$copy->wait_dispatcher(30);
		like(
			$copy->wait_turn,
			qr/^waiting for jobs/,
			'and stays active after a restart');
	}
	elsif ($name eq 'xid')
	{
		activate($copy, 'discard');
		$copy->wait_until(
			'the jobs are not settled',
			10,
			sub {
				join(',',
					map { "$_=" . $copy->states->{$_} }
					sort keys %{ $copy->states }) eq
				  'cancelled=13,unknown=5';
			});
		pass('discard: what waits is cancelled');
		is(requests(), $sent, 'discard: nothing is sent');
	}
	elsif ($name eq 'immediate')
	{
		activate($copy, 'send');
		$copy->wait_until('the mails are not sent',
			20, sub { ($copy->states->{sent} || 0) == 13 });
		is(requests(), $sent += 13, 'send: what waits is sent, as asked for');
		is($copy->states->{unknown}, 5,
			'send: what was under way is unknown');
	}
	else
	{
		# Muteness is not a matter of what the server remembers.
		$copy->append_conf('postgresql.conf', "recovery_target_time = ''");
		$copy->stop('immediate');
		$copy->start;
		$copy->wait_dispatcher(30);
		check_mute('restarted', $copy, $reason);
	}
	$copy->stop;
}

{
	my $copy = restore('end', '');

	like(
		$copy->wait_turn,
		qr/^not active: it was restored, or promoted unseen: .* timeline 1 .* timeline 2; see/,
		'a restore to the end of the archive is mute, too');
	is($copy->sql('SELECT state FROM roleferry.activation_state()'),
		'forked', 'as what it is cannot be told');
	like(
		slurp_file($copy->logfile),
		qr/nothing is sent from database "postgres": it was restored/,
		'the log says so');
	$copy->enqueue(1);
	$copy->wait_turn;
	is(requests(), $sent, 'nothing is sent by it');
	$copy->stop;
}

done_testing();

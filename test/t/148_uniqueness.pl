
# Copyright (c) 2026, roleferry authors

# A key is one mail whoever uses it at once, whatever rolls back, and as long as
# it is remembered; what it replaces goes once, in its last form.  Counted at
# the provider.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.idempotency_retention = '1h'
max_connections = 40
log_statement = none
});
my $next = 1;

# A call of enqueue_email(), or send_email(), that makes mail $n.
sub mail
{
	my ($n, %arguments) = @_;
	my $function = delete $arguments{function} || 'enqueue_email';
	my $more = join '', map { ", $_ => $arguments{$_}" } sort keys %arguments;

	return qq{roleferry.$function('sender\@mg.example.com', 'user$n\@example.net', 'mail $n', body_text => 'x',
		custom_args => '{"n": "$n"}'$more)};
}

sub app
{
	my ($sql) = @_;

	return $node->sql("SET ROLE app; $sql");
}

sub accepted
{
	my (@ns) = @_;
	my $accepted = $node->accepted;

	return join ' ', map { $accepted->{$_} || 0 } @ns;
}

# A session of its own that runs a script, which it reads by itself.
sub start_session
{
	my ($script) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/script';
	my $session = { out => '', err => '' };

	PostgreSQL::Test::Utils::append_to_file($file, "SET ROLE app;\n$script");
	$session->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', $file ],
		'<', \undef, '>', \$session->{out}, '2>', \$session->{err});
	return $session;
}

# What each printed.
sub at_once
{
	my (@scripts) = @_;
	my @sessions = map { start_session($_) } @scripts;

	$_->{run}->finish foreach @sessions;
	return map { $_->{out} } @sessions;
}

$node->wait_dispatcher(30);

# The unique index decides.
{
	my $n = $next++;
	my %ids = map { $_ => 1 } map { split /\n/ } at_once(("SELECT " . mail($n, idempotency_key => q{'race'}) . ";\n" x 5) x 8);

	is(keys %ids, 1, 'eight sessions with one key are told of one job');
	$node->wait_drained(30);
	is(accepted($n), '1', 'and the provider has one mail');
}

# Who comes second waits for the first's end, and has the key when it rolls back.
{
	my $n = $next++;
	my $first = $node->background_psql('postgres');
	my $second;

	$first->query_safe('SET ROLE app; BEGIN;');
	$first->query_safe('SELECT ' . mail($n, idempotency_key => q{'undone'}));
	$second = start_session('SELECT ' . mail($n, idempotency_key => q{'undone'}) . ';');
	$node->wait_until('the second does not wait', 30, sub {
		$node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%undone%' AND wait_event_type = 'Lock'}) eq '1';
	});
	$first->query_safe('ROLLBACK');
	$second->{run}->finish;
	like($second->{out}, qr/^\d+$/, 'after the rollback the key is the second\'s');
	$node->wait_drained(30);
	is(accepted($n), '1', 'and its mail goes, once');
	$first->quit;
}

# With another payload: an error wherever it comes from, and nothing goes.
{
	my ($n, $other) = ($next, $next + 1);
	my ($status, $out, $err);

	$next += 2;
	app('SELECT ' . mail($n, idempotency_key => q{'one'}));
	foreach my $case (
		[ 'enqueue_email()', 'SELECT ' . mail($other, idempotency_key => q{'one'}) ],
		[ 'send_email() that waits', 'SELECT status FROM ' . mail($other, function => 'send_email', idempotency_key => q{'one'}) ],
		[ 'send_email() in a block', 'BEGIN; SELECT status FROM ' . mail($other, function => 'send_email', idempotency_key => q{'one'}) ])
	{
		($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE app;\n$case->[1];");
		like($err, qr/22023: "idempotency_key" was used before, with another payload.*Job \d+ has the digest [0-9a-f]{64}, this one [0-9a-f]{64}\./s,
			"another payload is an error: $case->[0]");
	}
	$node->wait_drained(30);
	is(accepted($n, $other), '1 0', 'the first goes, the other does not');
	is(app('SELECT status FROM ' . mail($n, function => 'send_email', idempotency_key => q{'one'})),
		'sent', 'the same payload has its receipt');
}

# Replaced while the dispatcher takes what it can: of each job the last form
# goes, and no form of it before or after.
{
	my $rounds = 60;
	my @ns = ($next .. $next + 4 * $rounds - 1);
	my @scripts = ('') x 4;
	my ($accepted, @wrong, %job, %last);

	$next += 4 * $rounds;
	foreach my $i (0 .. $#ns)
	{
		# Most come in time; after each sixth the job is due before the next.
		$scripts[ $i % 4 ] .= sprintf "SELECT %d, %s; SELECT pg_sleep(%s);\n", $ns[$i],
		  mail($ns[$i], idempotency_key => q{'busy' || } . $i % 4, on_conflict => q{'replace'}, run_at => q{now() + interval '50 ms'}),
		  int($i / 4) % 6 == 5 ? 0.15 : 0.005;
	}
	foreach my $line (map { split /\n/ } at_once(@scripts))
	{
		$job{$1} = $2 if $line =~ /^(\d+)\|(\d+)$/;
	}
	is(keys %job, @ns, 'every call names a job');
	$node->wait_drained(30);
	$accepted = $node->accepted;
	is((grep { ($accepted->{$_} || 0) > 1 } @ns), 0, 'nothing that is replaced goes twice');
	is($node->sql(q{SELECT count(*) FROM roleferry.jobs j WHERE j.id IN (} . join(',', values %job) . q{) AND j.state <> 'sent'}),
		'0', 'every job they name is sent');

	# Each session has a key of its own: its numbers are in the order of its calls.
	$last{ $job{$_} } = $_ foreach sort { $a <=> $b } keys %job;
	@wrong = grep { ($accepted->{$_} || 0) != ($last{ $job{$_} } == $_) } @ns;
	is("@wrong", '', 'each in its last form and no other');
	cmp_ok(scalar keys %last, '<', scalar @ns, 'some were replaced');
	cmp_ok(scalar keys %last, '>', 4, 'and some came too late to be');
}

# A key outlives its job by the time it is remembered for, and is not let go
# before its job has ended.
{
	my ($n, $later, $task) = ($next, $next + 1, $next + 2);
	my $age = sub { $node->sql(qq{UPDATE roleferry.idempotency SET kept_from = kept_from - interval '61 min' WHERE key = '$_[0]'}) };
	my $keys = sub { $node->sql(q{SELECT string_agg(key, ' ' ORDER BY key) FROM roleferry.idempotency WHERE key LIKE 'old%'}) };

	$next += 3;
	$node->sql(q{CREATE FUNCTION public.work(n int) RETURNS int LANGUAGE sql AS 'SELECT n'});
	$node->sql(q{SELECT roleferry.register_task('work', 'public.work(int)')});
	app('SELECT ' . mail($n, idempotency_key => q{'old sent'}));
	app('SELECT ' . mail($n, idempotency_key => q{'old recent'}));
	app(qq{SELECT roleferry.enqueue('work', '{"n": 1}', idempotency_key => 'old task')});
	$node->wait_drained(30);
	app('SELECT ' . mail($later, idempotency_key => q{'old waits'}, run_at => q{now() + interval '2 days'}));
	$age->("old $_") foreach qw(sent recent task waits);
	$node->sql(q{UPDATE roleferry.message SET sent_at = sent_at - interval '61 min'
		WHERE job_id = (SELECT job_id FROM roleferry.idempotency WHERE key = 'old sent')});

	# Tidying up is the first thing that a dispatcher does.
	my $tidy = sub {
		my $pid = $node->dispatcher_pid;

		$node->sql("SELECT pg_terminate_backend($pid)");
		$node->wait_dispatcher(30, $pid);
		$node->wait_turn;
	};
	$tidy->();
	is($keys->(), 'old recent old task old waits',
		'a key goes when its mail was sent long ago; not one whose job ended since, ended at an unknown time, or waits');
	is(app('SELECT ' . mail($later, idempotency_key => q{'old waits'})),
		$node->sql(q{SELECT job_id FROM roleferry.idempotency WHERE key = 'old waits'}), 'it answers for the job that waits');
	$age->("old $_") foreach qw(task waits);
	$tidy->();
	is($keys->(), 'old recent old waits', 'what ended at an unknown time is kept for once the time more');
	isnt(app(qq{SELECT roleferry.enqueue('work', '{"n": 1}', idempotency_key => 'old task')}), '', 'then the key is free');
	app(q{SELECT roleferry.cancel(job_id) FROM (SELECT id AS job_id FROM roleferry.jobs WHERE state = 'waiting') j});
}

$node->wait_drained(30);
$node->stop;
done_testing();

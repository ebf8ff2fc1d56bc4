
# Copyright (c) 2026, roleferry authors

# Whatever dies, the jobs of an order key keep their order: at the providers, of
# each key, no mail comes after one with a larger id.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

use constant {
	KEYS => 6,
	MAILS => 40,
};

my ($node, $simulator) = RoleferryNode->start_pair(
	'crash', conf => q{
max_worker_processes = 16
roleferry.sweep_interval = 5s
roleferry.shutdown_grace = 0
restart_after_crash = on
});

$node->sql(
	q{
CREATE SCHEMA app AUTHORIZATION app;
SET ROLE app;
CREATE TABLE app.effect (id bigserial, n integer);
CREATE FUNCTION app.note(n integer) RETURNS void LANGUAGE sql AS $$ INSERT INTO app.effect (n) VALUES (n); SELECT pg_sleep(0.01) $$;
RESET ROLE;
SELECT roleferry.register_task('app.note', 'app.note(int)', run_as => 'app', retry_base => '0 s');
});
$node->wait_dispatcher(30);
$simulator->rule({ name => 'pace', action => { delay => 0.05 } });

my %key_of;

# Mails of several keys that take turns, and tasks of one.
sub enqueue
{
	my ($delivery) = @_;

	foreach my $round (1 .. MAILS)
	{
		foreach my $key (1 .. KEYS)
		{
			$key_of{ $node->{rf_next} } = "$delivery $key";
			$node->{rf_next}++;
		}
	}
	my $first = $node->{rf_next} - MAILS * KEYS;
	$node->{rf_next} = $first;
	my $sql = join ";\n", map {
		my $n = $_;
		qq{SELECT roleferry.enqueue_email('team\@mg.example.com', 'user$n\@example.net', 'mail $n', 'x',
			custom_args => '{"n": "$n"}', order_key => '$key_of{$n}', delivery => '$delivery')}
	} $first .. $first + MAILS * KEYS - 1;
	my @ids = split /\n/,
	  $node->sql("BEGIN; SET LOCAL ROLE app; $sql; COMMIT");

	$node->adopt(map { $first + $_ => $ids[$_] } 0 .. $#ids);
	$node->{rf_next} = $first + MAILS * KEYS;
	$node->sql(
		q{SET ROLE app; SELECT roleferry.enqueue('app.note', jsonb_build_object('n', i), order_key => 't') FROM generate_series(1, 20) i}
	);
	return;
}

# Of each key, what came after one that was enqueued later.
sub disorder
{
	my %last;
	my @wrong;

	foreach my $line ($simulator->journal(phase => 'body'))
	{
		my $n = $line->{custom_args}{n};
		my $key = $key_of{$n};

		push @wrong, "$n after $last{$key}"
		  if defined $last{$key} && $n < $last{$key};
		$last{$key} = $n unless defined $last{$key} && $n < $last{$key};
	}
	return "@wrong";
}

sub progress
{
	my ($more) = @_;
	my $before = () = $simulator->journal(phase => 'body');

	$node->wait_until(
		'nothing goes on',
		30,
		sub { (() = $simulator->journal(phase => 'body')) >= $before + $more }
	);
	return;
}

# The dispatcher dies where it matters most, and anywhere.
foreach my $delivery (qw(at_most_once at_least_once))
{
	enqueue($delivery);
	foreach my $point (
		qw(before_claim_commit after_claim_commit in_record after_record))
	{
		progress(3);
		$node->fault($point, 'kill', 2);
		$node->crash_wait;
	}
	progress(5);
	$node->kill_process($node->dispatcher_pid);
	$node->crash_wait;
	$node->wait_drained(60);
	is(disorder(), '', "$delivery: in order, whatever died");
}
is($node->sql('SELECT count(*) FROM roleferry.outbox WHERE lane < 0'),
	'0', 'nobody is left behind');
is( $node->sql(
		'SELECT count(*) FROM (SELECT n, lag(n) OVER (ORDER BY id) AS before FROM app.effect) e WHERE n <> coalesce(before, 0) % 20 + 1'
	),
	'0',
	'tasks too, and each ran once');
cmp_ok($node->states->{sent}, '>', KEYS * MAILS, 'most were sent');

# A restart finds who is next where no hint is left.
$node->sql(q{SELECT roleferry.pause_all()});
enqueue('at_most_once');
$node->sql(
	'DELETE FROM roleferry.outbox WHERE id IN (SELECT min(id) FROM roleferry.outbox GROUP BY order_key)'
);
$node->disown(
	map { $node->committed($_) } grep {
		my $id = $node->committed($_);
		$node->sql("SELECT count(*) FROM roleferry.outbox WHERE id = $id") eq
		  '0'
	} ($node->{rf_next} - KEYS * MAILS)
	  .. ($node->{rf_next} - KEYS * MAILS + KEYS - 1));
is($node->sql('SELECT count(*) FROM roleferry.outbox WHERE lane >= 0'),
	'0', 'all are parked');
$node->restart;
$node->sql(q{SELECT roleferry.resume_all()});
$node->wait_drained(60);
is(disorder(), '', 'after a restart the smallest id goes next');

# Prepared transactions come without hints.
$node->stop;
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 2');
$node->start;
$node->wait_dispatcher(30);
$simulator->rule(
	{
		name => 'hold',
		match => { to => '^first@' },
		action => { hold => 'hold' }
	});
$simulator->clear_rules('pace');
$node->sql(
	q{SELECT roleferry.enqueue_email('team@mg.example.com', 'first@example.net', 'Hi', 'x', custom_args => '{"m": "9001"}', order_key => 'p')}
);
$node->wait_until('the first is not under way',
	20, sub { $simulator->held('hold') == 1 });
$node->sql(
	q{BEGIN;
SELECT roleferry.enqueue_email('team@mg.example.com', 'second@example.net', 'Hi', 'x', custom_args => '{"m": "9002"}', order_key => 'p');
PREPARE TRANSACTION 'second'});
$simulator->clear_rules('hold');
$simulator->release('hold');
$node->wait_drained(20);
$node->sql(q{COMMIT PREPARED 'second'});
$node->wait_drained(30);
is( $node->sql(
		q{SELECT count(*) FROM roleferry.message WHERE to_addr = 'second@example.net'}
	),
	'1',
	'a job that was prepared behind another one is found by a sweep');
$node->assert_invariants('and nothing was lost, or sent without a commit',
	at_least_once => 1);
done_testing();


# Copyright (c) 2026, roleferry authors

# A long backlog under one order key, beside many keys with a few jobs each and
# mails without a key: all in order, nobody in nobody else's way, and each job is
# written once, and looked for a few times, however many wait and have gone.
# With RF_LONG there are a hundred thousand of one key and ten thousand keys.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $backlog = $ENV{RF_LONG} ? 100_000 : 1000;
my $keys = $ENV{RF_LONG} ? 10_000 : 100;
my $each = 10;
my $free = $ENV{RF_LONG} ? 5000 : 300;
my $jobs = $backlog + $keys * $each + $free;
my $seconds = $ENV{RF_LONG} ? 3600 : 120;
my $megabytes = $ENV{RF_LONG} ? 48 : 24;

# Sweeps do read what is dead, which their interval follows: here it is about
# claims, so there are none.
my ($node, $simulator) = RoleferryNode->start_pair(
	'backlog', conf => q{
roleferry.sweep_interval = 10min
fsync = off
max_wal_size = 8GB
autovacuum = off
roleferry.max_in_flight = 40
});

# Of a mail's number: those of the one key first, those without a key last.
sub key_of
{
	my ($n) = @_;

	return 'one' if $n <= $backlog;
	return 'k' . $n % $keys if $n <= $backlog + $keys * $each;
	return;
}

sub enqueue_all
{
	my @ids = split /\n/, $node->sql(
		qq{
BEGIN;
SET LOCAL ROLE app;
SELECT roleferry.enqueue_email('sender\@mg.example.com', 'user' || n || '\@example.net', 'mail ' || n, 'x',
	custom_args => jsonb_build_object('n', n::text), priority => CASE WHEN n <= $backlog THEN 5 ELSE n % 2 * 5 END,
	order_key => CASE WHEN n <= $backlog THEN 'one' WHEN n <= $backlog + $keys * $each THEN 'k' || n % $keys END)
FROM generate_series(1, $jobs) n;
COMMIT});

	$node->adopt(map { $_ => $ids[ $_ - 1 ] } 1 .. $jobs);
	return;
}

# What came too early, and how many of the one key had come before the last mail
# without a key.
sub read_journal
{
	my (%last, %open, @wrong);
	my $of_one = 0;
	my $before_free = 0;

	foreach my $line ($simulator->journal)
	{
		next
		  unless $line->{phase} =~ /^(body|accepted)$/
		  && defined $line->{custom_args}{n};
		my $n = $line->{custom_args}{n};
		my $key = key_of($n);

		if (!defined $key)
		{
			$before_free = $of_one;
			next;
		}
		if ($line->{phase} eq 'accepted')
		{
			delete $open{$key};
			next;
		}
		push @wrong, "$n beside $open{$key}" if $open{$key};
		push @wrong, "$n after $last{$key}"
		  if defined $last{$key} && $n < $last{$key};
		$open{$key} = $last{$key} = $n;
		$of_one++ if $key eq 'one';
	}
	return ("@wrong", $before_free);
}

sub statistics
{
	my ($what) = @_;

	return $node->sql(
		"SELECT $what FROM pg_stat_user_tables WHERE relid = 'roleferry.outbox'::regclass"
	);
}

$node->sql(q{SELECT roleferry.pause_all()});
enqueue_all();

# A report that runs meanwhile: no row that has gone can be forgotten.
my $report = $node->background_psql('postgres', on_error_stop => 1);
$report->set_query_timer_restart;
$report->query_safe(
	'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
$node->sql(q{SELECT roleferry.resume_all()});
$node->wait_drained($seconds);
my $memory = slurp_file('/proc/' . $node->dispatcher_pid . '/status') =~
  /^RssAnon:\s+(\d+)/m ? $1 / 1024 : 0;

my ($wrong, $before_free) = read_journal();
is($wrong, '', 'each key one at a time, in the order of ids');
cmp_ok($before_free, '<', $backlog / 2,
	'mails without a key do not wait for the backlog of one');
$node->wait_until(
	'the statistics are not told',
	30,
	sub {
		$node->sql('SELECT roleferry.wake()');
		return statistics('n_tup_del') eq $jobs;
	});
is(statistics('n_tup_upd'), $jobs,
	'each job is written once, when it is claimed');
my $looked_at = $node->sql(
	q{SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'outbox_order_key_idx'}
);
cmp_ok($looked_at, '<', 5 * $jobs,
	"and is looked for a few times ($looked_at for $jobs jobs)");
cmp_ok($memory, '<', $megabytes, sprintf('the dispatcher stays small (%.1f MB)', $memory));
$report->query_safe('COMMIT');
$report->quit;
$node->assert_invariants('nothing was lost, or sent twice');
done_testing();

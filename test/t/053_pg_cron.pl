
# Copyright (c) 2026, roleferry authors

# send_email() from pg_cron, in both of its ways to run a job: sent once, and
# not at all by a job that fails.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $library = `pg_config --pkglibdir`;
chomp $library;
plan skip_all => 'skipped: pg_cron is not installed' unless -e "$library/pg_cron.so";

# The jobs of a node, which run at the next full minute.
sub start_node
{
	my ($name, $background_workers) = @_;
	my $node = RoleferryNode->start_pair($name, conf => qq{
cron.database_name = 'postgres'
cron.use_background_workers = $background_workers
});

	# After the pair's own line, which it overrides; the socket is known by now.
	$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'roleferry, pg_cron'
cron.host = '@{[ $node->host ]}'
});
	$node->restart;
	$node->wait_dispatcher(30);
	$node->sql('CREATE EXTENSION pg_cron');
	$node->sql('CREATE TABLE public.receipt (status text)');
	schedule($node, 'alone', mail(1));
	schedule($node, 'fails', mail(2) . '; SELECT 1/0');
	schedule($node, 'keeps', 'INSERT INTO public.receipt ' . mail(3));

	# As if the scheduler fired twice: two jobs with one command.
	schedule($node, "ticks $_", ticking_mail(4)) foreach 1, 2;
	return $node;
}

sub mail
{
	my ($n) = @_;

	return qq{SELECT status FROM roleferry.send_email('sender\@mg.example.com', 'user$n\@example.net', 'mail $n', 'hello', custom_args => '{"n": "$n"}')};
}

# The recipe of the README: the key is the tick.
sub ticking_mail
{
	my ($n) = @_;

	return qq{SELECT roleferry.enqueue_email('sender\@mg.example.com', 'user$n\@example.net', 'mail $n', 'hello', custom_args => '{"n": "$n"}',
		idempotency_key => 'ticks ' || date_trunc('minute', now()))};
}

sub schedule
{
	my ($node, $name, $command) = @_;

	$command =~ s/'/''/g;
	$node->sql("SELECT cron.schedule('$name', '* * * * *', '$command')");
	return;
}

# Until each has run once; then none runs again.
sub wait_jobs
{
	my ($node) = @_;

	$node->wait_until('pg_cron has not run its jobs', 150, sub {
		$node->sql(q{SELECT count(DISTINCT jobid) FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')}) == 5;
	});
	$node->sql('SELECT cron.unschedule(jobid) FROM cron.job');
	$node->wait_until('a job still runs', 30, sub {
		$node->sql(q{SELECT count(*) FROM cron.job_run_details WHERE status NOT IN ('succeeded', 'failed')}) == 0;
	});
	$node->wait_drained(30);
	return;
}

# How often each ran, for a minute may have passed in between.
sub runs
{
	my ($node, $n) = @_;

	return $node->sql(qq{SELECT count(*) FROM cron.job_run_details WHERE command LIKE '%mail $n''%'});
}

my %nodes = (connections => start_node('connections', 'off'), workers => start_node('workers', 'on'));

foreach my $name (sort keys %nodes)
{
	my $node = $nodes{$name};

	wait_jobs($node);
	is($node->accepted->{1}, runs($node, 1), "$name: a job that only sends sends once a run");
	is($node->accepted->{2} || 0, 0, "$name: a job that fails afterwards sends nothing");
	is($node->accepted->{3}, runs($node, 3), "$name: a job that keeps the receipt sends once a run");
	is($node->sql('SELECT DISTINCT status FROM public.receipt'), 'queued', "$name: after its commit");
	is($node->accepted->{4}, $node->sql(q{SELECT count(DISTINCT key) FROM roleferry.idempotency WHERE key LIKE 'ticks %'}),
		"$name: a job that is fired twice a tick sends once a tick");
	cmp_ok(runs($node, 4), '>=', 2 * $node->accepted->{4} - 1, "$name: though it ran twice");
	is($node->sql(q{SELECT count(*) FROM roleferry.dead_letters}), '0', "$name: nothing went wrong");
}

$_->stop foreach values %nodes;
done_testing();

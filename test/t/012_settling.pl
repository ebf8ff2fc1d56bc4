
# Copyright (c) 2026, roleferry authors

# What was sent goes to roleferry.message without a statement.  The row is the
# same, every index knows it, and what somebody has added to the two tables, or
# writes to them in the same moment, works as it would with one.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.max_in_flight = 200
max_connections = 30
});

my $row =
  q{SELECT to_jsonb(m) - '{job_id,created_at,sent_at,message_id,raw_message_id,to_addr,subject}'::text[]
	FROM roleferry.message m WHERE job_id = };

# Sends one mail, and returns its job.
sub send_one
{
	my ($id) = $node->enqueue(1, tenant_key => 'lemon', queue => 'sequences');

	$node->wait_drained(30);
	return $id;
}

# A change to the tables, what is looked at then, and the change's end.
sub works_with
{
	my ($name, $do, $look, $undo) = @_;
	my $id;

	$node->sql($do);
	$id = send_one();
	is($node->sql(sprintf $look, $id), '1', $name);
	$node->sql($undo);
	return $id;
}

# Many at once, and each index: what is found by none is not there.
{
	my @ids;

	$simulator->rule({ name => 'all', action => { hold => 'all' } });
	@ids = $node->enqueue(150, accounts => ['sendgrid']);
	$node->wait_until('not all are under way',
		30, sub { $simulator->held('all') == 150 });
	$simulator->clear_rules;
	$simulator->release('all');
	$node->wait_drained(30);
	my $list = join ',', @ids;
	is( $node->sql(
			qq{SET enable_seqscan = off;
SELECT count(DISTINCT a.job_id) FROM unnest(ARRAY[$list]::bigint[]) i
JOIN roleferry.message a ON a.job_id = i JOIN roleferry.message b ON b.message_id = a.message_id AND b.job_id = i}
		),
		'150',
		'150 mails that end together are found by their jobs and by their ids'
	);
	is($node->sql('SELECT count(*) FROM roleferry.message'),
		'150', 'each once');
}

my $plain = send_one();
like(
	$node->sql("$row $plain"),
	qr/"role": "app", "queue": "sequences".*"tenant_key": "lemon"/,
	'a row tells whose mail it was');
is( $node->sql(
		"SELECT created_at <= sent_at AND attempts = 1 AND http_status = 202 AND subject LIKE 'mail %'"
		  . " FROM roleferry.message WHERE job_id = $plain"),
	't',
	'when, and how it went');

# A column that must have a value now, and has none.
{
	my $id;
	my $log_end = -s $node->logfile;

	$node->sql(
		q{UPDATE roleferry.message SET tenant_key = 'none' WHERE tenant_key IS NULL; ALTER TABLE roleferry.message ALTER COLUMN tenant_key SET NOT NULL}
	);
	($id) = $node->enqueue(1);
	ok( $node->wait_until(
			'it is not missed',
			30,
			sub {
				slurp_file($node->logfile, $log_end) =~
				  /failed while settling jobs: null value in column "tenant_key"/;
			}),
		'a value that somebody asks for is missed');
	is($node->sql("SELECT count(*) FROM roleferry.outbox WHERE id = $id"),
		'1', 'and the outcome is kept');
	$node->sql(
		'ALTER TABLE roleferry.message ALTER COLUMN tenant_key DROP NOT NULL'
	);
	$node->wait_drained(30);
	is( $node->sql(
			"SELECT count(*) FROM roleferry.message WHERE job_id = $id"),
		'1',
		'until it can be written');
}

# Somebody writes to a job's row while it is to be taken out.
foreach my $end (qw(COMMIT ROLLBACK))
{
	my $id;
	my $session = $node->background_psql('postgres');

	$simulator->rule({ name => 'one', action => { hold => 'one' } });
	($id) = $node->enqueue(1, accounts => ['sendgrid']);
	$node->wait_until('it is not under way',
		30, sub { $simulator->held('one') == 1 });
	$session->query_safe(
		"BEGIN; UPDATE roleferry.outbox SET crashes = crashes WHERE id = $id"
	);
	$simulator->clear_rules;
	$simulator->release('one');
	$node->wait_until(
		'nobody waits for the row',
		30,
		sub {
			$node->sql(
				q{SELECT count(*) FROM pg_stat_activity
				WHERE backend_type = 'roleferry dispatcher' AND wait_event_type = 'Lock'}
			) eq '1';
		});
	$session->query_safe($end);
	$session->quit;
	$node->wait_drained(30);
	is( $node->sql(
			"SELECT string_agg(state, ' ') FROM (SELECT state FROM roleferry.jobs WHERE id = $id UNION ALL SELECT state FROM roleferry.dead_letter WHERE job_id = $id) s"
		),
		'sent',
		"a row that somebody else wrote to leaves after his $end");
}

# From here on others have a hand in the tables; a column that was there leaves its
# trace, so these come last.
$node->sql(
	q{CREATE TABLE seen (id bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.seen SELECT coalesce(r ->> 'id', r ->> 'job_id')::bigint FROM to_jsonb(coalesce(NEW, OLD)) r;
	RETURN NULL;
END $$});
my $seen = 'SELECT count(*) FROM seen WHERE id = %s';
my $by_statement = works_with(
	'a trigger on message sees the row',
	'CREATE TRIGGER note AFTER INSERT ON roleferry.message FOR EACH ROW EXECUTE FUNCTION note()',
	$seen,
	'DROP TRIGGER note ON roleferry.message');
is( $node->sql("$row $by_statement"),
	$node->sql("$row $plain"),
	'by a statement the row is the same');
works_with(
	'a trigger on outbox sees it leave',
	'CREATE TRIGGER note AFTER DELETE ON roleferry.outbox FOR EACH ROW EXECUTE FUNCTION note()',
	$seen,
	'DROP TRIGGER note ON roleferry.outbox');
works_with(
	'a column of somebody else\'s gets its default',
	q{ALTER TABLE roleferry.message ADD COLUMN extra text DEFAULT 'filled'},
	q{SELECT count(*) FROM roleferry.message WHERE job_id = %s AND extra = 'filled'},
	'ALTER TABLE roleferry.message DROP COLUMN extra');
works_with(
	'an index of somebody else\'s knows the row',
	'CREATE INDEX extra ON roleferry.message (lower(subject), job_id)',
	q{SET enable_seqscan = off; SELECT count(*) FROM roleferry.message WHERE lower(subject) LIKE 'mail%%' AND lower(subject) >= '' AND job_id = %s},
	'DROP INDEX roleferry.extra');

$node->assert_invariants;
done_testing();

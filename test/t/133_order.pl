
# Copyright (c) 2026, roleferry authors

# order_key: jobs of a role with the same key run one at a time, in the order of
# their ids, whatever they are, and hold up nobody else.  Counted at the
# providers.  Sweeps are so far apart that nothing but hints moves a job.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'order', conf => q{
max_worker_processes = 16
roleferry.max_executors = 3
roleferry.sweep_interval = 60s
roleferry.request_timeout = 5min
});

$node->sql(
	q{
CREATE SCHEMA app AUTHORIZATION app;
SET ROLE app;
CREATE TABLE app.effect (id bigserial, n integer, alone boolean);
CREATE FUNCTION app.note(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	mine boolean := pg_try_advisory_lock(7);
BEGIN
	PERFORM pg_sleep(0.005);
	INSERT INTO app.effect (n, alone) VALUES (note.n, mine);
	IF mine THEN
		PERFORM pg_advisory_unlock(7);
	END IF;
END $$;
RESET ROLE;
SELECT roleferry.register_task('app.note', 'app.note(int)', run_as => 'app');
SELECT roleferry.register_task('app.shared', 'app.note(int)', run_as => 'app', batch => true);
});
$node->wait_dispatcher(30);

# What the providers have read and decided since the last call: "1 2 3", or a
# complaint where a mail came before the one before it was decided.
my $seen = 0;

sub arrived
{
	my @all =
	  grep { $_->{phase} =~ /^(body|accepted|refused)$/ } $simulator->journal;
	my @order;
	my $open = 0;

	foreach my $line (@all[ $seen .. $#all ])
	{
		if ($line->{phase} eq 'body')
		{
			push @order,
			  defined $line->{call} ? $line->{call} : $line->{custom_args}{n};
			return "two at once: @order" if $open++;
		}
		else
		{
			$open-- if $open;
		}
	}
	$seen = @all;
	return "@order";
}

sub blocked
{
	my $where = shift || 'true';

	return $node->sql(
		"SELECT string_agg(job_id || ' ' || why || ': ' || detail, '; ' ORDER BY job_id) FROM roleferry.blocked WHERE $where"
	);
}

# What the commits so far have announced has been seen.  (Not wait_turn: requests
# are under way.)
sub wait_turns
{
	foreach my $turn (1 .. 2)
	{
		my $now = $node->sql('SELECT clock_timestamp()');

		$node->sql('SELECT roleferry.wake()');
		$node->wait_until(
			'the dispatcher makes no turn',
			20,
			sub {
				$node->sql(
					"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher' AND state_change > '$now'"
				) eq '1';
			});
	}
	return;
}

# One after the other, of one statement and of many.
$node->enqueue(30, order_key => 'a');
$node->enqueue(1, order_key => 'a') foreach 1 .. 5;
$node->wait_drained(30);
is( arrived(),
	join(' ', 1 .. 35),
	'mails of a key go in the order of their ids, one at a time');

# The first is under way: the others wait, and nobody else does.
$node->hold_mail(36);
my @held = $node->enqueue(3, order_key => 'b');
$node->wait_mail_held(36);
$node->enqueue(5);
$node->enqueue(5, order_key => 'c');
$node->sql(
	'CREATE ROLE other; GRANT USAGE ON FOREIGN SERVER sendgrid, mailgun TO other'
);
$node->sql(q{SELECT roleferry.grant_access('other', 'sender')});
$node->enqueue(2, order_key => 'b', role => 'other');
$node->wait_until('the others do not go',
	20, sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '3' });
pass(
	'without a key, with another, and with the same of another role they go meanwhile'
);
is( blocked(),
	"$held[1] order key: job $held[0] is under way; $held[2] order key: job $held[0] is under way",
	'blocked says which job is first');
$node->release_mail(36);
$node->wait_drained(20);
is( join(' ',
		(map { $_->{custom_args}{n} } $simulator->journal(phase => 'body'))
		  [ -2, -1 ]),
	'37 38',
	'then the next two go');
$seen =
  grep { $_->{phase} =~ /^(body|accepted|refused)$/ } $simulator->journal;

# What ends otherwise frees the key; what waits to be tried again holds it.
$node->sql(q{SELECT roleferry.pause_queue('sequences')});
$node->{rf_next} = 101;
my @ids = $node->enqueue(8, order_key => 'd', delivery => 'at_most_once');
my ($retried) = $node->enqueue(
	1,
	order_key => 'd',
	delivery => 'at_least_once',
	accounts => ['sendgrid']);
$node->enqueue(1, order_key => 'd');
$simulator->rule(
	{
		name => 'bad',
		match => { to => '^user101@' },
		action => { status => 400 }
	});
$simulator->rule(
	{
		name => 'lost',
		match => { to => '^user102@' },
		action => { reset => 'after_read' }
	});
$simulator->rule(
	{
		name => 'again',
		match => { to => '^user109@' },
		count => 1,
		action => { status => 500 }
	});
$node->sql(q{SELECT roleferry.suppress('user103@example.net', 'manual')});
$node->sql(
	"UPDATE roleferry.outbox SET expires_at = now() WHERE id = $ids[3]");
is($node->sql("SELECT roleferry.cancel($ids[4])"),
	't', 'one in the middle is cancelled');
like(
	blocked("job_id = $ids[5]"),
	qr/^$ids[5] order key: job $ids[0] goes first$/,
	'nothing is under way');
$node->sql(q{SELECT roleferry.resume_queue('sequences')});
$node->wait_until(
	'it is not tried again',
	30,
	sub {
		$node->sql(
			"SELECT attempts FROM roleferry.outbox WHERE id = $retried AND worker IS NULL"
		) eq '1';
	});
is( arrived(),
	'101 102 106 107 108 109',
	'failed, unknown, suppressed, expired and cancelled jobs free their key');
like(
	blocked(),
	qr/^$retried retry: .*; \d+ order key: job $retried goes first and is tried again$/,
	'a retry that waits holds it');
$node->wait_drained(40);
is(arrived(), '109 110', 'and goes before the next');
is( $node->sql(
		"SELECT string_agg(state, ' ' ORDER BY job_id) FROM roleferry.dead_letter WHERE order_key = 'd'"
	),
	'failed unknown suppressed expired cancelled',
	'their states');
$simulator->clear_rules;

# The first is cancelled while the rest waits, and a dead letter comes back.
$node->sql(q{SELECT roleferry.pause_queue('sequences')});
@ids = $node->enqueue(3, order_key => 'e');
$node->sql("SELECT roleferry.cancel($ids[0])");
$node->sql(q{SELECT roleferry.resume_queue('sequences')});
$node->wait_until('the second does not go',
	20, sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '0' });
is(arrived(), '112 113', 'cancelling the first lets the second go');
$node->hold_mail(114);
$node->enqueue(2, order_key => 'e');
$node->wait_mail_held(114);
$node->sql("SELECT roleferry.retry($ids[0])");
$node->release_mail(114);
$node->wait_drained(20);
is(arrived(), '114 111 115',
	'a dead letter that is tried again goes by its id');

# Ids are not in the order of commits.
my $early = $node->background_psql('postgres', on_error_stop => 1);
my $enqueue = sub {
	my ($n) = @_;

	return
	  qq{SELECT roleferry.enqueue_email('team\@mg.example.com', 'user$n\@example.net', 'Hi', 'x',
		custom_args => '{"n": "$n"}', order_key => 'f')};
};
$early->query_safe('BEGIN; ' . $enqueue->(201));
$node->sql($enqueue->(202));
$node->wait_until(
	'who commits first does not go first',
	20,
	sub {
		grep { $_->{custom_args}{n} eq '202' }
		  $simulator->journal(phase => 'accepted');
	});
$early->query_safe('COMMIT');
$node->wait_drained(20);
is(arrived(), '202 201', 'a job that was not committed holds up nobody');

$node->hold_mail(204);
$early->query_safe('BEGIN; ' . $enqueue->(203));
$node->sql($enqueue->(204));
$node->wait_mail_held(204);
$node->sql($enqueue->(205));
$early->query_safe('COMMIT');
$node->sql($enqueue->(206));
wait_turns();
is(arrived(), '204', 'a smaller id that comes while another runs waits');
$node->release_mail(204);
$node->wait_drained(20);
is(arrived(), '203 205 206', 'and is next');

# The one before it ends while it is not committed yet.
$node->hold_mail(207);
$node->sql($enqueue->(207));
$node->wait_mail_held(207);
$early->query_safe('BEGIN; ' . $enqueue->(208));
is( $early->query_safe(
		'SELECT count(*) FROM roleferry.outbox WHERE lane < 0'),
	'1',
	'it was put behind the one under way');
$node->release_mail(207);
$node->wait_until('207 does not end',
	20, sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '0' });
$early->query_safe('COMMIT');
$node->wait_drained(20);
is(arrived(), '207 208',
	'who was put behind a job that has ended meanwhile goes at once');
$early->quit;

# Whatever the task, queue, priority and way in.
$node->sql(q{SELECT roleferry.pause_all()});
$node->sql(
	q{
SET ROLE app;
SELECT roleferry.enqueue('app.note', jsonb_build_object('n', i), order_key => 'g', priority => i % 11,
	queue => CASE i % 2 WHEN 0 THEN 'default' ELSE 'analytics' END, tenant_key => 't' || i % 3) FROM generate_series(1, 30) i;
SELECT roleferry.enqueue('app.shared', jsonb_build_object('n', i), order_key => 'g') FROM generate_series(31, 45) i;
INSERT INTO roleferry.outbox (task, args, order_key, priority)
	SELECT 'app.note', jsonb_build_object('n', i), 'g', 10 FROM generate_series(46, 50) i;
});
$node->sql(q{SELECT roleferry.resume_all()});
$node->wait_drained(60);
is( $node->sql(
		"SELECT string_agg(n::text, ' ' ORDER BY id) FROM app.effect WHERE n <= 50"
	),
	join(' ', 1 .. 50),
	'SQL tasks of a key run in the order of their ids, over queues, tenants and priorities'
);
is($node->sql('SELECT count(*) FROM app.effect WHERE NOT alone'),
	'0', 'one at a time');

# A verification, which is paid for in a batch, a mail and a task.
$node->add_verifier;
$node->sql(
	q{
SET ROLE app;
INSERT INTO roleferry.outbox (task, args, order_key) VALUES ('verify_emails', '{"emails": ["ada@example.net"]}', 'v');
SELECT roleferry.enqueue_email('team@mg.example.com', 'ada@example.net', 'Hi', 'x', custom_args => '{"n": "251"}', order_key => 'v');
SELECT roleferry.enqueue('app.note', '{"n": 252}', order_key => 'v');
});
$node->wait_until(
	'the verification is not under way',
	20,
	sub {
		$node->sql('SELECT count(*) FROM roleferry.outbox WHERE worker = -1')
		  eq '1';
	});
is($node->sql('SELECT count(*) FROM roleferry.outbox WHERE lane < 0'),
	'2', 'a verification in a batch holds its key');
$node->wait_drained(40);
like(arrived(), qr{^(?:\S*/\S+ )+251$}, 'the mail goes when it has ended');
is($node->sql('SELECT max(n) FROM app.effect WHERE n < 1000'),
	'252', 'then the task');

# Many behind one are not looked at for each of the others: that would be half a
# million rows.  Some thousand are counted each second, for the statistics.
# Numbers are reported once a second at most: two turns a second apart do.
sub rows_looked_at
{
	foreach (1 .. 2)
	{
		sleep 1;
		wait_turns();
	}
	return $node->sql(
		q{SELECT idx_tup_read FROM pg_stat_all_indexes WHERE indexrelname = 'outbox_lane_idx'}
	);
}

$node->{rf_next} = 1001;
my ($late) = $node->enqueue(1, order_key => 'h', run_at => '2100-01-01');
$node->enqueue(4999, order_key => 'h');
my $before = rows_looked_at();
$node->sql(join ";\n",
	map { $enqueue->($_) =~ s/, order_key => 'f'//r } 401 .. 500);
$node->wait_until('the others do not go',
	30,
	sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '5000' });
my $looked_at = rows_looked_at() - $before;
cmp_ok($looked_at, '<', 25_000,
	"5000 parked jobs are not in the way of others ($looked_at rows looked at)"
);
$node->sql(
	q{DELETE FROM roleferry.outbox WHERE id % 100 <> (SELECT min(id) % 100 FROM roleferry.outbox)}
);
$node->sql(
	"UPDATE roleferry.outbox SET run_at = now() WHERE id = $late; SELECT roleferry.wake()"
);
$node->wait_drained(60);
my @last = grep { $_ > 1000 }
  map { $_->{custom_args}{n} || 0 } $simulator->journal(phase => 'body');
is( "@last",
	join(' ', sort { $a <=> $b } @last),
	'what is left of them goes in order');
is(scalar @last, 50, 'all of them');
is( $node->sql(
		q{SELECT count(*) FROM roleferry.dead_letter WHERE state = 'unknown'}
	),
	'1',
	'nothing else became of any of them');
done_testing();

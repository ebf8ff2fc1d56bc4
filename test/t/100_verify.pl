
# Copyright (c) 2026, roleferry authors

# Verdicts on addresses: what is asked together is paid for once, each caller
# gets his own rows in his order, and what is known is not asked again.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.verify_max_wait = '300ms'
roleferry.verify_poll_interval = '50ms'
});
$node->add_verifier;
$node->wait_dispatcher(30);

# Rows or the error of one call, as the role "app".
sub verify
{
	my ($arguments, $columns) = @_;
	$columns ||= 'email, status, raw, source';
	my (undef, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET ROLE app;\nSELECT $columns FROM roleferry.verify_emails($arguments);"
	);

	return wantarray ? ($out, $err) : $out;
}

# --- One call ---

my ($out, $err) = verify(
	q{ARRAY['Ann@Example.com', 'invalid1@example.com', 'catchall@example.com', 'unknown@example.com',
	'disposable@example.com', 'ann@example.com', 'no address', NULL, '']});
is($err, '', 'verify_emails() raises nothing');
is( $out,
	join("\n",
		'Ann@Example.com|valid|valid|neverbounce',
		'invalid1@example.com|invalid|invalid|neverbounce',
		'catchall@example.com|risky|catchall|neverbounce',
		'unknown@example.com|unknown|unknown|neverbounce',
		'disposable@example.com|invalid|disposable|neverbounce',
		'ann@example.com|valid|valid|neverbounce',
		'no address|invalid||syntax',
		'|invalid||syntax',
		'|invalid||syntax'),
	'one row for each element, in its order');
is(scalar(my @jobs = $simulator->jobs_created), 1, 'one paid job');
is($simulator->charged('neverbounce'), 4,
	'an address is paid for once, whatever its case, and no address not at all'
);
is(states(), 'done 1', 'the job is done');

# Jobs by state, as "done 2, failed 1".
sub states
{
	return join ', ', map { tr/|/ /r } split /\n/, $node->sql(q{SELECT state, count(*) FROM roleferry.jobs GROUP BY state ORDER BY 1});
}

# What the provider has read and charged since the last call: calls to make
# jobs, single checks, credits.
my %seen;

sub spent
{
	my %now = (
		jobs => $simulator->calls('neverbounce', 'jobs/create'),
		checks => $simulator->calls('neverbounce', 'single/check'),
		credits => $simulator->charged('neverbounce'));
	my $difference = join ' ', map { $now{$_} - ($seen{$_} || 0) } qw(jobs checks credits);

	%seen = %now;
	return $difference;
}

spent();

# --- What is known ---

is(verify(q{ARRAY['ANN@example.com', 'invalid1@example.com', 'catchall@example.com']}),
	"ANN\@example.com|valid|valid|cache\ninvalid1\@example.com|invalid|invalid|cache\ncatchall\@example.com|risky|catchall|cache",
	'what is known is not asked again');
is(spent(), '0 0 0', 'and costs nothing');
is(verify(q{'{}'}), '', 'an empty list has no rows');
is(verify(q{ARRAY['unknown@example.com'], timeout => '20 s'}), 'unknown@example.com|unknown|unknown|neverbounce',
	'an unknown verdict is not kept');
is(spent(), '0 1 0', 'one address that somebody waits for is asked about by itself');
is(verify(q{ARRAY['ann@example.com'], max_age => '0'}), 'ann@example.com|valid|valid|neverbounce', 'max_age asks anew');
is(spent(), '0 1 1', 'which costs a credit');
$node->sql(q{UPDATE roleferry.email_verdict_cache SET checked_at = now() - interval '31 days' WHERE email = 'ann@example.com'});
is(verify(q{ARRAY['ann@example.com']}), 'ann@example.com|valid|valid|neverbounce', 'a verdict that is too old asks anew, too');
is(spent(), '0 1 1', 'once');
foreach my $case ([ 'risky', '6 days', '0 0 0' ], [ 'risky', '8 days', '0 1 1' ],
	[ 'invalid', '89 days', '0 0 0' ], [ 'invalid', '91 days', '0 1 1' ], [ 'unknown', '1 minute', '0 1 1' ])
{
	my ($status, $age, $cost) = @$case;

	$node->sql(qq{INSERT INTO roleferry.email_verdict_cache (email, checked_at, status, provider)
VALUES ('aged\@example.com', now() - interval '$age', '$status', 'x')
ON CONFLICT (email) DO UPDATE SET checked_at = excluded.checked_at, status = excluded.status});
	verify(q{ARRAY['aged@example.com']});
	is(spent(), $cost, "a verdict $status of $age ago " . ($cost eq '0 0 0' ? 'answers' : 'does not answer'));
}

# --- Where it may be called ---

is($node->sql(q{BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL ROLE app; SELECT count(*) FROM roleferry.jobs WHERE id < 0;
SELECT status FROM roleferry.verify_emails(ARRAY['block1@example.com', 'invalid2@example.com']); ROLLBACK}),
	"0\nvalid\ninvalid", 'a transaction with an old snapshot sees its verdicts');
spent();
is(verify(q{ARRAY['block1@example.com', 'invalid2@example.com']}, 'status, source'), "valid|cache\ninvalid|cache", 'its rollback loses none');
is(spent(), '0 0 0', 'nor pays again');
is($node->sql(q{SET ROLE app; DO $$ BEGIN PERFORM FROM roleferry.verify_emails(ARRAY['func@example.com']); END $$;
SELECT status, source FROM roleferry.verify_emails(ARRAY['func@example.com'])}), 'valid|cache', 'it waits in a function, too');
is($node->sql(q{SET ROLE app; BEGIN READ ONLY; SELECT status FROM roleferry.verify_emails(ARRAY['ann@example.com'])}), 'valid',
	'what is known is told in a read-only transaction');

# --- Bad input and rights ---

foreach my $case (
	[ 'NULL', '22023', qr/"emails" is null/ ],
	[ q{ARRAY['a@example.com'], timeout => '0'}, '22023', qr/"timeout"/ ],
	[ q{ARRAY['a@example.com'], max_age => '-1 day'}, '22023', qr/"max_age"/ ],
	[ q{ARRAY['a@example.com'], 'nowhere'}, '42704', qr/no account "nowhere" that verifies addresses/ ],
	[ q{ARRAY['a@example.com'], 'sendgrid'}, '42704', qr/no account "sendgrid" that verifies addresses/ ])
{
	my ($arguments, $state, $pattern) = @$case;

	(undef, $err) = verify($arguments);
	like($err, qr/ERROR:  $state: .*$pattern/s, "verify_emails($arguments) is a clear error");
}
$node->sql('REVOKE USAGE ON FOREIGN SERVER neverbounce FROM app');
foreach my $arguments (q{ARRAY['ann@example.com']}, q{ARRAY['ann@example.com'], 'neverbounce'})
{
	(undef, $err) = verify($arguments);
	like($err, qr/ERROR:  42501: /, 'without USAGE nobody is told even what is known');
}
(undef, undef, $err) = $node->psql('postgres', q{SET ROLE app; SELECT roleferry.enqueue_verify_emails(ARRAY['x@example.com'])});
like($err, qr/may use no account that verifies addresses/, 'nor can he enqueue');
$node->sql('GRANT USAGE ON FOREIGN SERVER neverbounce TO app');
foreach my $args ('{}', '{"emails": "a"}', '{"emails": [1]}', '{"emails": ["a@b.c"], "x": 1}', '[]', '{"emails": [], "max_age": 1}')
{
	(undef, undef, $err) = $node->psql('postgres', qq{SET ROLE app; INSERT INTO roleferry.outbox (task, args) VALUES ('verify_emails', '$args')});
	like($err, qr/ERROR:  "(emails|x|args|max_age)" /, "args $args are refused by name");
}
(undef, undef, $err) = $node->psql('postgres', q{SET ROLE app;
INSERT INTO roleferry.outbox (task, args, delivery) VALUES ('verify_emails', '{"emails": []}', 'at_least_once')});
like($err, qr/"delivery" of verify_emails/, 'it is never paid for at least once');
spent();

# --- Jobs ---

my @ids = split /\n/, $node->sql(q{SET ROLE app; SELECT roleferry.enqueue_verify_emails(ARRAY['job' || n || '@example.com', 'shared@example.com', 'oops'])
FROM generate_series(1, 20) n});
is(scalar(@ids), 20, 'twenty jobs are enqueued');
$node->sql(q{SET ROLE app; INSERT INTO roleferry.outbox (task, args) VALUES ('verify_emails', '{"emails": ["Plain@Example.com", null], "max_age": "1 day"}')});
$node->wait_drained(20);
is(spent(), '1 0 22', 'they are one paid job at the provider, and a shared address is paid for once');
is($node->sql("SELECT string_agg(r->>'status', ' ') FROM jsonb_array_elements(roleferry.result($ids[3])) r"), 'valid valid invalid',
	'each job has its own rows as its result');
is($node->sql("SELECT state, reason FROM roleferry.jobs WHERE id = $ids[3]"), 'done|', 'and is done');
is($node->sql(q{SELECT step, items_total, items_done, cardinality(jobs), cardinality(items) FROM roleferry.batch ORDER BY id DESC LIMIT 1}),
	'done|22|22|21|0', 'the batch says how it went, and keeps no address');
$node->sql(q{SET ROLE app; SELECT roleferry.enqueue_verify_emails(ARRAY['oops', NULL]); SELECT roleferry.enqueue_verify_emails('{}');
SELECT roleferry.enqueue_verify_emails(ARRAY['job1@example.com'])});
$node->wait_drained(20);
is(spent(), '0 0 0', 'jobs with nothing to ask are done without paying');
is($node->sql(q{BEGIN; SET LOCAL ROLE app; SELECT roleferry.enqueue_verify_emails(ARRAY['rolled@example.com']) > 0; ROLLBACK}), 't', 'a job is enqueued');
$node->wait_turn;
is(spent(), '0 0 0', 'and not asked for after a rollback');

# --- Many callers ---

my @callers;
foreach my $n (0 .. 7)
{
	my %caller = (n => $n, rows => '', errors => '');

	$caller{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'SET ROLE app', '-c',
		"SELECT string_agg(email || ' ' || status, ', ') FROM roleferry.verify_emails(ARRAY['invalidc$n\@example.com', 'common\@example.com', 'c$n\@example.com'])" ],
		'>', \$caller{rows}, '2>', \$caller{errors});
	push @callers, \%caller;
}
foreach my $caller (@callers)
{
	my $n = $caller->{n};

	$caller->{run}->finish;
	is($caller->{rows} . $caller->{errors}, "invalidc$n\@example.com invalid, common\@example.com valid, c$n\@example.com valid\n",
		"caller $n has his own rows");
}
is(spent(), '1 0 17', 'eight callers at once are one paid job');

# --- Time ---

my $started = time();
is(verify(q{ARRAY['a@slow.example', 'b@slow.example'], timeout => '600ms'}, 'status, source'), "pending|\npending|", 'what takes longer is pending');
cmp_ok(time() - $started, '<', $node->patient(3), 'in time');
my ($job) = $node->sql(q{SELECT id, state FROM roleferry.jobs WHERE finished_at IS NULL}) =~ /^(\d+)\|running$/;
ok($job, 'its job goes on');
like($node->sql("SELECT detail FROM roleferry.job_report($job)"), qr/asked for by batch \d+ at account neverbounce: (send|poll|fetch), \d of 2/, 'job_report() tells how far it is');
is(verify(q{ARRAY['a@slow.example', 'b@slow.example']}, 'status'), "valid\nvalid", 'the next call waits for it');
is(spent(), '1 0 2', 'and pays nothing again');
(undef, undef, $err) = $node->psql('postgres', q{SET ROLE app; SET statement_timeout = '500ms'; SELECT * FROM roleferry.verify_emails(ARRAY['c@slow.example', 'd@slow.example'])});
like($err, qr/canceling statement due to statement timeout.*DETAIL:  It is job \d+/s, 'a caller can be cancelled, and is told his job');
$node->wait_drained(20);
is(verify(q{ARRAY['c@slow.example', 'd@slow.example']}, 'status, source'), "valid|cache\nvalid|cache", 'his verdicts are there all the same');
is(spent(), '1 0 2', 'paid for once');

# --- Without a dispatcher ---

$node->append_conf('postgresql.conf', "roleferry.databases = ''");
$node->reload;
$node->wait_until('there is a dispatcher', 20, sub { !defined $node->dispatcher_pid });
is(verify(q{ARRAY['ann@example.com']}, 'status, source'), 'valid|cache', 'what is known needs no dispatcher');
(undef, $err) = verify(q{ARRAY['nobody@example.com']});
like($err, qr/ERROR:  55000: /, 'what is not says why');
is($node->sql(q{SELECT count(*) FROM roleferry.jobs WHERE state <> 'done'}), '0', 'nothing else is left');
done_testing();

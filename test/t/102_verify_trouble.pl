
# Copyright (c) 2026, roleferry authors

# When the provider refuses, fails, is slow or lies; when there is too much for
# one job; and when it allows no further one.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.verify_max_wait = '100ms'
roleferry.verify_poll_interval = '50ms'
roleferry.breaker_failures = 3
roleferry.breaker_cooldown = '2s'
});
$node->write_secret('wrong', 'nobodys-key');
$node->add_verifier;
$node->add_verifier('wrong', secret => 'wrong');
$node->wait_dispatcher(30);

my %seen;

sub spent
{
	my %now = (
		jobs => scalar(my @jobs = $simulator->jobs_created),
		credits => $simulator->charged('neverbounce'));
	my $difference = join ' ', map { $now{$_} - ($seen{$_} || 0) } qw(jobs credits);

	%seen = %now;
	return $difference;
}

sub verify
{
	my ($arguments) = @_;
	my (undef, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET ROLE app;\nSELECT status FROM roleferry.verify_emails($arguments);");

	return wantarray ? ($out, $err) : $out;
}

sub enqueue
{
	my ($list, $account) = @_;

	return $node->sql("SET ROLE app; SELECT roleferry.enqueue_verify_emails($list, '" . ($account || 'neverbounce') . "')");
}

sub fail_create
{
	my ($action, $count) = @_;

	$simulator->clear_rules;
	$simulator->rule({ name => 'refuse', provider => 'neverbounce', match => { call => 'jobs/create' }, count => $count || 1, action => $action });
	return;
}

# HTTP status 200, and yet an error.
sub general
{
	my ($status, $message) = @_;

	return { body => { status => $status, message => $message, execution_time => 1 }, accept => \0 };
}

# --- A caller is told why ---

my ($out, $err) = verify(q{ARRAY['a1@example.com', 'a2@example.com'], 'wrong'});
like($err, qr/ERROR:  RF003: account "wrong" refused \(credential\).*DETAIL:  .*the key was refused.*HINT:  It is job \d+/s, 'a wrong key is an error that says so');
unlike($err, qr/nobodys|a1\@/, 'and holds neither key nor address');
is($out, '', 'it is no verdict');
($out, $err) = verify(q{ARRAY['a1@example.com', 'a2@example.com'], 'wrong'});
like($err, qr/ERROR:  RF003: /, 'a closed account is the same error');
is(spent(), '0 0', 'nothing was paid');
is($node->sql(q{SELECT count(*) FROM roleferry.outbox}), '2', 'the jobs wait');
$node->write_secret('wrong', 'private_test_key');
$node->wait_drained(30);
is(spent(), '1 2', 'until the key is right: then they are one paid job');
is($node->sql(q{SELECT count(*) FROM roleferry.jobs WHERE state <> 'done'}), '0', 'and done');

# Lets an account go on that is paused or stopped: it has got another key, and credit.
my $keys = 0;

sub resume_account
{
	$keys++;
	$node->write_secret("key$keys", 'private_test_key');
	$node->sql("ALTER SERVER neverbounce OPTIONS (SET secret 'key$keys'); SELECT roleferry.resume_account('neverbounce')");
	return;
}

my $no_credit = general('general_failure', 'Insufficient credit balance. This transaction requires 2 credits');
fail_create($no_credit);
($out, $err) = verify(q{ARRAY['b1@example.com', 'b2@example.com'], 'neverbounce'});
like($err, qr/ERROR:  RF003: account "neverbounce" refused \(quota\).*DETAIL:  .*Insufficient credit balance/s, 'no credit is an error');
is($node->sql(q{SELECT state FROM roleferry.accounts WHERE account = 'neverbounce'}), 'stopped', 'which stops the account');
is(verify(q{ARRAY['b1@example.com', 'b2@example.com', 'b3@example.com']}), "valid\nvalid\nvalid", 'another account takes what it is asked');
is(spent(), '1 3', 'and is paid');
resume_account();
$node->wait_drained(30);
is(spent(), '0 0', 'what waited finds its verdicts known');
fail_create($no_credit);
is(verify(q{ARRAY['b4@example.com', 'b5@example.com']}), "valid\nvalid", 'who names no account is served by the next');
is(spent(), '1 2', 'once');
resume_account();

fail_create({ status => 403, body => '<html><head><title>403 Forbidden</title></head><center>nginx</center></html>' });
($out, $err) = verify(q{ARRAY['c1@example.com', 'c2@example.com'], 'neverbounce'});
like($err, qr/ERROR:  RF003: account "neverbounce" refused \(config\)/, 'a plan without access is an error');
resume_account();
$node->wait_drained(30);
is(spent(), '1 2', 'and goes on when that is put right');

fail_create(general('throttle_triggered', 'Too many requests'));
is(verify(q{ARRAY['d1@example.com', 'd2@example.com'], 'neverbounce'}), "valid\nvalid", 'a throttled caller who has time waits');
is(spent(), '1 2', 'and is served once');
fail_create(general('throttle_triggered', 'Too many requests'));
($out, $err) = verify(q{ARRAY['d3@example.com', 'd4@example.com'], 'neverbounce', timeout => '500ms'});
like($err, qr/ERROR:  RF001: account "neverbounce" has to wait for \d+ s/, 'one who has none is told how long');
$node->wait_drained(30);
is(spent(), '1 2', 'his job goes on');

fail_create(general('general_failure', 'Invalid value for "input"'));
($out, $err) = verify(q{ARRAY['e1@example.com', 'e2@example.com'], 'neverbounce'});
like($err, qr/ERROR:  RF003: account "neverbounce" refused \(permanent\)/, 'what is refused for good is an error');
is($node->sql(q{SELECT state, outcome, account FROM roleferry.dead_letters ORDER BY job_id DESC LIMIT 1}), 'failed|permanent|neverbounce', 'and a dead letter');
is(spent(), '0 0', 'that cost nothing');

# --- It cannot be reached ---

$simulator->listener('neverbounce', 'refuse', drop => 1);
($out, $err) = verify(q{ARRAY['f1@example.com', 'f2@example.com'], 'neverbounce'});
like($err, qr/ERROR:  08006: account "neverbounce" could not answer/, 'an account that cannot be reached is an error');
verify(qq{ARRAY['f$_\@example.com'], 'neverbounce'}) foreach 3 .. 4;
$node->wait_until('the circuit is not open', 30, sub { $node->sql(q{SELECT state FROM roleferry.accounts WHERE account = 'neverbounce'}) eq 'open' });
($out, $err) = verify(q{ARRAY['f5@example.com', 'f6@example.com'], 'neverbounce'});
like($err, qr/ERROR:  RF002: /, 'so is one whose circuit is open');
is($out, '', 'neither is a verdict');
$simulator->listener('neverbounce', 'listen');
$node->wait_drained(90);
is($node->sql(q{SELECT count(*) FROM roleferry.email_verdict_cache WHERE email LIKE 'f%' AND status = 'valid'}), '6', 'every verdict arrives when it is back');
is((split / /, spent())[1], '6', 'and is paid for once');

# --- It answers oddly ---

$simulator->clear_rules;
$node->append_conf('postgresql.conf', 'roleferry.breaker_failures = 1000');
$node->reload;
foreach my $case (
	[ 'jobs/status', { status => 502, body => '<html><center>nginx</center></html>' }, general('temp_unavail', 'later'), { garbage => 'html' }, { garbage => 'empty' } ],
	[ 'jobs/results', general('general_failure', 'This job is not in a state which can be read'), { garbage => 'deep' }, { close => 'after_read' }, { status => 200, body => '<html>' } ])
{
	my ($call, @actions) = @$case;
	my $n = 0;

	foreach my $action (@actions)
	{
		$n++;
		$simulator->rule({ name => "odd$n", provider => 'neverbounce', match => { call => $call }, count => 1, action => $action });
	}
	my $name = $call =~ tr{/}{-}r;
	enqueue("ARRAY['$name-1\@example.com', '$name-2\@example.com']");
	$node->wait_drained(120);
	is($node->sql("SELECT count(*) FROM roleferry.email_verdict_cache WHERE email LIKE '$name-%' AND status = 'valid'"), '2', "odd answers to $call delay the verdicts");
	is(spent(), '1 2', 'and cost nothing');
	is(scalar(grep { $_->{applied} } $simulator->rules), 4, 'each of them was given');
	$simulator->clear_rules;
}
$simulator->rule({ name => 'lies', provider => 'neverbounce', match => { call => 'jobs/results' }, count => 1, action => { body => {
	status => 'success', total_results => 3, total_pages => 1, results => [
		{ data => { email => 'G1@EXAMPLE.COM' }, verification => { result => 'valid', flags => [ 'a', 'b', "\x{1}" ] } },
		{ data => { email => 'stranger@example.com' }, verification => { result => 'valid' } },
		{ data => { email => 'g2@example.com' }, verification => { result => 'perhaps' } },
		{ data => { email => 'g1@example.com' }, verification => { result => 'valid' } } ] } } });
is($node->sql(q{SET ROLE app; SELECT status, raw FROM roleferry.verify_emails(ARRAY['g1@example.com', 'g2@example.com', 'g3@example.com'], 'neverbounce')}),
	"valid|valid\nunknown|perhaps\nunknown|", 'a word that is none is unknown, and so is what is not told');
is($node->sql(q{SELECT count(*) FROM roleferry.email_verdict_cache WHERE email = 'stranger@example.com'}), '0', 'what was not asked is not believed');
$simulator->clear_rules;
spent();

# --- A job fails there, or is looked at by somebody ---

($out, $err) = verify(q{ARRAY['a@fail.example', 'b@fail.example'], 'neverbounce'});
like($err, qr/ERROR:  RF003: .*DETAIL:  /s, 'a job that fails at the provider is an error');
is($node->sql(q{SELECT state FROM roleferry.jobs ORDER BY id DESC LIMIT 1}), 'failed', 'and a failed job');
$node->append_conf('postgresql.conf', 'roleferry.batch_give_up = 3');
$node->reload;
is(verify(q{ARRAY['a@review.example', 'b@review.example'], 'neverbounce', timeout => '500ms'}), "pending\npending", 'one under review is pending');
$node->wait_drained(30);
is($node->sql(q{SELECT state, reason FROM roleferry.jobs ORDER BY id DESC LIMIT 1}), 'unknown|the job is under review', 'and unknown when it has been long enough');
is(spent(), '2 4', 'neither is paid for again');

# --- What no request can be made of ---

my $batches = $node->sql('SELECT count(*) FROM roleferry.batch');
$node->fault('batch_build', 'fail', 0, 1000);
$node->sql(q{SET ROLE app; SELECT roleferry.enqueue_verify_emails('{a@unmade.example,b@unmade.example}', 'neverbounce', max_attempts => 2)});
$node->wait_drained(30);
is($node->sql(q{SELECT state, reason, failures FROM roleferry.dead_letter ORDER BY job_id DESC LIMIT 1}),
	'failed|the request could not be built|2', 'what no request can be made of has failed in the end');
is($node->sql('SELECT count(*) FROM roleferry.batch') - $batches, 2, 'after as many tries as it has');
$node->fault('batch_build', 'fail', 0, 0);
is(spent(), '0 0', 'that cost nothing');
$node->sql(q{SET ROLE app; SELECT roleferry.enqueue_verify_emails('{a@review.example,c@review.example}', 'neverbounce')});
$node->wait_until('it is not asked after', 30, sub { $node->sql(q{SELECT count(*) FROM roleferry.batch WHERE step = 'poll'}) eq '1' });
$node->fault('batch_build', 'fail', 0, 1000);
$node->wait_drained(30);
is($node->sql(q{SELECT state, reason FROM roleferry.dead_letter ORDER BY job_id DESC LIMIT 1}), 'unknown|the request could not be built',
	'what cannot be asked after is unknown when it has been long enough');
$node->fault('batch_build', 'fail', 0, 0);
is(spent(), '1 2', 'and not paid for again');
$node->append_conf('postgresql.conf', "roleferry.batch_give_up = '1d'\nroleferry.verify_max_batch = 100");
$node->reload;

# --- Too much for one job ---

my $first = $node->sql('SELECT max(id) FROM roleferry.batch');
my $job = enqueue(q{(SELECT array_agg('big' || n || '@example.com') FROM generate_series(1, 1250) n)});
$node->wait_activity(qr/verify_emails: \d+ of 100 at account "neverbounce" \(\d+ batches under way\)/);
like($node->sql("SELECT string_agg(detail, '; ') FROM roleferry.job_report($job)"), qr/batch \d+ at account neverbounce: \w+, \d+ of 100.*batch \d+ at account/s,
	'job_report() tells how far each part is');
$node->wait_drained(60);
is(spent(), '13 1250', 'a list that is too long for one job becomes several');
is($node->sql("SELECT jsonb_array_length(roleferry.result($job)), (SELECT count(*) FROM roleferry.email_verdict_cache WHERE email LIKE 'big%')"), '1250|1250', 'with every verdict');
my $at_once = $node->sql("SELECT max((SELECT count(*) FROM roleferry.batch b WHERE b.id > $first AND b.created_at <= a.created_at AND b.finished_at > a.created_at))
FROM roleferry.batch a WHERE a.id > $first");
is($at_once, '10', 'ten at once, which is all that the provider takes');

# --- No further job today ---

# Whatever of the fifty is left is used up; what was refused or not found may or may not have counted.
enqueue(q{(SELECT array_agg('more' || n || '@example.com') FROM generate_series(1, 1500) n)});
$node->wait_drained(60);
foreach my $n (1 .. 35)
{
	($out, $err) = verify("ARRAY['left$n\@example.com', 'right$n\@example.com'], 'neverbounce'");
	last if $err ne '';
}
like($err, qr/ERROR:  RF001: account "neverbounce" has to wait for 8\d{4} s/, 'when the day\'s jobs are used up, the caller is told when there are others');
spent();
my $id = enqueue(q{ARRAY['h3@example.com', 'h4@example.com']});
$node->wait_until('the job does not wait', 20, sub { $node->sql("SELECT run_at > now() + interval '50 minutes' FROM roleferry.outbox WHERE id = $id") eq 't' });
is(spent(), '0 0', 'and jobs wait');
is(verify(q{ARRAY['h5@example.com'], 'neverbounce'}), 'valid', 'a single check needs none');
is(verify(q{ARRAY['h1@example.com', 'h2@example.com']}), "valid\nvalid", 'and another account has jobs of its own');
is(spent(), '1 3', 'paid for once');
$node->sql('DELETE FROM roleferry.outbox');

# --- A hundred thousand addresses ---

$node->append_conf('postgresql.conf', 'roleferry.verify_max_batch = 100000');
$node->reload;
$out = $node->sql(q{SET ROLE app; SELECT status, count(*) FROM roleferry.verify_emails(
(SELECT array_agg(CASE WHEN n % 10 = 0 THEN 'invalid' ELSE 'u' END || n || '@huge.example') FROM generate_series(1, 100000) n), 'wrong', '5 min') GROUP BY 1 ORDER BY 1});
is($out, "invalid|10000\nvalid|90000", 'a hundred thousand addresses in one call');
is(spent(), '1 100000', 'are one paid job');
is($node->sql(q{SELECT count(*) FROM roleferry.outbox}), '0', 'nothing is left');
done_testing();

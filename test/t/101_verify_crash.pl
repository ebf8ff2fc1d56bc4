
# Copyright (c) 2026, roleferry authors

# Whatever dies while addresses are being verified: nothing is paid for twice,
# and every verdict arrives.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.verify_max_wait = '100ms'
roleferry.verify_poll_interval = '50ms'
});
$node->add_verifier;
$node->wait_dispatcher(30);

my $round = 0;
my %seen = (jobs => 0, credits => 0);

# Jobs made and credits charged since the last call.
sub spent
{
	my %now = (jobs => scalar(my @jobs = $simulator->jobs_created), credits => $simulator->charged('neverbounce'));
	my $difference = join ' ', map { $now{$_} - $seen{$_} } qw(jobs credits);

	%seen = %now;
	return $difference;
}

# Three jobs with so many addresses each, and one that all share.
sub enqueue
{
	my ($count) = @_;

	$round++;
	$node->sql("SET ROLE app; SELECT count(roleferry.enqueue_verify_emails(
(SELECT array_agg('r$round-' || j || '-' || n || '\@example.com') FROM generate_series(1, $count) n) || 'r$round-all\@example.com'::text))
FROM generate_series(1, 3) j");
	return;
}

sub verdicts
{
	return $node->sql("SELECT count(*) FROM roleferry.email_verdict_cache WHERE email LIKE 'r$round-%' AND status = 'valid'");
}

# What must hold in the end: one paid job, all verdicts, all jobs done.
sub check
{
	my ($name, $count) = @_;

	$node->wait_drained(60);
	is(spent(), '1 ' . (3 * $count + 1), "$name: paid for once");
	is(verdicts(), 3 * $count + 1, "$name: every verdict arrives");
	is($node->sql("SELECT count(*) FROM roleferry.jobs WHERE state <> 'done'"), '0', "$name: every job is done");
	is($node->sql('SELECT count(*) FROM roleferry.batch WHERE finished_at IS NULL'), '0', "$name: no batch is left");
	return;
}

# --- A dispatcher dies ---

foreach my $case (
	[ 'before_batch', 0, 'while a batch is formed' ],
	[ 'before_batch_transfer', 0, 'before the first byte leaves' ],
	[ 'batch_answer', 0, 'before the provider\'s job id is stored' ],
	[ 'in_batch_write', 0, 'while it is being stored' ],
	[ 'batch_answer', 2, 'while the job is polled' ],
	[ 'in_batch_write', 2, 'while a poll is written' ])
{
	my ($point, $skip, $name) = @$case;

	$node->fault($point, 'kill', $skip);
	enqueue(2);
	$node->crash_wait;
	check("killed $name", 2);
}

# --- It dies between pages, and before the end is settled ---

foreach my $case ([ 1, 'batch_answer', 'at the second page' ], [ 1, 'in_batch_write', 'while the second page is written' ],
	[ 2, 'in_batch_write', 'before its jobs are settled' ])
{
	my ($page, $point, $name) = @$case;

	$simulator->rule({ name => 'page', provider => 'neverbounce', match => { call => 'jobs/results' }, skip => $page,
		count => 1, action => { hold => 'page' } });
	enqueue(700);
	$node->wait_until('no page is held', 20, sub { $simulator->held('page') });
	$node->fault($point, 'kill');
	$simulator->release('page');
	$node->crash_wait;
	$simulator->clear_rules;
	check("killed $name", 700);
}
$node->fault('before_record', 'kill', 3);
enqueue(2);
$node->crash_wait;
check('killed before a settlement', 2);

# --- What it writes fails ---

foreach my $case ([ 'before_batch', 0 ], [ 'before_claim_commit', 1 ], [ 'in_batch_write', 0 ], [ 'in_batch_write', 1 ], [ 'in_record', 2 ])
{
	$node->fault($case->[0], 'error', $case->[1]);
	enqueue(2);
	check("an error at $case->[0], after $case->[1]", 2);
}

# --- The answer is lost ---

foreach my $action ({ close => 'after_read' }, { status => 502, body => '<html>nginx</html>', accept => \1 },
	{ status => 200, body => '', accept => \1 }, { reset => 'before_read' }, { status => 500, body => 'no' })
{
	my ($what) = %$action;

	$simulator->rule({ name => 'lost', provider => 'neverbounce', match => { call => 'jobs/create' }, count => 1, action => $action })
	  unless $what eq 'reset';
	$simulator->rule({ name => 'lost', provider => 'neverbounce', match => { call => 'jobs/create' }, count => 1, action => { reset => 'after_read', accept => \0 } })
	  if $what eq 'reset';
	enqueue(2);
	check('a lost answer (' . join(' ', map { "$_ " . (ref $action->{$_} ? ${ $action->{$_} } : $action->{$_}) } sort keys %$action) . ')', 2);
	$simulator->clear_rules;
}

# --- It is stopped in good order ---

enqueue(2);
$node->restart;
check('a restart', 2);

# --- Nobody can tell ---

$node->append_conf('postgresql.conf', "roleferry.batch_give_up = 2\nroleferry.breaker_failures = 1000\n");
$node->reload;
$simulator->rule({ name => 'lost', provider => 'neverbounce', match => { call => 'jobs/create' }, count => 1, action => { close => 'after_read' } });
$simulator->rule({ name => 'blind', provider => 'neverbounce', match => { call => 'jobs/search' }, action => { status => 500, body => 'no' } });
enqueue(1);
$node->wait_drained(60);
is(spent(), '1 4', 'a request that cannot be found is paid for once');
is($node->sql(q{SELECT state, count(*) FROM roleferry.jobs WHERE state <> 'done' GROUP BY 1}), 'unknown|3', 'and its jobs are unknown');
is($node->sql(q{SELECT step FROM roleferry.batch ORDER BY id DESC LIMIT 1}), 'unknown', 'as is the batch');
$simulator->clear_rules;

# A single check has no name to be looked for.
$node->fault('batch_answer', 'kill');
$node->psql('postgres', q{SET ROLE app; SELECT * FROM roleferry.verify_emails(ARRAY['single@example.com'])});
$node->crash_wait;
$node->wait_drained(60);
is($simulator->calls('neverbounce', 'single/check'), 1, 'a single check whose answer was lost is not repeated');
is($node->sql(q{SELECT state FROM roleferry.jobs ORDER BY id DESC LIMIT 1}), 'unknown', 'its job is unknown');
is($node->sql(q{SELECT count(*) FROM roleferry.email_verdict_cache WHERE email = 'single@example.com'}), '0', 'and there is no verdict');
is($node->safe_psql('postgres', q{SET ROLE app; SELECT status FROM roleferry.verify_emails(ARRAY['single@example.com'])}), 'valid',
	'who asks again is answered');
done_testing();


# Copyright (c) 2026, roleferry authors

# A copy of the database mails nobody until somebody activates it: dumps, logical
# replicas, templates. A base backup without the secrets directory cannot. And no
# dump holds a key.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $canary = 'SG.canary-5d0c8e1b7f3a';
my ($main, $simulator) = RoleferryNode->start_pair('main',
	init => [ allows_streaming => 'logical' ],
	simulator => [ '--sendgrid-key', $canary ],
	conf => q{
roleferry.max_in_flight = 4
roleferry.request_timeout = 120s
roleferry.idle_timeout = 120s
});
my $requests;

sub requests
{
	return scalar $simulator->journal(phase => 'body');
}

sub states_of
{
	my ($node, $database) = @_;

	return $node->safe_psql($database, q{
SELECT string_agg(state || ' ' || n, ', ' ORDER BY state)
FROM (SELECT state, count(*) AS n FROM roleferry.jobs GROUP BY state) AS s});
}

sub check_mute
{
	my ($what, $node, $database, $state, $reason, $jobs) = @_;

	like($node->wait_turn($database), qr/^not active: $reason; see roleferry\.activate\(\)$/,
		"$what: pg_stat_activity says why it is mute");
	is($node->safe_psql($database, 'SELECT state FROM roleferry.activation_state()'), $state, "$what: its state is known");
	is(states_of($node, $database), $jobs, "$what: its jobs are as they were");
	is(requests(), $requests, "$what: nothing is sent");
	return;
}

# Something of everything: sent, failed, under way, due, with a key.
$main->write_secret('sendgrid', $canary);
$main->enqueue(3);
$simulator->rule({ name => 'refuse', match => { subject => '^bad' }, action => { status => 400 } });
$main->enqueue(1, subject => 'bad');
$main->wait_drained(30);
$simulator->rule({ name => 'hold', match => { subject => '^under way' },
	action => { hold => 'hold', accept => 'before' } });
my @under_way = $main->enqueue(4, subject => 'under way', accounts => ['sendgrid']);
$main->wait_until('the mails are not under way', 30, sub { $simulator->held('hold') == 4 });
my ($keyed) = $main->enqueue(1, idempotency_key => 'once');
my @due = ($keyed, $main->enqueue(5));
$requests = requests();
my $jobs = 'failed 1, running 4, sent 3, waiting 6';
is(states_of($main, 'postgres'), $jobs, 'there is something of everything');

#
# A dump
#

my $dump = $main->basedir . '/dump.sql';
command_ok([ 'pg_dump', '-d', $main->connstr('postgres'), '-f', $dump ], 'a dump can be made with mails under way');
my $text = slurp_file($dump);
like($text, qr/under way/, 'it holds the jobs');
unlike($text, qr/\Q$canary\E|mg-test-key/, 'and no key');
unlike($text, qr/COPY roleferry\.activation/, 'nor the activation');

my $elsewhere = RoleferryNode->new_copy('elsewhere', $main);
$elsewhere->init;
$elsewhere->append_conf('postgresql.conf', $elsewhere->conf_for_pair(conf => qq{
roleferry.secrets_directory = '@{[ $main->basedir ]}/secrets'
wal_level = logical
}));
$elsewhere->start;
$elsewhere->sql('CREATE ROLE app LOGIN');
$main->sql('CREATE DATABASE restored');
$main->append_conf('postgresql.conf', q{roleferry.databases = 'postgres, restored'});
$main->reload;
foreach my $target ([ $main, 'restored' ], [ $elsewhere, 'postgres' ])
{
	my ($node, $database) = @$target;

	command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $dump ],
		'it can be restored into ' . ($node == $main ? 'another database' : 'another cluster'));
}
check_mute('another database', $main, 'restored', 'never activated', 'it was never activated', $jobs);
check_mute('another cluster', $elsewhere, 'postgres', 'never activated', 'it was never activated', $jobs);

is($elsewhere->sql(q{SET ROLE app;
SELECT roleferry.enqueue_email('sender@mg.example.com', 'user@example.net', 'again', 'x', idempotency_key => 'once', on_conflict => 'keep')}),
	$keyed, 'idempotency keys are in force in the copy');
my ($status, undef, $error) = $elsewhere->psql('postgres', 'SELECT roleferry.activate()');
like($error, qr/6 of them, the oldest since .*, 0 held\. 4 were under way elsewhere and become unknown\./, 'activate() asks');
is($elsewhere->sql(q{SELECT roleferry.activate('hold')}), 'active; jobs waiting: 6, held; under way elsewhere and now unknown: 4',
	'and tells');
my ($new) = $elsewhere->enqueue(1);
cmp_ok($new, '>', $due[-1], 'the numbers of jobs go on');
$elsewhere->wait_until('a new mail is not sent', 20,
	sub { states_of($elsewhere, 'postgres') eq 'failed 1, sent 4, unknown 4, waiting 6' });
is(requests(), ++$requests, 'once activated the copy sends what is new, and holds what waited');

#
# A logical replica
#

my @tables = map { "roleferry.$_" } qw(outbox message dead_letter idempotency activation);
$main->sql('CREATE PUBLICATION everything FOR TABLE ' . join ', ', @tables);
$elsewhere->sql('CREATE DATABASE subscriber');
$elsewhere->safe_psql('subscriber', 'CREATE EXTENSION roleferry');
$elsewhere->append_conf('postgresql.conf', q{roleferry.databases = 'postgres, subscriber'});
$elsewhere->reload;
check_mute('a new replica', $elsewhere, 'subscriber', 'never activated', 'it was never activated', '');
$elsewhere->safe_psql('subscriber', sprintf q{CREATE SUBSCRIPTION everything CONNECTION %s PUBLICATION everything},
	RoleferryNode::quote_literal($main->connstr('postgres')));
$elsewhere->poll_query_until('subscriber', q{SELECT bool_and(srsubstate IN ('r', 's')) FROM pg_subscription_rel})
  or die 'the replica is not filled';
check_mute('a replica', $elsewhere, 'subscriber', 'another cluster', 'it is a copy: it was activated in another cluster', $jobs);

# A dispatcher that begins there, too, leaves alone what replication still writes.
kill 'TERM', $elsewhere->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher' AND datname = 'subscriber'});
$elsewhere->wait_until('the dispatcher does not come back', 30, sub {
	slurp_file($elsewhere->logfile) =~ /(started for database "subscriber".*){2}/s });
check_mute('a replica', $elsewhere, 'subscriber', 'another cluster', 'it is a copy: it was activated in another cluster', $jobs);

#
# A base backup, started as it is
#

$main->backup('base');
my $clone = RoleferryNode->new_copy('clone', $main);
$clone->init_from_backup($main, 'base', standby => 0);
mkdir $clone->basedir . '/secrets', 0700 or die 'cannot make a directory';
$clone->append_conf('postgresql.conf', "roleferry.secrets_directory = '@{[ $clone->basedir ]}/secrets'\n");
$clone->start;
$clone->wait_dispatcher(30);
$clone->wait_turn;
$clone->enqueue(1);
$clone->wait_turn;
is(requests(), $requests, 'a base backup without the secrets directory sends nothing');
like($clone->sql('SELECT state, reason FROM roleferry.accounts ORDER BY account LIMIT 1'),
	qr/^unusable\|.*mailgun/s, 'the view accounts says that a key is missing');
like($clone->sql("SELECT detail FROM roleferry.job_report($due[0]) WHERE event = 'waiting'"), qr/is unusable/,
	'and so does a job that waits');
is(states_of($clone, 'postgres'), 'failed 1, sent 3, unknown 4, waiting 7', 'what was under way is unknown there');

# With the keys it is the original to every test: the README says so.
$clone->write_secret('sendgrid', $canary);
$clone->write_secret('mailgun', 'mg-test-key');
$clone->wait_until('the clone has no way to send', 30, sub { states_of($clone, 'postgres') eq 'failed 1, sent 10, unknown 4' });
is(requests(), $requests += 7, 'given the keys, it would send: they belong in no backup');
$clone->stop;

# The replica follows the original, and its own dispatcher has spoilt nothing.
$simulator->release('hold');
$main->wait_drained(30);
$requests = requests();
$main->wait_for_catchup('everything');
$jobs = states_of($main, 'postgres');
is($jobs, 'failed 1, sent 13', 'the original goes on');
check_mute('a replica that has followed', $elsewhere, 'subscriber', 'another cluster',
	'it is a copy: it was activated in another cluster', $jobs);
unlike(slurp_file($elsewhere->logfile), qr/duplicate key/, 'without a conflict');
$elsewhere->safe_psql('subscriber', 'DROP SUBSCRIPTION everything');
$elsewhere->stop;

# In the same cluster the dispatcher that had them in hand is alive: not for the copy.
is($main->safe_psql('restored', q{SELECT roleferry.activate('discard')}),
	'active; jobs waiting: 6, discarded; under way elsewhere and now unknown: 4', 'the restored database can be activated, too');
$main->wait_until('jobs of the original are not settled', 10,
	sub { states_of($main, 'restored') eq 'cancelled 6, failed 1, sent 3, unknown 4' });
pass('what was under way in the original is unknown there');
is(requests(), $requests, 'and nothing is sent');

#
# A template copy; the original gives up what is under way
#

$main->enqueue(4, subject => 'under way', accounts => ['sendgrid']);
$main->wait_until('the mails are not under way', 30, sub { $simulator->held('hold') == 4 });
$main->enqueue(6);
$main->sql('CREATE DATABASE copied TEMPLATE postgres');
$main->append_conf('postgresql.conf', q{roleferry.databases = 'postgres, restored, copied'});
$main->reload;
$main->wait_drained(30);
is(states_of($main, 'postgres'), 'failed 1, sent 19, unknown 4', 'the original goes on when it was copied');
$requests = requests();
check_mute('a template copy', $main, 'copied', 'another database',
	'it is a copy: it was activated as another database of this cluster', 'failed 1, sent 13, unknown 4, waiting 6');

$simulator->clear_rules;
$main->stop;
done_testing();

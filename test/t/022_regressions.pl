
# Copyright (c) 2026, roleferry authors

# Each case was a bug once: what belongs to another life (a dead dispatcher's
# claim, a dropped extension) settles nothing wrong in this one, and pauses,
# marks and lists of accounts hold what they say.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

# Nobody looks around for ten minutes: what is lost stays lost.
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.sweep_interval = '600s'
max_connections = 30
});

# A server of its own has a gate of its own: no case closes another's.
sub make_account
{
	my ($name) = @_;

	$node->sql(sprintf q{
CREATE SERVER %s FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '%s');
GRANT USAGE ON FOREIGN SERVER %1$s TO app}, $name, $simulator->url('sendgrid'));
	return;
}

sub bodies
{
	my ($subject) = @_;

	return scalar(() = $simulator->journal(phase => 'body', subject => $subject));
}

sub wait_activity
{
	my ($pattern) = @_;

	return $node->wait_until("the dispatcher's activity is not \"$pattern\"", 20, sub {
		$node->sql(q{SELECT query FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher'}) =~ $pattern;
	});
}

my $pid = $node->wait_dispatcher(30);

$node->enqueue(1);
$node->wait_drained(30);

#
# A 503 that says how long it lasts is a refusal, and pauses its account
#

{
	make_account('paused');
	$simulator->rule({ name => 'later', match => { subject => '^later$' },
			action => { status => 503, headers => { 'Retry-After' => '30' } } });
	my ($first) = $node->enqueue(1, subject => 'later', accounts => ['paused']);
	$node->wait_until('a 503 does not pause its account', 20, sub {
		$node->sql(q{SELECT state FROM roleferry.accounts WHERE account = 'paused'}) eq 'paused';
	});
	my @others = $node->enqueue(20, subject => 'later', accounts => ['paused']);
	my $until = time() + 3;

	usleep(50_000) while time() < $until;
	is(bodies('later'), 1, 'after a 503 with Retry-After: 30 no further request is made for three seconds');
	is($node->sql(q{SELECT extract(epoch FROM until - now()) BETWEEN 20 AND 30 FROM roleferry.accounts WHERE account = 'paused'}),
		't', 'the account is paused for as long as it was told');
	is($node->sql("SELECT DISTINCT state FROM roleferry.jobs WHERE id IN (@{[ join ',', $first, @others ]})"),
		'waiting', 'its mails wait');
	is($node->sql("SELECT failures FROM roleferry.outbox WHERE id = $first"), '0', 'and the refusal is no failure of the mail');
	$simulator->clear_rules;
	$node->sql('DROP SERVER paused; UPDATE roleferry.outbox SET run_at = now(); SELECT roleferry.wake()');
	$node->wait_drained(20);
}

#
# An account that is named twice is one account
#

{
	make_account('twin');
	$simulator->rule({ name => 'busy', match => { subject => '^twin$' }, count => 1,
			action => { status => 429, headers => { 'Retry-After' => '1' } } });
	my ($id) = $node->enqueue(1, subject => 'twin', accounts => [ 'twin', 'twin' ]);

	is($node->sql("SELECT accounts FROM roleferry.outbox WHERE id = $id"), '{twin}', 'an account that is named twice is listed once');
	$node->wait_job_state($id, 'sent');
	is($node->sql("SELECT string_agg(verdict, ',') FROM roleferry.attempts WHERE job_id = $id"),
		'retry', 'and is not its own next account');
	is(bodies('twin'), 2, 'one request for each attempt');
	$simulator->clear_rules;
}

#
# A mail that has to wait lands in the same turn in which a sweep runs
#

{
	make_account('landing');
	$simulator->rule({ name => 'landing', match => { subject => '^landing$' }, count => 1,
			action => { hold => 'landing', status => 429, headers => { 'Retry-After' => '1' } } });
	my ($id) = $node->enqueue(1, subject => 'landing', accounts => ['landing']);

	$node->wait_until('the mail is not under way', 20, sub { $simulator->held('landing') == 1 });
	kill 'STOP', $pid;
	is($simulator->release('landing'), 1, 'the answer comes while the dispatcher does not look');
	$node->wait_until('the mail is not answered', 20,
		sub { () = $simulator->journal(phase => 'answered', status => 429, rule => 'landing') });
	$node->sql('SELECT roleferry.wake()');
	kill 'CONT', $pid;
	$node->wait_job_state($id, 'sent');
	is($node->sql("SELECT attempts FROM roleferry.jobs WHERE id = $id"), '2',
		'a mail that waits again leaves when it is due, though a sweep ran in the turn it landed in');
	$simulator->clear_rules;
}

#
# Who waits for a lock resets the latch: what was asked for meanwhile counts
#

{
	make_account('locked');
	$simulator->rule({ name => 'locked', match => { subject => '^locked$' }, action => { hold => 'locked' } });
	my ($first) = $node->enqueue(1, subject => 'locked', accounts => ['locked']);

	$node->wait_until('the mail is not under way', 20, sub { $simulator->held('locked') == 1 });
	my $session = $node->background_psql('postgres');
	$session->query_safe('BEGIN; LOCK TABLE roleferry.message IN ACCESS EXCLUSIVE MODE;');
	$simulator->release('locked');
	$simulator->clear_rules;
	$node->wait_until('the dispatcher does not wait for the lock', 20,
		sub { $node->sql("SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") eq '1' });
	my ($second) = $node->enqueue(1, subject => 'meanwhile');
	my $waiting = $node->sql("SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted");
	my $unlocked = time();
	$session->query_safe('COMMIT;');
	$session->quit;
	is($waiting, '1', 'a mail is enqueued while the dispatcher waits for a lock');
	$node->wait_job_state($first, 'sent');
	$node->wait_until('a mail that was enqueued during a lock wait stays', 70, sub { $node->job_state($second) eq 'sent' });
	my ($line) = $simulator->journal(phase => 'body', subject => 'meanwhile');
	cmp_ok($line->{t} - $unlocked, '<', $node->patient(0.5), 'it leaves as soon as the lock is free');
}

#
# A claim of another life
#

{
	my $installation = $node->sql('SELECT installation FROM roleferry.activation');
	my ($line, @ids);

	# As a restore under the eyes of the dispatcher would bring them: checked,
	# and in the hands of somebody whom nobody knows.
	@ids = split /\n/, $node->sql(q{
SET session_replication_role = replica;
INSERT INTO roleferry.outbox (task, role, queue, delivery, accounts, lane, worker, claimed_at, attempts, args)
SELECT 'send_email', 'app', 'sequences', d, '{sendgrid}', 4711, 42, now(), 1, jsonb_build_object('from_addr', 'sender@mg.example.com',
	'to_addr', 'user@example.net', 'subject', 'claimed ' || d, 'body_text', 'x', 'custom_args', jsonb_build_object('life', d))
FROM unnest('{at_most_once,at_least_once}'::text[]) AS d RETURNING id});
	$node->sql('SELECT roleferry.deactivate()');
	wait_activity(qr/^not active/);
	is($node->job_state($_), 'running', 'a claim of another life is left alone while nothing is active') for @ids;
	$node->sql('SELECT roleferry.activate()');
	$node->wait_job_state($ids[0], 'unknown');
	$node->wait_job_state($ids[1], 'sent');
	is(bodies('claimed at_most_once'), 0, 'activate() settles a claim of another life: it is unknown');
	is(bodies('claimed at_least_once'), 1, 'or sent again where it may be');
	is($node->sql("SELECT attempts FROM roleferry.jobs WHERE id = $ids[1]"), '2', 'as one more attempt');
	is($node->dispatcher_pid, $pid, 'by the dispatcher that was there');

	is($node->sql('SELECT installation FROM roleferry.activation'), $installation,
		'deactivate() and activate() leave the installation as it was');
	my ($id) = $node->enqueue(1, subject => 'prefix');
	$node->wait_job_state($id, 'sent');
	($line) = $simulator->journal(phase => 'accepted', rf_job => "$installation.$id");
	is(ref $line, 'HASH', 'and mails carry the same prefix');
}

# What was enqueued through the node up to here is there.
{
	my %accepted = %{ $node->accepted };

	is(scalar(grep { $_ > 1 } values %accepted), 0, 'no mail was taken twice');
	$node->assert_invariants('nothing is lost or made up');
}

#
# An extension that is dropped and made again, with mails of the old one under way
#

foreach my $standing (0, 1)
{
	my $name = $standing ? 'dropped while the dispatcher stands still' : 'dropped while mails are under way';
	my ($old_pid, $new_pid, $old_line, $installation, @old, @new);

	$old_pid = $node->wait_dispatcher(30);
	$simulator->rule({ name => 'old', match => { subject => "^old $standing\$" },
			action => { hold => 'old', accept => 'before' } });
	@old = $node->enqueue(20, subject => "old $standing");
	$node->wait_until('the mails are not under way', 20, sub { $simulator->held('old') == 20 });
	$installation = $node->sql('SELECT installation FROM roleferry.activation');
	kill 'STOP', $old_pid if $standing;

	# The new jobs have numbers of old ones that are still under way.
	$node->sql(sprintf q{
BEGIN;
DROP EXTENSION roleferry CASCADE;
CREATE EXTENSION roleferry;
CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '%s');
CREATE SERVER mailgun FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'mailgun', base_url '%s');
SELECT roleferry.grant_access('app', 'sender');
GRANT USAGE ON FOREIGN SERVER sendgrid, mailgun TO app;
ALTER SEQUENCE roleferry.outbox_id_seq RESTART WITH %d;
SELECT roleferry.activate();
COMMIT}, (map { $simulator->url($_) } qw(sendgrid mailgun)), $old[0]);
	@new = $node->enqueue(20, subject => "new $standing", accounts => ['mailgun']);
	is("@new", "@old", "$name: the new extension's jobs have the numbers of the old one's");
	my $answered = $simulator->release('old');
	is($answered, 20, "$name: answers to the old ones come") if $standing;
	$simulator->clear_rules;
	kill 'CONT', $old_pid if $standing;

	$new_pid = $node->wait_dispatcher(30, $old_pid);
	isnt($new_pid, $old_pid, "$name: another dispatcher serves the new extension");
	$node->wait_drained(30);
	is($node->sql('SELECT state, account, attempts, count(*) FROM roleferry.jobs GROUP BY 1, 2, 3'),
		'sent|mailgun|1|20', "$name: old answers settle nothing, each new mail is sent");
	is($node->sql('SELECT DISTINCT subject FROM roleferry.message'), "new $standing", "$name: and it is the new ones that are recorded");
	is(bodies("old $standing"), 20, "$name: no old mail is sent again");
	is(bodies("new $standing"), 20, "$name: and each new one once");
	isnt($node->sql('SELECT installation FROM roleferry.activation'), $installation, "$name: it is another installation");
}

unlike(slurp_file($node->logfile), qr/PANIC|by signal/, 'nothing crashed');

$node->stop;
done_testing();

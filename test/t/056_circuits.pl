
# Copyright (c) 2026, roleferry authors

# Circuits: forced by a person, opened by a share of failures, and every
# change told as a row and as a line in the log.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('circuits', conf => q{
roleferry.breaker_failures = 1000
roleferry.breaker_failure_percent = 30
roleferry.breaker_min_calls = 6
roleferry.breaker_cooldown = '300ms'
});

sub accepted_by
{
	my ($provider) = @_;

	return $simulator->stats($provider)->{accepted};
}

sub state_of
{
	my ($account) = @_;

	return $node->sql("SELECT state FROM roleferry.circuits WHERE account = '$account'");
}

sub events
{
	return $node->sql(q{
SELECT string_agg(from_state || ' to ' || to_state, ', ' ORDER BY at) FROM roleferry.circuit_event WHERE account = 'sendgrid'});
}

# Forced open: as if the account were not there, over restarts and crashes.
$node->sql(q{SELECT roleferry.force_circuit('sendgrid', 'open', 'their status page is red')});
$node->enqueue(3);
$node->wait_drained(20);
is(accepted_by('sendgrid'), 0, 'a circuit forced open lets nothing through');
is(accepted_by('mailgun'), 3, 'the next account has it');
is($node->sql(q{SELECT state, reason, until FROM roleferry.accounts WHERE account = 'sendgrid'}),
	'open|forced: their status page is red|', 'the view accounts says why');
is($node->sql(q{SELECT state, reason, until FROM roleferry.circuits WHERE account = 'sendgrid'}),
	'forced open|their status page is red|infinity', 'so does circuits');
$node->wait_for_log(qr/account "sendgrid": circuit forced open: their status page is red/);
pass('so does the log');

$node->restart;
$node->enqueue(2);
$node->wait_drained(20);
is(accepted_by('sendgrid'), 0, 'it survives a restart');
$node->kill_process($node->dispatcher_pid);
$node->crash_wait;
$node->enqueue(2);
$node->wait_drained(20);
is(accepted_by('sendgrid'), 0, 'and a crash');

$node->sql(q{SELECT roleferry.force_circuit('sendgrid', 'auto')});
$node->enqueue(2);
$node->wait_drained(20);
is(accepted_by('sendgrid'), 2, 'until it is let go');

# For a time.
my $over = $node->sql(q{SELECT extract(epoch FROM now() + interval '700 ms')});
$node->sql("SELECT roleferry.force_circuit('sendgrid', 'open', 'a moment', to_timestamp($over))");
$node->enqueue(2, accounts => ['sendgrid']);
$node->wait_drained(20);
is(accepted_by('sendgrid'), 4, 'forced for a time, mails wait and go');
cmp_ok(($simulator->moments('sendgrid'))[2], '>=', $over, 'when it is over');
$node->wait_until('no event', 20, sub { events() =~ /forced open to closed\z/ });
pass('each change is a row');
$node->sql('DELETE FROM roleferry.circuit_event');

# By the share of failures.  A success in between does not help.
$simulator->rule({ provider => 'sendgrid', every => 2, action => { status => 500 } });
$node->enqueue(12, accounts => ['sendgrid'], delivery => 'at_least_once');
$node->wait_until('no circuit opens', 20, sub { events() =~ /closed to open/ });
pass("every second request fails: the circuit opens, though none fail in a row");
$simulator->clear_rules;
$node->enqueue(2, accounts => ['sendgrid']);
$node->wait_until('the circuit does not close', 30, sub { events() =~ /half-open to closed\z/ });
like(events(), qr/\Aclosed to open, (open to half-open, half-open to open, )*open to half-open, half-open to closed\z/,
	'open, half-open and closed again, each told once');
$node->wait_for_log(qr/account "sendgrid": circuit half-open/);
is(state_of('sendgrid'), 'closed', 'and so it is shown');

# Refusals of a mail are no failures of the account.
$node->sql('DELETE FROM roleferry.circuit_event');
$simulator->rule({ provider => 'sendgrid', action => { status => 400 } });
$node->enqueue(20, accounts => ['sendgrid']);
$node->wait_until('mails are not refused', 20,
	sub { $node->sql(q{SELECT count(*) >= 20 FROM roleferry.dead_letter WHERE http_status = 400}) eq 't' });
$node->wait_turn;
is(state_of('sendgrid') . events(), 'closed', 'a 400 opens no circuit');
$simulator->clear_rules;

# Forced closed: whatever fails.
$node->sql(q{SELECT roleferry.force_circuit('sendgrid', 'closed', 'we know')});
$node->wait_turn;
$simulator->rule({ provider => 'sendgrid', action => { status => 500 } });
$node->enqueue(20, accounts => ['sendgrid']);
$node->wait_until('mails are not answered', 20,
	sub { $node->sql(q{SELECT count(*) >= 20 FROM roleferry.dead_letter WHERE http_status = 500}) eq 't' });
is(state_of('sendgrid'), 'forced closed', 'a circuit forced closed stays so, whatever fails');
$simulator->clear_rules;

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# After a claim that failed, what carries the dispatcher's mark and is in nobody's
# hands waits again.  A mail whose outcome is known and not written yet is in
# hand: given back, it would be sent twice.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main');

# A mail with the provider, which keeps its answer back; its id.
sub put_in_flight
{
	my ($subject) = @_;
	my ($id) = $node->enqueue(1, subject => $subject);

	$node->wait_until("the mail \"$subject\" is not under way",
		20, sub { $simulator->held($subject) == 1 });
	return $id;
}

# The dispatcher stands still, and does not know whether its last claim was
# committed; returns its pid, and the mail that it was about to claim.
sub stop_in_doubt
{
	my $pid = $node->wait_dispatcher(30);
	my $offset = -s $node->logfile;
	my $id;

	$node->fault('before_claim_commit', 'error');
	($id) = $node->enqueue(1, subject => 'claimed in vain');
	$node->wait_for_log(qr/failed while claiming jobs/, $offset);
	kill 'STOP', $pid;
	return ($pid, $id);
}

sub answer
{
	my ($subject) = @_;
	my ($body) = $simulator->journal(phase => 'body', subject => $subject);

	$simulator->release($subject);
	$node->wait_until(
		"the mail \"$subject\" is not answered",
		20,
		sub {
			() = $simulator->journal(
				phase => 'answered',
				rf_job => $body->{rf_job});
		});
	return;
}

sub is_stopped
{
	my ($pid) = @_;

	return slurp_file("/proc/$pid/stat") =~ /^\d+ \(.*\) T/;
}

$node->wait_dispatcher(30);
$simulator->rule(
	{
		name => $_,
		count => 1,
		match => { subject => "^$_\$" },
		action => { hold => $_ }
	}) foreach qw(leaving first second call);

# It has to leave, and what became of a mail cannot be written.
{
	my $sent = put_in_flight('leaving');
	my ($pid, $waits) = stop_in_doubt();

	$node->fault('in_record', 'error', 0, 1000);
	answer('leaving');
	kill 'TERM', $pid;
	kill 'CONT', $pid;
	$node->wait_dispatcher(30, $pid);
	$node->fault('in_record', 'error', 0, 0);
	$node->wait_drained(60);
	is($node->job_state($sent), 'unknown',
		'a mail whose outcome could not be written before the dispatcher left is unknown'
	);
	is($node->job_state($waits), 'sent', 'one that was claimed in vain is sent');
}

# An answer comes between the settlements and the claim, while somebody waits
# for a call.
{
	my $first = put_in_flight('first');
	my $second = put_in_flight('second');
	my $client = $node->background_psql('postgres');
	my ($pid, $waits);

	$client->query_until(
		qr/asked/,
		q{SET ROLE app;
\echo asked
SELECT status FROM roleferry.send_email('sender@mg.example.com', 'call@example.net', 'call', 'x');
}
	);
	$node->wait_until('the call is not under way',
		20, sub { $simulator->held('call') == 1 });
	($pid, $waits) = stop_in_doubt();
	$node->fault('after_record', 'stop');
	answer('first');
	kill 'CONT', $pid;
	$node->wait_until('the first mail is not settled',
		20, sub { $node->job_state($first) eq 'sent' && is_stopped($pid) });
	answer('second');
	kill 'CONT', $pid;
	$node->wait_until('the mail that was claimed in vain is not sent',
		60, sub { $node->job_state($waits) eq 'sent' });
	answer('call');
	$client->quit;
	$node->wait_drained(60);
	is($node->job_state($second), 'sent',
		'what is answered between the settlements and a claim in doubt is sent'
	);
}

$node->assert_invariants('nothing is sent twice');

$node->stop;
done_testing();

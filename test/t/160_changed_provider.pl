
# Copyright (c) 2026, roleferry authors

# ALTER SERVER may make an account another provider's while its requests are
# under way: their answers are read as those of the provider that was asked.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(usleep);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.search_fresh = 0
roleferry.search_stale = 0
roleferry.verify_max_wait = '100ms'
roleferry.verify_poll_interval = '50ms'
roleferry.sweep_interval = '100ms'
});

$node->sql(
	sprintf q{
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%s');
GRANT USAGE ON FOREIGN SERVER apollo TO app;
}, $simulator->url('apollo'));
$node->add_verifier;
my $pid = $node->wait_dispatcher(30);

sub session
{
	my ($query) = @_;
	my $session = $node->background_psql('postgres');

	$session->query_safe('SET ROLE app');
	$session->query_until(qr/asked/, "\\echo asked\n$query;\n\\echo answered\n");
	return $session;
}

# Known to the dispatcher when this returns.
sub change_provider
{
	my ($account, $provider) = @_;

	$node->sql("ALTER SERVER $account OPTIONS (SET provider '$provider')");
	$node->sql('SELECT roleferry.wake()');
	usleep(500_000);
	return;
}

sub hold
{
	my ($call) = @_;

	$simulator->rule({ name => $call, match => { call => "^$call" }, action => { hold => $call } });
	return;
}

sub wait_held
{
	my ($call) = @_;

	return $node->wait_until("no $call is under way", 20, sub { $simulator->held($call) == 1 });
}

sub let_go
{
	my ($call) = @_;

	$simulator->clear_rules;
	$simulator->release($call);
	return;
}

sub is_alive
{
	my ($what) = @_;

	return is($node->dispatcher_pid, $pid, "the dispatcher lives on: $what");
}

#
# A search that somebody waits for
#

{
	hold('api_search');
	my $session = session(q{SELECT count(*) FROM roleferry.apollo_search(domain => 'p250.example', titles => ARRAY['CTO', 'CEO'], max_results => 5, enrich => false)});

	wait_held('api_search');
	change_provider('apollo', 'sendgrid');
	let_go('api_search');
	$session->query_until(qr/answered/, '');
	is_alive('a search was answered by an account that sends mail now');
	$session->quit;
	change_provider('apollo', 'apollo');
}

#
# A search as a job
#

{
	hold('api_search');
	my $id = $node->sql(q{SET ROLE app; SELECT roleferry.enqueue_apollo_search(domain => 'p250.example', titles => ARRAY['CTO', 'CEO'], max_results => 5, enrich => false)});

	wait_held('api_search');
	change_provider('apollo', 'sendgrid');
	let_go('api_search');
	$node->wait_until('the search does not land', 20,
		sub { $node->sql("SELECT count(*) FROM roleferry.outbox WHERE id = $id AND worker IS NOT NULL") eq '0' });
	is_alive('a job\'s search was answered by an account that sends mail now');
	change_provider('apollo', 'apollo');
	$node->wait_drained(30);
}

#
# A mail
#

{
	$node->hold_mail(1);
	my ($id) = $node->enqueue(1, first => 1, accounts => ['sendgrid']);

	$node->wait_mail_held(1);
	change_provider('sendgrid', 'apollo');
	$node->release_mail(1);
	$node->wait_drained(20);
	is_alive('a mail was answered by an account that searches people now');
	is($node->sql("SELECT provider FROM roleferry.message WHERE job_id = $id"),
		'sendgrid', 'the mail is sent, by the provider that was asked');
	change_provider('sendgrid', 'sendgrid');
}

#
# A batch
#

{
	hold('jobs');
	my $id = $node->sql(q{SET ROLE app; SELECT roleferry.enqueue_verify_emails(ARRAY['ann@example.com', 'bob@example.com'])});

	wait_held('jobs');
	change_provider('neverbounce', 'sendgrid');
	let_go('jobs');
	$node->wait_until('the batch does not move on', 20,
		sub { $node->sql(q{SELECT count(*) FROM roleferry.batch WHERE step = 'send'}) eq '0' });
	is_alive('a batch was answered by an account that sends mail now');
	change_provider('neverbounce', 'neverbounce');
	$node->wait_drained(30);
	is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $id"), 'done', 'and it is done when the account is what it was');
	is(scalar(my @jobs = $simulator->jobs_created), 1, 'paid for once');
}

$node->assert_invariants;
done_testing();

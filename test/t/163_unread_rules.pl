
# Copyright (c) 2026, roleferry authors

# What an account is held back by stays so while its rules cannot be read, and
# when something shorter comes in between.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(usleep);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	email_accounts => 'sendgrid',
	conf => q{
roleferry.search_fresh = 0
roleferry.search_stale = 0
roleferry.sweep_interval = '200ms'
});

$node->sql(
	sprintf q{
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%s');
GRANT USAGE ON FOREIGN SERVER apollo TO app;
INSERT INTO roleferry.rate_limit (account, max_requests, per) VALUES ('apollo', 1, '1 hour');
}, $simulator->url('apollo'));
$node->wait_dispatcher(30);

sub search
{
	my (undef, $out, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
SET ROLE app;
SELECT count(*) FROM roleferry.apollo_search(domain => 'p250.example', titles => ARRAY['CTO'], max_results => 1, enrich => false, timeout => '3 s')});

	return "$out$err";
}

sub searches
{
	return $simulator->calls('apollo', 'api_search');
}

#
# A table of limits that is locked
#

{
	my $session = $node->background_psql('postgres');
	my $offset;

	like(search(), qr/^\d/, 'the first search is answered');
	like(search(), qr/RF001/, 'the second is one too many');
	$offset = -s $node->logfile;
	$session->query_safe('BEGIN; LOCK TABLE roleferry.rate_use IN ACCESS EXCLUSIVE MODE;');
	$node->sql(q{SELECT roleferry.pause_queue('analytics', 'so that the rules are read', now() + interval '1 hour')});
	$node->wait_for_log(qr/roleferry dispatcher failed while/, $offset);
	unlike(search(), qr/^\d/, 'nothing is asked while the limits cannot be read');
	is(searches(), 1, 'so the provider has seen one request');
	$session->query_safe('COMMIT');
	$session->quit;
	$node->wait_turn;
	like(search(), qr/RF001/, 'and the limit holds when they can');
	is(searches(), 1, 'still one request');
}

#
# A pause that is asked for is not over when a key is there again
#

{
	$simulator->rule({ name => 'later', match => { subject => '^later$' },
			action => { status => 429, headers => { 'Retry-After' => '60' } } });
	$node->enqueue(1, subject => 'later');
	$node->wait_until('a 429 does not pause its account', 20, sub {
		$node->sql(q{SELECT state FROM roleferry.accounts WHERE account = 'sendgrid'}) eq 'paused';
	});
	$node->enqueue(1, subject => 'later');
	rename $node->basedir . '/secrets/sendgrid', $node->basedir . '/secrets/away' or die $!;
	usleep(3_500_000);
	$node->write_secret('sendgrid', 'SG.test-key');
	usleep(3_500_000);
	is(scalar(() = $simulator->journal(phase => 'body', subject => 'later')), 1,
		'an account that has to wait for a minute waits, though its key was away for a moment');
	is($node->sql(q{SELECT state FROM roleferry.accounts WHERE account = 'sendgrid'}), 'paused', 'it is paused');
}

done_testing();


# Copyright (c) 2026, roleferry authors

# An account may be turned into one of a provider that sends no e-mail while
# mails wait for it.  These are over and say why; the dispatcher goes on.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	activate => 0,
	email_accounts => 'sendgrid');

my $mail = q{SELECT roleferry.enqueue_email(from_addr => 'shop@example.com',
	to_addr => 'ann@example.org', subject => 'Hello', body_html => 'text'};
my $start_of_server = "SELECT pg_postmaster_start_time()";
my $started = $node->sql($start_of_server);

my $id = $node->sql("$mail)");
my $other = $node->sql("$mail, accounts => '{mailgun}')");
$node->sql(q{ALTER SERVER sendgrid OPTIONS (SET provider 'neverbounce')});
$node->sql(q{SELECT roleferry.activate(waiting => 'send')});

foreach my $job ($id, $other)
{
	$node->wait_until(
		"job $job does not end",
		20,
		sub {
			$node->sql("SELECT state FROM roleferry.jobs WHERE id = $job") !~ /waiting|running/;
		});
}
like(
	$node->sql("SELECT reason FROM roleferry.dead_letters WHERE job_id = $id"),
	qr/provider was changed to one that sends no e-mail/,
	'a mail of an account that sends no mail any more is over, and says why');
is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $other"),
	'sent', 'the next one is sent by the same dispatcher');
is($node->sql($start_of_server), $started, 'the server did not fall over it');

my ($status, undef, $complaint) = $node->psql('postgres', "$mail, accounts => '{sendgrid}')");
isnt($status, 0, 'no new mail is taken for it');
like($complaint, qr/sendgrid/, 'and the refusal names the account');

my @bodies = $simulator->journal(phase => 'body', provider => 'sendgrid');
is(scalar @bodies, 0, 'its mail went nowhere');

done_testing();

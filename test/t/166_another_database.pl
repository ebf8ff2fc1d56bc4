
# Copyright (c) 2026, roleferry authors

# A call whose dispatcher leaves in the very moment it is handed over reaches
# nobody: not the dispatcher of another database, which stands in its place.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main');

sub serve
{
	my ($databases) = @_;

	$node->sql("ALTER SYSTEM SET roleferry.databases = '$databases'");
	$node->reload;
	return;
}

$node->wait_dispatcher(30);
$node->sql('CREATE DATABASE other');
$node->safe_psql('other', sprintf q{
CREATE EXTENSION roleferry;
CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '%s');
SELECT roleferry.activate();
}, $simulator->url('sendgrid'));
serve('postgres, other');
my $pid = $node->wait_dispatcher(30, undef, 'other');

my $session = $node->background_psql('postgres', on_error_stop => 0);
my $backend = $session->query_safe('SELECT pg_backend_pid()');

$node->fault('call_dispatcher', 'stop');
$session->query_until(qr/asked/, "\\echo asked\nSELECT status FROM roleferry.send_email('sender\@mg.example.com', 'user1\@example.net', 'astray', 'x', timeout => '5 s');\n\\echo answered\n");
$node->wait_until('the session does not stop', 20, sub { slurp_file("/proc/$backend/stat") =~ /\) T / });

# The first place is free, and whoever starts takes it.
serve('other');
$node->wait_until('the dispatcher does not leave', 20, sub { !defined $node->dispatcher_pid });
$node->sql("SELECT pg_terminate_backend($pid)");
$node->wait_dispatcher(30, $pid, 'other');
kill 'CONT', $backend;
$session->query_until(qr/answered/, '');
like($session->{stderr}, qr/no dispatcher serves database "postgres"|its dispatcher ended/, 'the caller is told that nobody serves his database');
is($node->safe_psql('other', 'SELECT count(*) FROM roleferry.jobs'), '0', 'the other database has nothing of it');
is(scalar(() = $simulator->journal(phase => 'body', subject => 'astray')), 0, 'nothing is sent');
$session->quit;
done_testing();

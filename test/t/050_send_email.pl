
# Copyright (c) 2026, roleferry authors

# send_email() waits where no rollback can follow, and puts the mail into the
# outbox everywhere else.  What was sent is counted at the provider.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my ($node, $simulator) = RoleferryNode->start_pair('main');
my $next = 1;

# The call for a mail of its own; %options are further arguments.
sub call
{
	my ($n, %options) = @_;
	my %arguments = (
		from_addr => q{'sender@mg.example.com'},
		to_addr => qq{'user$n\@example.net'},
		subject => qq{'mail $n'},
		body_html => q{'<p>hello</p>'},
		custom_args => qq{'{"n": "$n"}'},
		%options);

	return
	  'roleferry.send_email('
	  . join(', ', map { "$_ => $arguments{$_}" } sort keys %arguments) . ')';
}

# As the application's role; (status, output, errors).
sub run
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "SET ROLE app;\n$sql");

	return ($status, $out, $err);
}

sub accepted
{
	my ($n) = @_;

	return $node->accepted->{$n} || 0;
}

$node->wait_dispatcher(30);

my $n = $next++;
my (undef, $out, $err) = run(
	'SELECT status, provider, http_status, reason IS NULL, message_id IS NOT NULL, job_id > 0 FROM '
	  . call($n)
	  . ';');
is($err, '', 'no error');
is($out, 'sent|sendgrid|202|t|t|t', 'a mail is sent while its caller waits');
is(accepted($n), 1, 'the provider has it, once');

$node->stop;
done_testing();

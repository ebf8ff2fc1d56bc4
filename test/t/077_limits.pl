
# Copyright (c) 2026, roleferry authors

# Fault row 44: a dispatcher that may open no more files, or have no more
# memory. Fewer mails are under way at once, none is lost or sent twice, no
# account is blamed, and the server does not notice.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my $max_in_flight = 100;
my ($node, $simulator) = RoleferryNode->start_pair('main', conf => qq{
roleferry.max_in_flight = $max_in_flight
roleferry.email_accounts = 'sendgrid'
});
my $dispatcher = $node->wait_dispatcher(30);
plan skip_all => 'there is no prlimit here'
  unless set_limit($dispatcher, nofile => limit_of($dispatcher, 'nofile'));

# The soft limit, which can be raised again.
sub set_limit
{
	my ($pid, $name, $value) = @_;

	return system("prlimit --pid $pid --$name=$value: 2>/dev/null") == 0;
}

sub limit_of
{
	my ($pid, $name) = @_;
	my $value = `prlimit --pid $pid --$name --noheadings --raw --output SOFT 2>/dev/null`;

	chomp $value;
	return $value;
}

sub count_log
{
	my ($pattern) = @_;
	my $log = slurp_file($node->logfile);

	return scalar @{ [ $log =~ /$pattern/g ] };
}

sub most_in_progress
{
	my ($until) = @_;
	my $most = 0;

	$node->wait_until('the mails are not sent', 60, sub {
		my $now = $simulator->stats('sendgrid')->{in_progress};

		$most = $now if $now > $most;
		return $until->();
	});
	return $most;
}

sub is_drained { return $node->sql('SELECT count(*) FROM roleferry.outbox') eq '0'; }

my $fewer = qr/lets fewer requests run at once: too many open files/;
my $again = qr/may run $max_in_flight requests at once again/;

#
# The limit falls while the dispatcher is at work.
#

$simulator->rule({ name => 'slow', action => { delay => 0.3 } });
my $files = limit_of($dispatcher, 'nofile');
# With few connections: those that are open can be used below any limit.
$node->enqueue(20);
$node->wait_until('nothing is under way', 20,
	sub { $simulator->stats('sendgrid')->{in_progress} >= 10 });
ok(set_limit($dispatcher, nofile => 64), 'the dispatcher may open 64 files');
$node->enqueue(280);
most_in_progress(\&is_drained);
is($node->states->{sent}, 300, 'with 64 files the mails go out');
$node->enqueue(200);
my $most = most_in_progress(\&is_drained);
cmp_ok($most, '<', 64, "fewer at once ($most)");
is($node->states->{sent}, 500, 'all of them');
is($node->sql('SELECT count(*) FROM roleferry.attempts'), '0', 'no attempt has failed');
is($node->sql(q{SELECT state FROM roleferry.account_gates() WHERE account = 'sendgrid'}),
	'ready', 'the account is not blamed');
is(count_log($fewer), 1, 'the log says so once');
is($node->dispatcher_pid, $dispatcher, 'the dispatcher lives');

# No file at all: nothing goes out, and everything after.
set_limit($dispatcher, nofile => 10);
$simulator->listener('sendgrid', undef, drop => 1);
$node->enqueue(50);
my $until = time() + 3;
$node->wait_until('time does not pass', 20, sub { time() > $until });
my $states = $node->states;
is($states->{sent} + $states->{waiting} + ($states->{running} || 0),
	550, 'with no file to be opened no mail fails');
is(count_log($fewer), 1, 'and the log does not repeat itself');

set_limit($dispatcher, nofile => $files);
$node->enqueue(300);
$most = most_in_progress(\&is_drained);
is($node->states->{sent}, 850, 'when the limit is raised the mails go out');
$node->enqueue(200);
$most = most_in_progress(\&is_drained);
cmp_ok($most, '>', 64, "as many at once as before ($most)");
$node->wait_until('the log does not say so', 20, sub { count_log($again) == 1 });
pass('which the log says');
is($node->dispatcher_pid, $dispatcher, 'the dispatcher lives');
$node->assert_invariants('with too few files nothing is lost or sent twice');

#
# A server that starts with few.
#

my $ours = limit_of($$, 'nofile');
$node->stop;
set_limit($$, nofile => 80);
my $started = $node->start(fail_ok => 1);
set_limit($$, nofile => $ours);
SKIP:
{
	skip 'PostgreSQL does not start with 80 files', 2 unless $started;
	$dispatcher = $node->wait_dispatcher(30);
	is(limit_of($dispatcher, 'nofile'), 80, 'the server may open 80 files');
	$node->enqueue(100);
	$node->wait_drained(60);
	is($node->states->{sent}, 1150, 'and its mails go out');
}
$node->assert_invariants('with few files nothing is lost or sent twice');

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# Fault row 44: a dispatcher that gets no more memory. What cannot be started
# is given back, or the process ends and another takes over; the server never
# crashes, and no mail is lost or sent twice.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

my $rounds = $ENV{RF_LONG} ? 40 : 6;
my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.email_accounts = 'sendgrid, mailgun'
roleferry.max_in_flight = 60
roleferry.breaker_failures = 1000
});
my $dispatcher = $node->wait_dispatcher(30);
plan skip_all => 'there is no prlimit here' unless set_limit($dispatcher, 'unlimited');
my $log_end = -s $node->logfile;

# Of the address space; the soft limit, which can be raised again.
sub set_limit
{
	my ($pid, $bytes) = @_;

	return system("prlimit --pid $pid --as=$bytes: 2>/dev/null") == 0;
}

sub address_space
{
	my ($pid) = @_;

	open my $file, '<', "/proc/$pid/statm" or return;
	my ($pages) = split / /, <$file>;
	return $pages * 4096;
}

# A mail of that many bytes, to either provider.
sub enqueue_large
{
	my ($count, $bytes, $account) = @_;

	return $node->enqueue($count, body_html => 'x' x $bytes, accounts => [$account]);
}

$simulator->rule({ name => 'slow', action => { delay => 0.05 } });
enqueue_large(5, 100_000, $_) foreach qw(sendgrid mailgun);
$node->wait_drained(30);
my $given = 0;
my $replaced = 0;
foreach my $round (1 .. $rounds)
{
	my $room = (0, 100_000, 1_000_000, 4_000_000)[ $round % 4 ];
	my $pid = $node->wait_dispatcher(60);
	my $until;

	$simulator->listener($_, undef, drop => 1) foreach qw(sendgrid mailgun);
	enqueue_large(10, 1_000, 'sendgrid') if $round % 2;
	set_limit($pid, (address_space($pid) || 0) + $room);
	$given += enqueue_large(5, 300_000, $_) foreach qw(sendgrid mailgun);
	$given += enqueue_large(30, 2_000, 'sendgrid');
	$until = time() + 1.5;
	$node->wait_until('time does not pass', 20, sub { time() > $until });
	set_limit($pid, 'unlimited');
	$replaced++ if !kill 0, $pid;
}
$node->wait_drained(90);
my $log = slurp_file($node->logfile, $log_end);
unlike($log, qr/PANIC|terminated by signal|all server processes terminated/,
	'without memory the server does not crash');
like($log, qr/out of memory/, 'memory was short');
my $states = $node->states;
note(join ', ', "$replaced of $rounds dispatchers ended", map { "$states->{$_} $_" } sort keys %$states);
note($node->sql(q{SELECT state, reason, count(*) FROM roleferry.dead_letter GROUP BY 1, 2}));
is(join(' ', grep { !/^(sent|unknown)$/ } keys %$states), '', 'no mail is given up for it');
my ($last) = $node->enqueue(1);
$node->wait_drained(30);
is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $last"), 'sent', 'afterwards mails go out');
$node->assert_invariants('nothing is lost or sent twice');

$node->stop;
done_testing();

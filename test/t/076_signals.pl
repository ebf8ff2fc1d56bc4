
# Copyright (c) 2026, roleferry authors

# Fault row 28: a thousand signals a second at a dispatcher that resolves names,
# shakes hands and drains. No handler runs on a resolver's thread, nothing
# crashes, and no mail is lost or sent twice. This build stops with a PANIC when
# interrupts are held off between two turns.

use strict;
use warnings;

use Config;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use RoleferryDns;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{RF_LONG} ? 60 : 6;
my @signals = qw(ALRM USR1 HUP URG CHLD);
my @never_on_threads = qw(HUP INT QUIT USR1 USR2 ALRM TERM CHLD URG PIPE);

my $dns = RoleferryDns->start(PostgreSQL::Test::Utils::tempdir . '/dns');
plan skip_all => RoleferryDns->why_not unless $dns;

# Every mail gets a connection of its own, and with it a handshake.
my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.reuse_max_idle = 0
roleferry.connect_timeout = '2s'
roleferry.breaker_cooldown = '500ms'
});
my $url = $simulator->url('sendgrid');

foreach my $name ('slow', 'good')
{
	$node->sql(sprintf q{
CREATE SERVER %s FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '%s');
GRANT USAGE ON FOREIGN SERVER %1$s TO app}, $name, $url =~ s/localhost/$name.provider.test/r);
}
$dns->names('slow.provider.test' => { silent => 1 }, 'good.provider.test' => { a => ['127.0.0.1'] });
{
	local %ENV = $dns->environment;
	$node->restart;
}
my $dispatcher = $node->wait_dispatcher(30);

# In a process of its own; returns how many were sent to the dispatcher.
sub start_hammer
{
	my ($pid, $duration) = @_;

	pipe my $reader, my $writer or die "no pipe: $!";
	my $child = fork();
	die "cannot fork: $!" unless defined $child;
	if ($child == 0)
	{
		my $until = time() + $duration;
		my $count = 0;

		while (time() < $until)
		{
			kill $signals[ $count % @signals ], $pid or last;
			$count++;
			usleep(400);
		}
		syswrite $writer, "$count\n";
		POSIX::_exit(0);
	}
	close $writer;
	return sub { chomp(my $count = <$reader>); waitpid $child, 0; return $count; };
}

# The signals of that name's list that a thread would take, over all threads
# but the first.
sub unblocked_on_threads
{
	my ($pid) = @_;
	my %number;
	my %open;
	my $threads = 0;

	@number{ split / /, $Config{sig_name} } = split / /, $Config{sig_num};
	foreach my $task (grep { !m{/$pid\z} } glob "/proc/$pid/task/*")
	{
		open my $status, '<', "$task/status" or next;
		my ($blocked) = map { /^SigBlk:\s*([0-9a-f]+)/ } <$status>;
		next unless defined $blocked;
		$threads++;
		foreach my $name (@never_on_threads)
		{
			my $bit = $number{$name} - 1;
			my $digit = hex substr $blocked, -1 - int($bit / 4), 1;

			$open{$name} = 1 unless $digit & (1 << $bit % 4);
		}
	}
	return ($threads, sort keys %open);
}

my $log_end = -s $node->logfile;
$node->enqueue(3, accounts => ['slow']);
my $finish = start_hammer($dispatcher, $seconds);
my $until = time() + $seconds;
my $threads = 0;
my %open;

while (time() < $until)
{
	my ($count, @names) = unblocked_on_threads($dispatcher);

	$threads += $count;
	$open{$_} = 1 foreach @names;
	$node->enqueue(20, accounts => ['good']);
}
my $sent = $finish->();
cmp_ok($sent, '>', 300 * $seconds, "the dispatcher got $sent signals in $seconds s");
cmp_ok($threads, '>', 0, "resolvers were at work ($threads seen)");
is(join(' ', sort keys %open), '', 'and would have taken none of them');
$node->wait_until('the mails are not sent', 60, sub {
	$node->sql(q{SELECT count(*) FROM roleferry.outbox WHERE accounts <> '{slow}'}) eq '0' });
is($node->dispatcher_pid, $dispatcher, 'the dispatcher is the same');
unlike(slurp_file($node->logfile, $log_end), qr/PANIC|FATAL|ERROR|terminated by signal/,
	'and nothing in the log is worse than a warning');
is($node->sql(q{SELECT count(*) FROM roleferry.dead_letter}), '0', 'no mail has come to a bad end');
$node->assert_invariants('nothing is lost or sent twice');

$node->stop;
done_testing();

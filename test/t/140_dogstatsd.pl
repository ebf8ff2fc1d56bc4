
# Copyright (c) 2026, roleferry authors

# Metrics as a DogStatsD agent gets them: every datagram is by the grammar, the
# numbers are the providers' own, and an agent that is full, gone or replaced
# costs nothing but metrics.

use strict;
use warnings;

use File::Temp;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryAgent;
use RoleferryNode;
use Test::More;

# The grammar of the test itself, against lines of Datadog's own clients.
SKIP:
{
	my $file = ($ENV{RF_VECTORS} // '') . '/dogstatsd.json';
	skip "no vectors of DogStatsD beside the tree", 1 unless -f $file;
	my $vectors = JSON::PP->new->decode(slurp_file($file));
	my @wrong;

	for my $vector (@$vectors)
	{
		my $line = $vector->{wire};
		next if $line =~ /\A_(e|sc)\b/;
		$line =~ s/\n\z//;
		my $taken = RoleferryAgent::parse($line) ? 1 : 0;
		push @wrong, $line if $taken != ($vector->{expect} ? 1 : 0);
	}
	is("@wrong", '', 'the grammar takes and refuses what Datadog\'s agent does');
}

my $agent = RoleferryAgent->new;
$ENV{DD_ENV} = 'Prod';
my ($node, $simulator) = RoleferryNode->start_pair('dogstatsd', conf => <<"EOC");
roleferry.dogstatsd = '@{[ $agent->target ]}'
roleferry.dogstatsd_tags = 'team:sales ops, odd|tag:x'
EOC

sub heartbeat_comes
{
	my ($who) = @_;
	my $before = $who->lines('roleferry.worker.heartbeat');

	$who->collect(20, sub { $who->lines('roleferry.worker.heartbeat') > $before });
	return $who->lines('roleferry.worker.heartbeat') > $before;
}

ok(heartbeat_comes($agent), 'a dispatcher that has nothing to do tells that it lives');

$node->enqueue(40);
$node->wait_drained(30);
$agent->collect(10, sub { $agent->sum('roleferry.jobs.processed', state => 'sent') >= 40 });
is($agent->sum('roleferry.sendgrid.calls', status => 'success', endpoint => 'send'),
	$simulator->stats('sendgrid')->{accepted}, 'calls are the provider\'s own number');
is($agent->count('roleferry.sendgrid.latency', status => 'success'), 40, 'each with its latency');
is($agent->sum('roleferry.jobs.processed', state => 'sent'), 40, 'and so many jobs were sent');
is_deeply($agent->{bad}, [], 'every line is by the grammar');
my ($line) = $agent->lines('roleferry.sendgrid.calls');
is_deeply($line->{tags},
	{ endpoint => 'send', status => 'success', account => 'sendgrid', team => 'sales_ops', odd_tag => 'x', env => 'prod' },
	'tags are cleaned, those of the setting and of the environment too');
is($line->{type}, 'c', 'calls are counted');
ok(!(grep { length > 1432 } @{ $agent->{datagrams} }), 'no datagram is longer than a packet');
ok(!(grep { /example\.net|user1/ } @{ $agent->{datagrams} }), 'no recipient is in any');

# Failures, by the names that dashboards of the first design know.
$node->sql(q{ALTER SERVER sendgrid OPTIONS (SET base_url 'https://127.0.0.1:1'); ALTER SERVER mailgun OPTIONS (SET base_url 'https://127.0.0.1:1')});
my @lost = $node->enqueue(1, max_attempts => 1);
$node->disown(@lost);
$node->wait_drained(30);
$agent->collect(10, sub { $agent->sum('roleferry.email.all_providers.error') > 0 });
is($agent->sum('roleferry.email.sendgrid.error'), 1, 'what SendGrid did not take is an error of its own');
is($agent->sum('roleferry.email.mailgun.error'), 1, 'and Mailgun\'s');
is($agent->sum('roleferry.email.all_providers.error'), 1, 'a mail that nobody took is told apart');
is($agent->sum('roleferry.sendgrid.calls', status => 'error'), 1, 'it is a call with the status error');
$node->sql(sprintf q{ALTER SERVER sendgrid OPTIONS (SET base_url '%s'); ALTER SERVER mailgun OPTIONS (SET base_url '%s')},
	map { $simulator->url($_) } qw(sendgrid mailgun));

$node->sql(q{SELECT roleferry.force_circuit('sendgrid', 'open', 'test')});
$agent->collect(10, sub { $agent->lines('roleferry.circuit.transitions', account => 'sendgrid') });
ok($agent->lines('roleferry.circuit.transitions', account => 'sendgrid', to => 'forced_open'),
	'a circuit that changes is told');
$node->sql(q{SELECT roleferry.force_circuit('sendgrid', 'auto')});

# An agent that is gone, then another one at the same place.
my $directory = File::Temp->newdir('rfXXXXXX', DIR => '/tmp', CLEANUP => 1);
my $path = "$directory/dsd.socket";
my $old = RoleferryAgent->new($path);
$node->append_conf('postgresql.conf', "roleferry.dogstatsd = '$path'");
$node->reload;
ok(heartbeat_comes($old), 'by a unix socket, from the reload on');
$old->close_socket;
$node->enqueue(20);
$node->wait_drained(30);
pass('without an agent mails go on');
$node->wait_for_log(qr/could not send metrics to roleferry\.dogstatsd: /);
my $new = RoleferryAgent->new($path);
ok(heartbeat_comes($new), 'an agent that was started anew at the same path is found');
ok($new->sum('roleferry.metrics.dropped') > 0, 'and learns that datagrams were dropped');

# One that does not read: its queue is full, and nothing waits for it.
$new->{lines} = [];
ok($new->fill > 0, 'an agent that reads nothing has a full queue');
$node->sql('SELECT roleferry.stat_reset()');
$node->enqueue(1000);
$node->wait_drained(60);
is($node->sql('SELECT sent FROM roleferry.job_statistics()'), 1000, 'which holds up nothing');
$node->wait_until('a flush of metrics', 20, sub { $node->wait_turn; 1 });
$new->collect(20, sub { $new->sum('roleferry.metrics.dropped') > 0 });
ok($new->sum('roleferry.metrics.dropped') > 0, 'what was dropped is counted');
is_deeply($new->{bad}, [], 'what it read is by the grammar');

# Another one takes its place while the old one lives, and reads nothing.
ok($new->fill > 0, 'it is full again');
rename $path, "$path.old" or die $!;
my $newest = RoleferryAgent->new($path);
ok(heartbeat_comes($newest), 'an agent that has taken the place of one that does not read is found');

# What any of this costs the mails: nothing that the machine's own moods do not.
sub took
{
	my ($target, $before) = @_;

	$node->append_conf('postgresql.conf', "roleferry.dogstatsd = '$target'");
	$node->reload;
	$node->wait_turn;
	$before->() if $before;
	my @ids = $node->enqueue(300);
	$node->wait_drained(60);
	return [ split /\|/, $node->sql(sprintf q{SELECT extract(epoch FROM max(sent_at) - min(created_at)),
percentile_disc(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM sent_at - created_at))
FROM roleferry.message WHERE job_id BETWEEN %d AND %d}, $ids[0], $ids[-1]) ];
}

my $full = RoleferryAgent->new("$directory/full.socket");
my %took;
for my $round (1 .. 2)
{
	push @{ $took{off} }, took('');
	push @{ $took{full} }, took("$directory/full.socket", sub { $full->fill });
	push @{ $took{absent} }, took("$directory/nobody.socket");
}
for my $which (0, 1)
{
	my ($most) = sort { $b <=> $a } map { $_->[$which] } @{ $took{off} };
	for my $how (qw(full absent))
	{
		my ($least) = sort { $a <=> $b } map { $_->[$which] } @{ $took{$how} };
		cmp_ok($least, '<=', $most * 3 + 0.5,
			sprintf '%s with a socket that is %s is as without one', $which ? 'a mail\'s 99th percentile' : 'a drain', $how);
	}
}
isnt($node->psql('postgres', "ALTER SYSTEM SET roleferry.dogstatsd = 'localhost'"), 0,
	'a target that is none is refused when it is set');
$node->assert_invariants('nothing is lost or sent twice');
$node->stop;
done_testing();

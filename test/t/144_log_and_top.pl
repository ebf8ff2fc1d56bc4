
# Copyright (c) 2026, roleferry authors

# What the log says of jobs and accounts: once, for programs too, never more
# than so much a minute, and of a recipient at most a keyed hash. And the view
# at a glance, as script/top shows it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('log', conf => 'roleferry.breaker_failures = 1000');

sub lines
{
	my ($pattern) = @_;

	return scalar grep { /$pattern/ } split /\n/, slurp_file($node->logfile);
}

# How many minutes have begun since: what is told is counted by the minute.
sub minutes { return 1 + int((time - $_[0]) / 60); }

sub refuse
{
	my ($count, $action, %options) = @_;

	$simulator->rule({ provider => 'sendgrid', name => 'bad', count => $count, action => $action });
	my @ids = $node->enqueue($count, accounts => ['sendgrid'], %options);
	$node->wait_drained(60);
	$simulator->clear_rules('bad');
	return @ids;
}

my ($unknown) = refuse(1, { close => 'after_read' });
$node->wait_for_log(qr/LOG:  job $unknown ended as unknown: .*\n.*DETAIL:  job=$unknown state=unknown outcome=ambiguous http_status=0 account=sendgrid attempt=1\n/);
pass('a mail of unknown outcome has a line, and its DETAIL is for programs');
my ($failed) = refuse(1, { status => 400 });
$node->wait_for_log(qr/LOG:  job $failed ended as failed: .*\n.*DETAIL:  job=$failed state=failed outcome=permanent http_status=400 account=sendgrid attempt=1\n/);
pass('and so has one that was refused');

# Who it was for: nothing, or a hash that only this database can make.
is(lines(qr/recipient=/), 0, 'of the recipient nothing is said');
$node->append_conf('postgresql.conf', "roleferry.log_recipients = 'hashed'");
$node->reload;
my $first = $node->{rf_next};
my ($hashed) = refuse(1, { status => 400 });
my $key = $node->sql("SELECT left(encode(roleferry.address_key('USER$first\@Example.net'), 'hex'), 16)");
like($key, qr/\A[0-9a-f]{16}\z/, 'asked to, it makes a key to hash with, if there is none');
$node->wait_for_log(qr/DETAIL:  job=$hashed .* recipient=$key\n/);
pass('and says the hash, by which an operator finds somebody');
isnt($key, $node->sql("SELECT left(encode(sha256('user$first\@example.net'), 'hex'), 16)"), 'which nobody can guess without the key');

# An avalanche: ten lines, then their number.
my $before = lines(qr/ended as failed/);
my $began = time;
refuse(30, { status => 400 });
cmp_ok(lines(qr/job \d+ ended as failed/) - $before, '<=', 10 * minutes($began), 'of thirty that fail at once not all are told');
is($node->sql(q{SELECT count(*) FROM roleferry.dead_letter WHERE state = 'failed'}), 32, 'though all have failed');
$node->wait_for_log(qr/LOG:  2\d jobs more ended as failed in a minute\n.*DETAIL:  state=failed jobs=2\d\n/, 0)
  if $ENV{RF_LONG};

# An account's states.
$began = time;
refuse(1, { status => 429, headers => { 'Retry-After' => '1' } });
$node->wait_for_log(qr/LOG:  account "sendgrid" is paused: .*\n.*DETAIL:  account=sendgrid provider=sendgrid state=paused outcome=throttle http_status=429 pause_ms=1000\n/);
pass('a pause is told, with why and for how long');
$node->sql(q{SELECT roleferry.force_circuit('sendgrid', 'open', 'the test')});
$node->wait_for_log(qr/LOG:  account "sendgrid": circuit .*\n.*DETAIL:  account=sendgrid from=\S.* to=\S/);
pass('and a circuit that somebody moves');
$node->sql(q{SELECT roleferry.force_circuit('sendgrid', 'auto')});
for my $round (1 .. 20)
{
	$node->sql(sprintf q{SELECT roleferry.force_circuit('sendgrid', '%s', 'round %d')}, $round % 2 ? 'open' : 'auto', $round);
	$node->wait_turn;
}
cmp_ok(lines(qr/LOG:  account "sendgrid"/), '<=', 12 * minutes($began), 'one that flaps does not fill the log');
# What sessions say is the test's own: it logs its statements.
my $ours = join "\n", grep { /\A\S+ \S+ UTC \[\d+\] [A-Z]+: / } split /\n/, slurp_file($node->logfile);
like($ours, qr/ended as failed/, 'there are lines of ours');
unlike($ours, qr/user\d+\@example|test-key/, 'and no address and no key is in them');

# script/top.
my @connection = ('-h', $node->host, '-p', $node->port, '-d', 'postgres');
my ($out, $err) = run_command([ 'script/top', '-1', @connection ]);
like($out, qr/^ *what *\| *name *\| *state .*\n.*^ *queue *\| *sequences .*^ *account *\| *sendgrid .*^ *dispatcher *\| *postgres /ms,
	'script/top shows queues, accounts and workers');
unlike($err, qr/\S/, 'and complains of nothing');
my $shown = slurp_file('doc/top.txt');
(my $head) = $out =~ /^( *what .*)$/m;
(my $head_shown) = $shown =~ /^( *what .*)$/m;
is($head_shown =~ s/\s+//gr, $head =~ s/\s+//gr, 'the capture in doc/ has the columns that there are');
for my $page (qw(README.md doc/monitoring.md))
{
	ok(index(slurp_file($page), $shown) >= 0, "$page shows it");
}

$node->assert_invariants('nothing is lost or sent twice', at_least_once => 1);
$node->stop;
done_testing();

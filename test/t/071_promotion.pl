
# Copyright (c) 2026, roleferry authors

# A standby sends nothing until it is promoted, then goes on or waits, as it is
# told. With synchronous replication no mail is sent twice, whatever the old
# primary does.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my $in_flight = 50;
my ($main, $simulator) = RoleferryNode->start_pair('main',
	init => [ allows_streaming => 1 ],
	conf => qq{
roleferry.max_in_flight = $in_flight
roleferry.request_timeout = 60s
roleferry.idle_timeout = 60s
wal_keep_size = 64MB
});

# Processes that stand still, which would not end with the test.
my @old;
END { kill 'CONT', @old if @old }

sub requests
{
	return scalar $simulator->journal(phase => 'body');
}

sub make_standby
{
	my ($name, $primary, $conf) = @_;
	my $standby = RoleferryNode->new_copy($name, $primary);

	$primary->backup($name);
	$standby->init_from_backup($primary, $name, has_streaming => 1);
	$standby->append_conf('postgresql.conf', $conf || '');
	$standby->start;
	return $standby;
}

sub hold_mails
{
	$simulator->rule({ name => 'hold', match => { subject => '^under way' },
		action => { hold => 'hold', accept => 'before' } });
	return;
}

sub wait_held
{
	my ($count) = @_;

	$main->wait_until('the mails are not under way', 30, sub { $simulator->held('hold') == $count });
	return;
}

sub wait_settled
{
	my ($node) = @_;

	return $node->wait_until('jobs of the old primary are not settled', 30, sub { !$node->states->{running} });
}

my $standby = make_standby('standby', $main);
$main->append_conf('postgresql.conf', "synchronous_standby_names = 'standby'");
$main->reload;
$main->poll_query_until('postgres', q{SELECT sync_state = 'sync' FROM pg_stat_replication}) or die 'no standby';
my ($first) = $main->enqueue(1);
$main->wait_until('a claim is not confirmed', 20,
	sub { $main->sql("SELECT state = 'sent' FROM roleferry.jobs WHERE id = $first") eq 't' });
pass('a mail is sent when the standby has its claim');
$main->wait_for_catchup($standby);

#
# A hot standby
#

is($standby->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'roleferry%'}),
	'0', 'on a standby no worker runs');
is($standby->sql('SELECT state FROM roleferry.activation_state()'), 'standby', 'activation_state() calls it one');
is($standby->sql("SELECT event FROM roleferry.job_report($first) OFFSET 1"), 'sent', 'what was sent can be read there');
is($standby->sql('SELECT count(*) FROM roleferry.accounts'), '2', 'and the accounts');
foreach my $call (
	q{enqueue_email('a@example.com', 'b@example.com', 'Hello', 'x')},
	q{activate()}, q{activate('send')}, q{deactivate()}, q{settle(1, 'sent')})
{
	my ($status, undef, $error) = $standby->psql('postgres', "\\set VERBOSITY verbose\nSELECT roleferry.$call");

	like($error, qr/ERROR:  25006: /, "$call says that it cannot there");
}
is($standby->psql('postgres', 'SELECT roleferry.wake()'), 0, 'wake() does no harm');

#
# Promotion with mails under way; the old primary stands still
#

hold_mails();
my @under_way = $main->enqueue($in_flight, subject => 'under way');
wait_held($in_flight);
my @waiting = $main->enqueue(20);
@old = ($main->{_pid}, split /\n/, $main->sql('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()'));
kill 'STOP', @old;

$standby->follow($main);
$standby->promote;
my $promoted = time();
wait_settled($standby);
cmp_ok(time() - $promoted, '<', $main->patient(5), 'within 5 s of its promotion the jobs of the old primary are settled');
is($standby->states->{unknown}, $in_flight, 'they are unknown');
$standby->wait_drained(20);
is($standby->states->{sent}, 21, 'what waited is sent by the new primary');
is(requests(), 1 + $in_flight + 20, 'each once');
like(slurp_file($standby->logfile), qr/database "postgres" goes on sending after a promotion/, 'the log tells that it goes on');
is($standby->sql('SELECT timeline FROM roleferry.activation'), '2', 'and the activation has followed to the new timeline');

# It goes on where it stood: answers arrive, and twenty mails wait for a place.
my $offset = -s $main->logfile;
kill 'CONT', splice @old;
$simulator->release('hold');
$simulator->clear_rules;
my $waits_for_standby = sub {
	$main->wait_until('the old primary does not wait for its standby', 20,
		sub { $main->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher'
AND (wait_event = 'SyncRep' OR query = 'waiting for a synchronous standby')}) });
};
my $pid = $waits_for_standby->();
is(requests(), 1 + $in_flight + 20, 'the old primary comes back, and sends nothing that no standby confirms');
$main->sql("SELECT pg_cancel_backend($pid)");
$main->wait_for_log(qr/canceling wait for synchronous replication/, $offset);
$main->wait_until('the claim is not given back', 20,
	sub { $main->sql('SELECT sum(attempts) FROM roleferry.outbox WHERE worker IS NULL AND attempts = 0 HAVING count(*) = 20') eq '0' });
$waits_for_standby->();
is(requests(), 1 + $in_flight + 20, 'not even when the wait is cancelled');

my $started = time();
$main->stop('fast');
cmp_ok(time() - $started, '<', $main->patient(5), 'a fast stop does not wait for the standby');
is(requests(), 1 + $in_flight + 20, 'and lets nothing out');
$main->start;
$waits_for_standby->();
is(requests(), 1 + $in_flight + 20, 'started again as a primary, it sends nothing either');
$main->stop('immediate');

$standby->assert_invariants('over all of it nothing is lost or sent twice');

#
# The new primary
#

$standby->restart;
$standby->wait_dispatcher(30);
my ($later) = $standby->enqueue(1);
$standby->wait_drained(20);
is($standby->sql("SELECT state FROM roleferry.jobs WHERE id = $later"), 'sent', 'after a restart it is as active as before');

#
# Promotions that are held, or that nobody saw
#

my $installation = $standby->sql('SELECT installation FROM roleferry.activation');
my $held = make_standby('held', $standby, 'roleferry.after_promotion = hold');
my $unseen = make_standby('unseen', $standby, q{roleferry.databases = ''});
my $second = make_standby('second', $standby, q{recovery_target_timeline = current});

hold_mails();
my @doubtful = $standby->enqueue(3, subject => 'under way');
wait_held(3);
my $before = requests();
foreach my $node ($held, $unseen, $second)
{
	$standby->wait_for_catchup($node);
	$node->follow($standby);
}
$standby->stop('immediate');
$simulator->release('hold');
$simulator->clear_rules;

$held->promote;
$held->wait_dispatcher(30);
like($held->wait_turn, qr/^not active: it is held after the promotion to timeline 3, as roleferry\.after_promotion says; see/,
	'hold: a promoted standby is mute and says why');
is($held->sql('SELECT state FROM roleferry.activation_state()'), 'held', 'hold: activation_state() says so');
my ($waits) = $held->enqueue(1);
$held->wait_turn;
like($held->sql("SELECT detail FROM roleferry.job_report($waits) WHERE event = 'waiting'"), qr/it is held after the promotion/,
	'hold: a job that waits says why');
is($held->states->{running}, 3, 'hold: the jobs of the old primary are left as they are');
is(requests(), $before, 'hold: nothing is sent');
is($held->sql(q{SELECT roleferry.activate('send')}), 'active; jobs waiting: 1, to be sent; under way elsewhere and now unknown: 3',
	'hold: activate() tells what there is');
$held->wait_drained(20);
is($held->states->{unknown}, $in_flight + 3, 'hold: then what was under way is unknown');
is($held->sql("SELECT state FROM roleferry.jobs WHERE id = $waits"), 'sent', 'hold: and what waits is sent');
is($held->sql('SELECT installation FROM roleferry.activation'), $installation, 'hold: by the same installation');
$held->assert_invariants('hold: nothing is lost or sent twice');
$held->stop;

# It was promoted, but there is nobody left who knows.
$unseen->promote;
$unseen->restart;
$before = requests();
$unseen->append_conf('postgresql.conf', q{roleferry.databases = 'postgres'});
$unseen->reload;
$unseen->wait_dispatcher(30);
$unseen->enqueue(1);
like($unseen->wait_turn, qr/^not active: it was restored, or promoted unseen: it was activated on timeline 2 and is on timeline 3; see/,
	'a promotion that nobody recorded cannot be told from a restore');
is(requests(), $before, 'so nothing is sent');
$unseen->sql(q{SELECT roleferry.activate('send')});
$unseen->wait_drained(20);
is(requests(), $before + 1, 'until somebody activates it');
$unseen->stop;

# Somebody else has been promoted from the same history before.
append_to_file($second->data_dir . '/pg_wal/00000003.history',
	slurp_file($second->data_dir . '/pg_wal/00000002.history') . "2\t0/4000000\tno recovery target specified\n");
$second->promote;
$second->wait_dispatcher(30);
like($second->wait_turn, qr/^not active: it was restored, or promoted unseen: it was activated on timeline 2 and is on timeline 4; see/,
	'a promotion past a timeline that is taken is mute: its history goes on elsewhere, too');
$second->stop;

done_testing();

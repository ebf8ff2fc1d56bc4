
# Copyright (c) 2026, roleferry authors

# File systems that are full. A container's /dev/shm, 64 MB and then no byte of
# it free: mails go out all the same, because nothing on their way needs dynamic
# shared memory. Fault row 30, no room for what became of mails: nothing more
# goes out, nothing is forgotten. Fault row 31, no room for the log of changes
# (only in the long campaign): the server stops, and goes on with room.

use strict;
use warnings;

use RoleferryNamespace
  '/dev/shm' => '64m',
  '$TESTDIR/tmp_check/roleferry_small' => '4m',
  '$TESTDIR/tmp_check/roleferry_wal' => '90m';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => RoleferryNamespace->why_not if RoleferryNamespace->why_not;

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
dynamic_shared_memory_type = posix
min_dynamic_shared_memory = 0
});

sub parallel_error
{
	my (undef, undef, $error) = $node->psql('postgres', q{
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(*) FROM roleferry.outbox});

	return $error;
}

like(`df -Pk /dev/shm`, qr/ 65536 /, '/dev/shm has 64 MB');
is(parallel_error(), '', 'there is room for dynamic shared memory');
$node->enqueue(200);
$node->wait_drained(30);
is($node->states->{sent}, 200, 'with a /dev/shm of 64 MB mails go out');

my $ballast = RoleferryNamespace->fill('/dev/shm');
like(parallel_error(), qr/No space left on device/, 'now there is none');
$node->enqueue(200);
$node->wait_drained(30);
is($node->states->{sent}, 400, 'with no free byte in /dev/shm mails go out');

my $pid = $node->wait_dispatcher(30);
$node->sql("SELECT pg_terminate_backend($pid)");
$node->wait_dispatcher(30, $pid);
$node->enqueue(200);
$node->wait_drained(30);
is($node->states->{sent}, 600, 'by a dispatcher that was started then, too');
$node->assert_invariants('nothing is lost or sent twice');
unlink $ballast;

#
# Row 30.
#

my $small = "$ENV{TESTDIR}/tmp_check/roleferry_small";

$simulator->rule({ name => 'hold', action => { hold => 'full' } });
mkdir "$small/space" or die "could not create a tablespace: $!";
$node->sql("CREATE TABLESPACE small LOCATION '$small/space'");
$node->sql("ALTER TABLE roleferry.message SET TABLESPACE small");
$node->enqueue(50, first => 1001, subject => 'x' x 900);
$node->wait_until('the mails are not under way', 30, sub { $simulator->held('full') == 50 });
$ballast = RoleferryNamespace->fill($small);
my $log_end = -s $node->logfile;
$simulator->release('full');
$simulator->clear_rules;
$node->wait_for_log(qr/failed while settling jobs: could not extend file/, $log_end);
$node->enqueue(20, first => 1101);
my $requests = $simulator->stats('sendgrid')->{requests};
my $until = time() + 3;
$node->wait_until('time does not pass', 20, sub { time() > $until });
is($simulator->stats('sendgrid')->{requests}, $requests,
	'while what became of mails cannot be written none goes out');
is($node->sql(q{SELECT count(*) FROM roleferry.outbox WHERE worker IS NULL}), '20', 'those wait');
unlink $ballast;
$node->wait_drained(30);
is($node->states->{sent}, 670, 'with room again all is written');
$node->assert_invariants('and nothing is lost or sent twice');

#
# Row 31.
#

SKIP:
{
	skip 'a full log of changes is for the long campaign', 5 unless $ENV{RF_LONG};
	my $wal = "$ENV{TESTDIR}/tmp_check/roleferry_wal";
	my $data = $node->data_dir;

	$node->append_conf('postgresql.conf', "max_wal_size = '48MB'\nmin_wal_size = '32MB'");
	$node->stop;
	system("cp -a '$data/pg_wal/.' '$wal/' && rm -r '$data/pg_wal' && ln -s '$wal' '$data/pg_wal'") == 0
	  or die 'could not move pg_wal';
	$node->start;
	$node->wait_dispatcher(30);
	$node->enqueue(100, first => 2001);
	$node->wait_drained(30);
	$simulator->rule({ name => 'hold', action => { hold => 'panic' } });
	$node->enqueue(50, first => 2201);
	$node->wait_until('the mails are not under way', 30, sub { $simulator->held('panic') == 50 });
	$simulator->release('panic', 25);
	$node->enqueue(50, first => 2301);

	# Until it stops for want of a segment.
	$ballast = RoleferryNamespace->fill($wal);
	$log_end = -s $node->logfile;
	$node->wait_until('the server does not stop', 60, sub {
		$node->psql('postgres', 'SELECT pg_switch_wal(); SELECT pg_logical_emit_message(false, $$x$$, repeat($$x$$, 1000000))');
		return slurp_file($node->logfile, $log_end) =~ /PANIC:  could not .*: No space left on device/;
	});
	pass('without room for its log the server stops');
	$simulator->release('panic');
	$simulator->clear_rules;
	my $pid = slurp_file("$data/postmaster.pid") =~ /^(\d+)/ ? $1 : 0;
	unlink $ballast;
	$node->stop('immediate', fail_ok => 1) if $pid && kill 0, $pid;
	$node->_update_pid(-1);
	ok($node->start(fail_ok => 1), 'with room it starts again');
	$node->wait_drained(60);
	my $states = $node->states;
	note(join ', ', map { "$states->{$_} $_" } sort keys %$states);
	is(join(' ', sort grep { !/^(sent|unknown)$/ } keys %$states), '', 'every mail is sent or unknown');
	my %accepted = %{ $node->accepted };
	is((grep { $accepted{$_} > 1 } keys %accepted), 0, 'none is sent twice');
	$node->assert_invariants('nothing is lost');
}

$node->stop;
done_testing();

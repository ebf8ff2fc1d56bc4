
# Copyright (c) 2026, roleferry authors

# Whoever may drop, rename, move or copy a database can do so while its
# dispatcher is at work, and nobody else can disturb it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my $in_flight = 50;
my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.databases = 'postgres, shop'
roleferry.max_in_flight = 60
});

sub dispatcher_of
{
	my ($database) = @_;

	return $node->sql(qq{SELECT pid FROM pg_stat_activity
WHERE backend_type = 'roleferry dispatcher' AND datname = '$database'});
}

sub wait_dispatcher_of
{
	my ($database) = @_;

	return $node->wait_until("database $database has no dispatcher", 30,
		sub { dispatcher_of($database) });
}

# A statement in the database "postgres"; what it said and how long it took.
sub timed
{
	my ($role, $statement) = @_;
	my $started = time();
	my ($status, undef, $error) = $node->psql('postgres', "SET ROLE $role;\n$statement");

	return ($status, $error, time() - $started);
}

# A copy of "postgres" as the database "shop", active, with mails under way.
sub make_shop
{
	my ($status, $error, $took) = timed('postgres',
		'CREATE DATABASE shop TEMPLATE postgres OWNER shopkeeper');

	is($error, '', 'a served database can be copied');
	cmp_ok($took, '<', $node->patient(6), 'and copying it does not wait for the dispatcher');
	$node->safe_psql('shop', 'SELECT roleferry.activate()');
	return;
}

sub fill_shop
{
	$simulator->rule({ name => 'hold', action => { hold => 'shop' } });
	wait_dispatcher_of('shop');
	$node->safe_psql('shop', qq{
SELECT roleferry.enqueue_email('sender\@mg.example.com', 'user' || n || '\@example.net', 'shop', 'x')
FROM generate_series(1, $in_flight) AS n});
	$node->wait_until('the mails are not under way', 30, sub {
		$node->safe_psql('shop', q{SELECT count(*) FROM roleferry.jobs WHERE state = 'running'}) == $in_flight });
	return;
}

sub empty_shop
{
	$simulator->release('shop');
	$simulator->clear_rules;
	return;
}

$node->sql('CREATE ROLE shopkeeper LOGIN CREATEDB; CREATE ROLE stranger LOGIN CREATEDB');
wait_dispatcher_of('postgres');
make_shop();
wait_dispatcher_of('postgres');
pass('the dispatcher of the original comes back');

#
# Who may not, disturbs nobody.
#

fill_shop();
my $pid = dispatcher_of('shop');

foreach my $statement (
	'DROP DATABASE shop', 'DROP DATABASE shop WITH (FORCE)',
	'ALTER DATABASE shop RENAME TO mine', 'ALTER DATABASE shop SET TABLESPACE pg_default',
	'CREATE DATABASE mine TEMPLATE shop')
{
	my ($status, $error) = timed('stranger', $statement);

	like($error, qr/must be owner of database shop|permission denied to copy database/,
		"a stranger may not: $statement");
}
is(dispatcher_of('shop'), $pid, 'the dispatcher has not noticed');
is($node->safe_psql('shop', q{SELECT count(*) FROM roleferry.jobs WHERE state = 'running'}),
	$in_flight, 'and its mails are under way still');

#
# Who may, waits for at most a moment; no mail is sent twice.
#

my ($status, $error, $took) = timed('shopkeeper', 'ALTER DATABASE shop RENAME TO other');
is($error, '', 'its owner can rename a database with mails under way');
cmp_ok($took, '<', $node->patient(6), 'soon');
timed('shopkeeper', 'ALTER DATABASE other RENAME TO shop');
wait_dispatcher_of('shop');
is($node->safe_psql('shop', q{SELECT count(*) FROM roleferry.jobs WHERE state = 'unknown'}),
	$in_flight, 'mails that had no answer by then are unknown');
empty_shop();
my %accepted = $simulator->accepted_counts;
is((grep { $_ > 1 } values %accepted), 0, 'none was sent twice');

fill_shop();
($status, $error, $took) = timed('shopkeeper', 'CREATE DATABASE copy TEMPLATE shop');
is($error, '', 'its owner can copy it');
cmp_ok($took, '<', $node->patient(6), 'soon');
empty_shop();

fill_shop();
($status, $error, $took) = timed('shopkeeper', 'DROP DATABASE shop');
is($error, '', 'an owner who is no superuser can drop it');
cmp_ok($took, '<', $node->patient(6), 'soon');
empty_shop();

make_shop();
fill_shop();
($status, $error, $took) = timed('shopkeeper', 'DROP DATABASE shop WITH (FORCE)');
is($error, '', 'also by force');
cmp_ok($took, '<', $node->patient(2.5), 'at once');
empty_shop();

# The launcher goes on, and so do the mails of other databases.
wait_dispatcher_of('postgres');
my @ids = $node->enqueue(5);
$node->wait_drained(30);
is($node->states->{sent}, 5, 'another database is served as before');
$node->assert_invariants('nothing is lost or sent twice');

$node->stop;
done_testing();

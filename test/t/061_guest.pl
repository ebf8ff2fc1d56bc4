
# Copyright (c) 2026, roleferry authors

# What 060 leaves: a database that is moved, forced away, dropped in vain or
# made anew, and a launcher that somebody terminates.  Row 35 of the fault
# matrix.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

use constant LAUNCHER => 'roleferry launcher';

my $in_flight = 50;
my $round = 0;
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.databases = 'postgres, shop'
roleferry.max_in_flight = 60
});
my $elsewhere = PostgreSQL::Test::Utils::tempdir();

# A statement as the shop's owner, who is no superuser: what it said, how long it took.
sub timed
{
	my ($statement) = @_;
	my $started = time();
	my (undef, undef, $error) =
	  $node->psql('postgres', "SET ROLE shopkeeper;\n$statement");

	return ($error, time() - $started);
}

sub make_shop
{
	my ($error) = timed('CREATE DATABASE shop TEMPLATE postgres');

	is($error, '', 'the shop is open');
	$node->safe_psql('shop', 'SELECT roleferry.activate()');
	$node->wait_dispatcher(30, 0, 'shop');
	return;
}

sub enqueue_in_shop
{
	my ($subject, $count) = @_;

	$node->safe_psql(
		'shop', qq{
SELECT roleferry.enqueue_email('sender\@mg.example.com', 'user' || n || '\@example.net', '$subject', 'x')
FROM generate_series(1, $count) AS n});
	return;
}

sub shop_states
{
	my ($subject) = @_;

	return $node->safe_psql(
		'shop', qq{
SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (
	SELECT coalesce(d.state, 'sent') AS state, count(*) AS n FROM roleferry.jobs AS j
	LEFT JOIN roleferry.dead_letter AS d ON d.job_id = j.id LEFT JOIN roleferry.message AS m ON m.job_id = j.id
	WHERE '$subject' IN (d.args ->> 'subject', m.subject) GROUP BY 1) AS s});
}

# Mails under way, whose answers do not come.
sub fill_shop
{
	my $subject = 'round ' . ++$round;

	$simulator->rule(
		{
			name => 'hold',
			match => { subject => "^$subject\$" },
			action => { hold => 'shop' }
		});
	enqueue_in_shop($subject, $in_flight);
	$node->wait_until('the mails are not under way',
		30, sub { $simulator->held('shop') == $in_flight });
	return $subject;
}

sub empty_shop
{
	$simulator->release('shop');
	$simulator->clear_rules;
	return;
}

# Anybody may see that it is served.
sub is_served_again
{
	my ($name) = @_;
	my $subject = "served $round";

	$node->wait_dispatcher(30, 0, 'shop');
	enqueue_in_shop($subject, 3);
	$node->wait_until("$name: the shop is not served",
		30, sub { (shop_states($subject) || '') eq 'sent 3' });
	pass("$name: the shop is served as before");
	return;
}

$node->sql(
	qq{CREATE ROLE shopkeeper LOGIN CREATEDB;
ALTER DATABASE postgres IS_TEMPLATE true});
$node->sql(
	"CREATE TABLESPACE elsewhere OWNER shopkeeper LOCATION '$elsewhere'");
$node->wait_dispatcher(30);
like(
	$node->activity(LAUNCHER),
	qr/^databases served: 1 of 2; not "shop": there is no such database$/,
	'the launcher says which database it cannot serve, and why');
make_shop();
$node->wait_activity(qr/^databases served: 2$/, LAUNCHER);
pass('and serves it as soon as it is there');

#
# Moved to another tablespace
#

{
	my $subject = fill_shop();
	my ($error, $took) =
	  timed('ALTER DATABASE shop SET TABLESPACE elsewhere');

	is($error, '', 'its owner can move a database with mails under way');
	cmp_ok($took, '<', $node->patient(6), "soon ($took s)");
	is( shop_states($subject),
		"unknown $in_flight",
		'mails that had no answer by then are unknown');
	empty_shop();
	is_served_again('moved');
}

#
# Dropped in vain: somebody else is connected
#

{
	my $subject = fill_shop();
	my $guest = $node->background_psql('shop');
	my ($error) = timed('DROP DATABASE shop');

	like(
		$error,
		qr/is being accessed by other users/,
		'a database in use cannot be dropped');
	like(
		$error,
		qr/There is 1 other session/,
		'and it is not the dispatcher that is in the way');
	$guest->quit;
	is( shop_states($subject),
		"unknown $in_flight",
		'what could not wait is unknown');
	empty_shop();
	is_served_again('dropped in vain');
}

#
# By force: also what is connected, and at once
#

{
	my $subject = fill_shop();
	my $guest = $node->background_psql(
		'shop',
		on_error_stop => 0,
		extra_params => [ '-U', 'shopkeeper' ]);
	my ($error, $took) = timed('DROP DATABASE shop WITH (FORCE)');

	is($error, '', 'a database is dropped by force');
	cmp_ok($took, '<', $node->patient(2), "at once ($took s)");
	eval { $guest->quit };
	empty_shop();
	$node->wait_activity(qr/not "shop": there is no such database/, LAUNCHER);
	is( scalar(
			() = $simulator->journal(phase => 'body', subject => $subject)),
		$in_flight,
		'its mails were sent once');
	make_shop();
	is_served_again('made anew');
}

#
# A launcher that somebody terminates
#

{
	my $subject = fill_shop();
	my $offset = -s $node->logfile;
	my $launcher = $node->sql(
		sprintf q{SELECT pid FROM pg_stat_activity WHERE backend_type = '%s'},
		LAUNCHER);
	my ($ours, $shops) =
	  ($node->dispatcher_pid, $node->dispatcher_pid('shop'));
	my $text;

	$node->append_conf('postgresql.conf', q{roleferry.databases = 'shop'});
	kill 'STOP', $launcher;
	$node->reload;
	$node->sql("SELECT pg_terminate_backend($launcher)");
	kill 'CONT', $launcher;
	$node->wait_until(
		'the launcher does not come back',
		20,
		sub {
			$node->sql(
				sprintf
				  q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = '%s' AND pid <> %d},
				LAUNCHER, $launcher) eq '1';
		});
	pass('a launcher that was terminated comes back');
	$node->wait_until('the other dispatcher stays',
		20, sub { !defined $node->dispatcher_pid });
	pass('it stops the dispatcher of a database that is no longer listed');
	is($node->dispatcher_pid('shop'),
		$shops, 'it leaves the dispatchers that it finds at work');
	is($simulator->held('shop'), $in_flight, 'and their mails under way');
	empty_shop();
	$node->wait_until('the mails are not sent',
		30, sub { (shop_states($subject) || '') eq "sent $in_flight" });
	pass('they are sent');

	$node->append_conf('postgresql.conf',
		q{roleferry.databases = 'postgres'});
	$node->reload;
	$node->wait_until('the dispatcher stays',
		20, sub { !defined $node->dispatcher_pid('shop') });
	pass(
		'a dispatcher that was found is stopped when its database is no longer listed'
	);
	$node->wait_dispatcher(30, $ours);
	$text = slurp_file($node->logfile, $offset);
	unlike(
		$text,
		qr/has a dispatcher already/,
		'nobody tried to start a second one');
}

{
	my %accepted = $simulator->accepted_counts;
	my $text = slurp_file($node->logfile);
	my @lines = $text =~ /(has no roleferry dispatcher)/g;

	is((grep { $_ > 1 } values %accepted), 0, 'no mail was sent twice');
	cmp_ok(scalar @lines,
		'<=', 2 + int((time() - $^T) / 60),
		'the log says no more than a line a minute');
	is(scalar(() = $text =~ /"roleferry launcher" \(PID \d+\) exited/g),
		1, 'the launcher ended only when it was terminated');
	unlike(
		$text,
		qr/PANIC|by signal|FATAL:  database "shop" does not exist/,
		'nothing crashed, nothing was tried in vain');
}

$node->stop;
done_testing();

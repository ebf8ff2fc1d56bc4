
# Copyright (c) 2026, roleferry authors

# What is used of a rate limit outlives the server that used it: a promoted
# standby counts on, from the blocks that were written down before each request.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my $max = 40;
my $per = $ENV{RF_LONG} ? 60 : 20;
my ($main, $simulator) = RoleferryNode->start_pair(
	'main',
	init => [ allows_streaming => 1 ],
	conf => 'wal_keep_size = 64MB');

sub requests { return $simulator->moments('sendgrid'); }

sub used
{
	my ($node) = @_;

	return $node->sql(
		q{SELECT used FROM roleferry.rate_limits WHERE account = 'sendgrid' AND key = ''}
	);
}

$main->sql(
	qq{INSERT INTO roleferry.rate_limit (account, max_requests, per, key) VALUES
('sendgrid', $max, '$per s', ''), ('mailgun', 5, '1 h', 'tenant_key')});
my $standby = RoleferryNode->new_copy('standby', $main);
$main->backup('standby');
$standby->init_from_backup($main, 'standby', has_streaming => 1);
$standby->start;
$main->append_conf('postgresql.conf',
	"synchronous_standby_names = 'standby'");
$main->reload;
$main->poll_query_until('postgres',
	q{SELECT sync_state = 'sync' FROM pg_stat_replication})
  or die 'no standby';

# Most of the window, and one of a tenant's; then the server is gone.
$main->enqueue(25, accounts => ['sendgrid']);
$main->enqueue(4, accounts => ['mailgun'], tenant_key => 'one');
$main->wait_drained(30);
is(scalar(requests()), 25, 'the first server sends');
is(used($main), 25, 'and counts');
$standby->follow($main);
$main->wait_for_catchup($standby);
$main->stop('immediate');

$standby->promote;
$standby->wait_dispatcher(30);
$standby->wait_until('the standby does not know',
	30, sub { used($standby) ne '' && used($standby) >= 25 });
cmp_ok(used($standby), '<=', 26,
	'the promoted one knows what was used, and takes the rest of a block for used'
);
my $before = time;
$standby->enqueue(40, accounts => ['sendgrid']);
$standby->enqueue(3, accounts => ['mailgun'], tenant_key => 'one');
$standby->enqueue(3, accounts => ['mailgun'], tenant_key => 'two');
$standby->wait_until('what may go does not go',
	20, sub { scalar(requests()) >= $max - 1 });
$standby->wait_turn;
cmp_ok(scalar(requests()), '<=', $max, 'until the window is full it goes on');
is( $standby->sql(
		q{SELECT tenant_key, count(*) FROM roleferry.outbox WHERE tenant_key IS NOT NULL GROUP BY 1}
	),
	'one|2',
	'so do windows by key');
$standby->wait_until(
	'the rest does not go',
	4 * $per,
	sub {
		$standby->sql(
			q{SELECT count(*) FROM roleferry.outbox WHERE tenant_key IS NULL})
		  eq '0';
	});
is(scalar(requests()), 65, 'then everything goes');
cmp_ok($simulator->most_within($per, requests()),
	'<=', $max, "over the promotion no $per s has more than $max");

# It outlives a restart there, too, and no second promotion is needed for it.
my $known = used($standby);
$standby->restart;
$standby->wait_until('limits are not read', 30, sub { used($standby) ne '' });
cmp_ok(used($standby), '<=', $max, 'after a restart it is what it was');
$standby->assert_invariants('nothing is lost or sent twice');
$standby->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# Rate limits: no interval of a window's length has more requests than it
# allows, whatever happens; what waits goes when it may, and holds up nobody.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time usleep);

my ($node, $simulator) = RoleferryNode->start_pair('limits',
	conf => "roleferry.max_accounts = 8\nmax_connections = 40");

sub limit
{
	my ($account, $max, $per, %more) = @_;

	return $node->sql(sprintf q{
INSERT INTO roleferry.rate_limit (account, max_requests, per, key, pace)
VALUES ('%s', %d, '%s', '%s', %s)},
		$account, $max, $per, $more{key} || '', $more{pace} ? 'true' : 'false');
}

# Moments at which a provider had read a request, in order; only those for
# which the code is true of the journal's line.
sub moments
{
	my ($provider, $after, $filter) = @_;

	return sort { $a <=> $b } map { $_->{t} }
	  grep { $_->{t} >= $after && (!$filter || $filter->($_)) }
	  $simulator->journal(phase => 'accepted', provider => $provider);
}

# The most requests in any interval of that length.
sub most_within
{
	my ($length, @moments) = @_;
	my ($most, $first) = (0, 0);

	foreach my $last (0 .. $#moments)
	{
		$first++ while $moments[$last] - $moments[$first] >= $length;
		$most = $last - $first + 1 if $last - $first + 1 > $most;
	}
	return $most;
}

sub now
{
	my @lines = $simulator->journal;

	return @lines ? $lines[-1]{t} + 1e-9 : 0;
}

# One account, one window: all go, and as fast as they may.
{
	my $begin = time;

	limit('sendgrid', 20, '2s');
	$node->enqueue(70, accounts => ['sendgrid']);
	$node->wait_drained(30);

	my $took = time - $begin;
	my @moments = moments('sendgrid', 0);

	is(most_within(2, @moments), 20, 'a window of 20 in 2 s is used to the full, and never exceeded');
	is(scalar @moments, 70, 'all mails go');
	cmp_ok($took, '<', 8, 'as soon as they may: 70 of them within four windows');
	is($node->sql('SELECT max(attempts) FROM roleferry.messages'), 1, 'waiting costs no attempt');
}
$node->stop;
done_testing();

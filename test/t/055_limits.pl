
# Copyright (c) 2026, roleferry authors

# Rate limits: no interval of a window's length has more requests than it
# allows, whatever happens; what waits goes when it may, and holds up nobody.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

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

	my @moments = sort { $a <=> $b } map { $_->{t} }
	  grep { $_->{t} >= $after && (!$filter || $filter->()) }
	  $simulator->journal(phase => 'body', provider => $provider);

	return @moments;
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

	is($simulator->most_within(2, @moments), 20, 'a window of 20 in 2 s is used to the full, and never exceeded');
	is(scalar @moments, 70, 'all mails go');
	cmp_ok($took, '<', $node->patient(8), 'as soon as they may: 70 of them within four windows');
	is($node->sql('SELECT max(attempts) FROM roleferry.messages'), 1, 'waiting costs no attempt');
}

# A change at run time takes effect at once.
{
	my $after = now();

	$node->sql(q{UPDATE roleferry.rate_limit SET max_requests = 3, per = '1 hour'});
	$node->enqueue(20, accounts => ['sendgrid']);
	$node->wait_turn;
	is(scalar(moments('sendgrid', $after)), 0, 'a window made smaller knows what was sent before');
	like($node->sql('SELECT state, reason, until > now() FROM roleferry.accounts WHERE account = \'sendgrid\''),
		qr/^limited\|a rate limit is used up.*\|t$/, 'the view accounts says why nothing goes');
	is( $node->sql('SELECT used >= 3, remaining, next_at > now() FROM roleferry.rate_limits'),
		't|0|t', 'and rate_limits says until when');
	like($node->sql('SELECT detail FROM roleferry.job_report((SELECT min(id) FROM roleferry.outbox)) WHERE event = \'waiting\''),
		qr/sendgrid is limited/, 'so does the report of a job that waits');

	$node->enqueue(10, accounts => ['mailgun']);
	$node->wait_until('mails by another account wait, too', 10,
		sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '20' });
	pass('nobody else is held up');

	$node->sql('UPDATE roleferry.rate_limit SET max_requests = 1000');
	$node->wait_drained(10);
	is(scalar(moments('sendgrid', $after)), 20, 'what waits goes as soon as the limit is raised');
	$node->sql('DELETE FROM roleferry.rate_limit');
}

# A full window is a closed gate: the next account has it.
{
	my $after = now();

	limit('sendgrid', 5, '1 hour');
	limit('mailgun', 10, '1 hour');
	$node->enqueue(20);
	$node->wait_until('15 of 20 go', 10, sub { $node->sql('SELECT count(*) FROM roleferry.outbox WHERE worker IS NULL') eq '5' });
	$node->wait_turn;
	is(scalar(moments('sendgrid', $after)), 5, 'the first account has what its window allows');
	is(scalar(moments('mailgun', $after)), 10, 'the second has what its own does');
	is($node->sql('SELECT count(*) FROM roleferry.attempts'), 0, 'no attempt is spent on a full window');
	is($node->sql('SELECT max(attempts) FROM roleferry.outbox'), 0, 'nor counted');
	is($node->sql(q{SELECT status, reason FROM roleferry.send_email(
		from_addr => 'a@mg.example.com', to_addr => 'b@example.net', subject => 's', body_text => 'b')}),
		'queued|none of its accounts is open now: see roleferry.accounts', 'who waits for a mail is told that it is queued');

	$node->sql('ALTER SERVER sendgrid RENAME TO renamed');
	$node->sql('ALTER SERVER renamed RENAME TO sendgrid');
	$node->wait_turn;
	is(scalar(moments('sendgrid', $after)), 5, 'an account that was renamed has its limit still');
	$node->sql('DELETE FROM roleferry.rate_limit');
	$node->wait_drained(10);
}

# By key: each has a window of its own, and is waited for job by job.
{
	my $after = now();
	my %key = (to_addr => 'to_domain', from_addr => 'from_addr');

	foreach my $field (sort keys %key)
	{
		limit('sendgrid', 3, '1500ms', key => $key{$field});
		my $first = $node->{rf_next};

		foreach my $domain (qw(Alpha.example beta.example))
		{
			$node->enqueue(8, accounts => ['sendgrid'], $field => "someone\@$domain");
		}
		$node->enqueue(2, accounts => ['sendgrid'], $field => 'Other <x@gamma.example>');
		$node->wait_drained(20);
		foreach my $begin ($first, $first + 8)
		{
			my @moments = moments('sendgrid', $after, sub
			{
				my $n = $_->{custom_args}{n};

				return defined $n && $n >= $begin && $n < $begin + 8;
			});

			is($simulator->most_within(1.5, @moments), 3, "$key{$field}: each has 3 in its window");
			is(scalar @moments, 8, 'and all in the end');
			cmp_ok($moments[-1] - $moments[0], '<', $node->patient(4.4), 'as soon as they may: eight within three windows');
		}
		is($node->sql('SELECT max(attempts) FROM roleferry.messages'), 1, 'waiting costs no attempt');
		$node->sql('DELETE FROM roleferry.rate_limit');
		$after = now();
	}

	limit('sendgrid', 2, '1 hour', key => 'tenant_key');
	$node->enqueue(5, accounts => ['sendgrid'], tenant_key => 'one');
	$node->enqueue(5, accounts => ['sendgrid'], tenant_key => 'two');
	$node->enqueue(5, accounts => ['sendgrid']);
	$node->wait_until('four of two tenants and five of none go', 10,
		sub { $node->sql('SELECT count(*) FROM roleferry.outbox WHERE worker IS NULL') eq '6' });
	$node->wait_turn;
	is($node->sql('SELECT tenant_key, count(*) FROM roleferry.outbox GROUP BY 1 ORDER BY 1'), "one|3\ntwo|3",
		'tenant_key: each tenant has its own, and who has none is not limited');
	is($node->sql('SELECT windows, used, remaining FROM roleferry.rate_limits'), '2|2|0', 'the view shows the fullest');
	cmp_ok($node->sql('SELECT min(extract(epoch FROM run_at - now())) FROM roleferry.outbox'), '>', 3000,
		'they are due when their token comes back');
	$node->sql('DELETE FROM roleferry.rate_limit');
	$node->wait_drained(10);
	pass('or as soon as the limit is gone');
}

# With pacing they go one after the other.
{
	my $after = now();

	limit('sendgrid', 10, '2s', pace => 1);
	$node->enqueue(8, accounts => ['sendgrid']);
	$node->wait_drained(10);

	my @moments = moments('sendgrid', $after);
	my ($least) = sort { $a <=> $b } map { $moments[$_] - $moments[ $_ - 1 ] } 1 .. $#moments;

	cmp_ok($least, '>', 0.15, 'with pacing requests keep their distance');
	cmp_ok($moments[-1] - $moments[0], '<', $node->patient(3), 'and no more than that');
	$node->sql('DELETE FROM roleferry.rate_limit');
}

# What was used outlives the dispatcher, the server, and a crash.
{
	limit('sendgrid', 100, '1 hour');
	$node->enqueue(3, accounts => ['sendgrid']);
	$node->wait_drained(10);
	my $pid = $node->dispatcher_pid;

	$node->sql("SELECT pg_terminate_backend($pid)");
	$node->wait_dispatcher(20, $pid);
	is($node->sql('SELECT used FROM roleferry.rate_limits'), 3, 'another dispatcher finds what was used');
	is($node->sql('SELECT sum(tokens), max(tokens) FROM roleferry.rate_use'), '4|4', 'on disk it is in blocks of two');

	$node->kill_process($node->dispatcher_pid);
	$node->crash_wait;
	$node->wait_until('limits are not read', 20, sub { $node->sql('SELECT used FROM roleferry.rate_limits') eq '4' });
	pass('after a crash the rest of the block counts as used');
	is( $node->sql(q{
SELECT (SELECT max(granted_at) FROM roleferry.rate_use) >= (SELECT backend_start + interval '1 s' FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher')}),
		't', 'from a moment later on: the provider may be reading what was under way');
	$node->restart;
	$node->wait_until('limits are not read', 20, sub { $node->sql('SELECT used FROM roleferry.rate_limits') eq '4' });
	pass('after a restart all that was used, and nothing twice');
	$node->sql('DELETE FROM roleferry.rate_limit');
}

# A dump takes limits and their use along.
{
	my $file = $node->basedir . '/limits.dump';

	limit('sendgrid', 50, '1 day');
	$node->enqueue(1, accounts => ['sendgrid']);
	$node->wait_drained(10);
	$node->sql('CREATE DATABASE restored');
	command_ok([ 'pg_dump', '-f', $file, $node->connstr('postgres') ], 'a dump');
	command_ok([ 'psql', '-qXo', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', $file, $node->connstr('restored') ],
		'is restored');
	is( $node->safe_psql('restored', q{
SELECT l.account, l.max_requests, s.srvname, (SELECT sum(u.tokens) FROM roleferry.rate_use u WHERE u.limit_id = l.id)
FROM roleferry.rate_limit l JOIN pg_foreign_server s ON s.oid = l.server}),
		'sendgrid|50|sendgrid|1', 'with the limit, its account here, and what it has counted');
	$node->sql('DELETE FROM roleferry.rate_limit');
}

$node->assert_invariants('nothing is lost or sent twice');
$node->stop;
done_testing();

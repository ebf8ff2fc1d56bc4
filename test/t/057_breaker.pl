
# Copyright (c) 2026, roleferry authors

# Fault row 18: a provider that answers 503 to everything, and is well again
# later. Its circuit opens, one probe an interval asks how it is, no mail is
# tried more often than it may be, and all go when it is well. Then whoever
# races for the probe: one request leaves, whoever they are.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my $storm = $ENV{RF_LONG} ? 60 : 4;
my $cooldown = $ENV{RF_LONG} ? 2 : 0.4;
my $in_flight = 8;
my $failures = 3;
my $max_attempts = 6;
my $mails = 60;
my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => qq{
roleferry.max_in_flight = $in_flight
roleferry.breaker_failures = $failures
roleferry.breaker_cooldown = '@{[ $cooldown * 1000 ]}ms'
roleferry.search_fresh = 0
roleferry.search_stale = 0
});

sub events
{
	my ($account) = @_;

	return $node->sql(
		qq{SELECT coalesce(string_agg(from_state || ' to ' || to_state, ', ' ORDER BY at), '') FROM roleferry.circuit_event WHERE account = '$account'}
	);
}

sub state_of
{
	my ($account) = @_;

	return $node->sql(
		"SELECT state FROM roleferry.circuits WHERE account = '$account'");
}

$node->wait_dispatcher(30);

# --- The storm ---

$simulator->rule(
	{ name => 'storm', provider => 'sendgrid', action => { status => 503 } });
$node->enqueue(
	$mails,
	accounts => ['sendgrid'],
	delivery => 'at_least_once',
	max_attempts => $max_attempts);
$node->wait_until('the circuit does not open',
	30, sub { events('sendgrid') =~ /^closed to open/ });
pass('after failures in a row the circuit opens');
my $begin = time;
$node->wait_until(
	'the storm does not pass',
	$storm + 30,
	sub { time >= $begin + $storm });
is($simulator->stats('sendgrid')->{accepted}, 0, 'in the storm nothing goes');
$simulator->clear_rules;
$node->wait_drained(120);

is_deeply(
	$node->states,
	{ sent => $mails },
	'when it is over everything goes');
is($simulator->stats('sendgrid')->{accepted}, $mails, 'once each');
my %tries;
my @stormy;
foreach my $line ($simulator->journal(provider => 'sendgrid'))
{
	$tries{ $line->{rf_job} }++ if $line->{phase} eq 'body';
	push @stormy, $line->{t} if $line->{phase} eq 'refused';
}
my ($most) = sort { $b <=> $a } values %tries;
cmp_ok($most, '<=', $max_attempts,
	"no mail is tried more than $max_attempts times");
cmp_ok($node->sql('SELECT max(attempts) FROM roleferry.messages'),
	'<=', $max_attempts, 'nor said to be');

# Until it opened as many as were under way, and one more for each failure that
# did not open it yet; then one at a time, each interval at least as long as the
# one before.
my @probes = @stormy[ $in_flight + $failures - 1 .. $#stormy ];
my ($least) =
  sort { $a <=> $b } map { $probes[$_] - $probes[ $_ - 1 ] } 1 .. $#probes;
cmp_ok(scalar @probes, '>', 0, 'it is probed');
cmp_ok($least // $cooldown,
	'>=', $cooldown, 'by at most one request an interval');
cmp_ok(
	$node->sql(
		q{SELECT extract(epoch FROM min(next_at - at)) FROM (SELECT at, to_state, lead(at) OVER (ORDER BY at) AS next_at FROM roleferry.circuit_event WHERE account = 'sendgrid') e WHERE to_state = 'open'}
	),
	'>=',
	$cooldown,
	'nor is any sooner after it opened');
cmp_ok(scalar @probes, '<=', ($stormy[-1] - $stormy[0]) / $cooldown + 1, 'so few meet the storm');
like(
	events('sendgrid'),
	qr/\Aclosed to open, (open to half-open, half-open to open, )*open to half-open, half-open to closed\z/,
	'each change is told once');
is(state_of('sendgrid'), 'closed', 'in the end it is closed');
$node->assert_invariants('nothing is lost or sent twice');

# --- The race ---

# Sessions that ask different things at once, and mails by another account.
my $sessions = 4;
my $rounds = $ENV{RF_LONG} ? 10 : 3;

$node->sql(
	sprintf q{
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%s');
GRANT USAGE ON FOREIGN SERVER apollo TO app}, $simulator->url('apollo'));

sub ask
{
	my ($n) = @_;

	return
	  "\\set VERBOSITY verbose\nSET ROLE app;\nSELECT count(*) FROM roleferry.apollo_search('p$n.example', ARRAY['CTO'], enrich => false, timeout => '30 s');\n";
}

sub fail_with
{
	my (%more) = @_;

	return $simulator->rule(
		{
			name => 'down',
			provider => 'apollo',
			action => { status => 500, %more }
		});
}

fail_with();
foreach my $n (1 .. 3)
{
	$node->psql('postgres', ask($n), stdout => \my $out, stderr => \my $err);
}
$node->wait_until('the circuit of searches does not open',
	20, sub { state_of('apollo') eq 'open' });
$simulator->clear_rules;

foreach my $round (1 .. $rounds)
{
	my $last = $round == $rounds;
	my $before = $simulator->calls('apollo', 'api_search');
	my (@out, @err, @racers);

	# The probe stays out until all the others have been told.
	$simulator->rule(
		{
			name => 'held',
			provider => 'apollo',
			action => { hold => 'probe', ($last ? () : (status => 500)) }
		});
	$node->wait_until(
		'no probe is due',
		60,
		sub {
			$node->sql(
				q{SELECT coalesce(until, now()) <= now() FROM roleferry.accounts WHERE account = 'apollo'}
			) eq 't';
		});
	foreach my $n (0 .. $sessions - 1)
	{
		($out[$n], $err[$n]) = ('', '');
		my $input = ask(100 * $round + $n + 10);

		push @racers,
		  IPC::Run::start(
			[ 'psql', '-qXAt', '-d', $node->connstr('postgres') ],
			'<' => \$input,
			'>' => \$out[$n],
			'2>' => \$err[$n]);
	}
	$node->enqueue(1, accounts => ['sendgrid']);
	$node->wait_until(
		'the others are not refused',
		60,
		sub {
			IPC::Run::pump_nb($_) foreach grep { $_->pumpable } @racers;
			return
			  grep({ /RF002: the circuit of account "apollo" is open/ } @err)
			  == $sessions - 1;
		});
	is( $simulator->calls('apollo', 'api_search') - $before,
		1,
		"round $round: of $sessions one asks, the others hear that the circuit is open"
	);
	is(state_of('apollo'), 'half-open',
		'while it does the circuit is half-open');
	$simulator->release('probe');
	IPC::Run::finish($_) foreach @racers;
	is($simulator->calls('apollo', 'api_search') - $before,
		1, 'and none has asked meanwhile');
	$node->wait_until('the probe changes nothing',
		20, sub { state_of('apollo') eq ($last ? 'closed' : 'open') });
	pass(
		$last
		? 'its success closes the circuit'
		: 'its failure opens it again');
	$simulator->clear_rules;
}
$node->wait_drained(20);
is( $node->sql(
		q{SET ROLE app; SELECT count(*) > 0 FROM roleferry.apollo_search('p40.example', ARRAY['CTO', 'CEO', 'Sales', 'Engineering'], enrich => false)}
	),
	't',
	'everybody asks again');

$node->stop;
done_testing();

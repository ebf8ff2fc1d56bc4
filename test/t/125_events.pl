
# Copyright (c) 2026, roleferry authors

# What providers report of a mail: whose it is, the life it makes, the same in
# whatever order it comes, and the end of a doubt.

use strict;
use warnings;

use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $json = JSON::PP->new->canonical;
my ($node, $simulator) = RoleferryNode->start_pair('main',
	conf =>
	  "roleferry.sweep_interval = '100ms'\nroleferry.breaker_failures = 10000\n"
);

# The built-in handling by itself: no signature, no rows of events.
$node->sql(
	q{
CREATE FUNCTION public.regress_events(provider text, body text) RETURNS text
	SET search_path = pg_catalog, pg_temp LANGUAGE C AS 'roleferry', 'roleferry_events_test'}
);
my $installation =
  $node->sql('SELECT installation FROM roleferry.activation');
my $clock = 1_700_000_000;

sub report
{
	my ($provider, $body) = @_;

	return $node->sql('SELECT public.regress_events('
		  . RoleferryNode::quote_literal($provider) . ', '
		  . RoleferryNode::quote_literal($json->encode($body))
		  . ')');
}

# One of SendGrid's events of a job.
sub event
{
	my ($word, $job, %members) = @_;

	return {
		event => $word,
		email => 'someone@example.net',
		timestamp => $clock++,
		sg_event_id => "event-$clock",
		rf_job => "$installation.$job",
		%members
	};
}

sub mail_of
{
	my ($job) = @_;

	return $node->sql(
		"SELECT split_part(to_addr, '<', 1) FROM roleferry.message WHERE job_id = $job"
	);
}

sub life
{
	my ($job) = @_;

	return $node->sql(
		qq{
SELECT state, delivered_at IS NOT NULL AS d, bounced_at IS NOT NULL AS b, hard, opens, clicks, deferrals, reason
  FROM roleferry.messages WHERE job_id = $job});
}

#
# A life
#
my @jobs = $node->enqueue(8);
$node->wait_drained;
my @of = map { { email => mail_of($_) } } @jobs;

is(life($jobs[0]), 'sent|f|f||0|0|0|', 'nothing was reported yet');
is( report('sendgrid', [ event('processed', $jobs[0], %{ $of[0] }) ]),
	'accepted matched',
	'an event finds its job');
is(life($jobs[0]), 'accepted|f|f|f|0|0|0|', 'which was accepted');
is( report(
		'sendgrid',
		[
			event('click', $jobs[0], %{ $of[0] }),
			event('open', $jobs[0], %{ $of[0] }),
			event('open', $jobs[0], %{ $of[0] }),
			event('deferred', $jobs[0], %{ $of[0] })
		]),
	'clicked matched, opened matched, opened matched, deferred matched',
	'a batch is one call');
is(life($jobs[0]), 'delivered|f|f|f|2|1|1|', 'who opens a mail has it');
report('sendgrid', [ event('delivered', $jobs[0], %{ $of[0] }) ]);
is(life($jobs[0]), 'delivered|t|f|f|2|1|1|',
	'the delivery itself may be told later');
report('sendgrid', [ event('spamreport', $jobs[0], %{ $of[0] }) ]);
like(life($jobs[0]), qr/^complained/, 'a complaint is the end of it');

report(
	'sendgrid',
	[
		event(
			'bounce', $jobs[1], %{ $of[1] },
			type => 'bounce',
			reason => '550 no such user'),
		event('delivered', $jobs[1], %{ $of[1] })
	]);
is( life($jobs[1]),
	'bounced|t|t|t|0|0|0|550 no such user',
	'a bounce that follows a delivery counts, whatever came first');
report('sendgrid',
	[ event('bounce', $jobs[2], %{ $of[2] }, type => 'blocked') ]);
is(life($jobs[2]), 'bounced|f|t|f|0|0|0|', 'a block is no hard bounce');
report('sendgrid',
	[ event('dropped', $jobs[3], %{ $of[3] }, reason => 'Bounced Address') ]);
is( life($jobs[3]),
	'rejected|f|f|f|0|0|0|Bounced Address',
	'what the provider drops is rejected');

# Every order of four events makes the same life.
{
	my ($job) = $node->enqueue(1);
	$node->wait_drained;
	my %to = (email => mail_of($job));
	my @events =
	  map { event($_, $job, %to) } qw(processed deferred delivered open);
	my %lives;
	foreach
	  my $order ([ 0 .. 3 ], [ 3, 2, 1, 0 ], [ 2, 0, 3, 1 ], [ 1, 3, 0, 2 ])
	{
		$node->sql("DELETE FROM roleferry.message_life WHERE job_id = $job");
		report('sendgrid', [ $events[$_] ]) for @$order;
		$lives{
			$node->sql(
				"SELECT * FROM roleferry.message_life WHERE job_id = $job")
		}++;
	}
	is(keys %lives, 1, 'the same life in every order')
	  or diag explain \%lives;
}

#
# Whose it is
#
is( report(
		'sendgrid',
		[
			event(
				'bounce', $jobs[4],
				email => 'copy@example.net',
				type => 'bounce')
		]),
	'bounced matched',
	'a bounce of a recipient in copy');
is(life($jobs[4]), 'accepted|f|f|f|0|0|0|',
	'is not the bounce of the mail, which was accepted');

my $message_id = $node->sql(
	"SELECT message_id FROM roleferry.message WHERE job_id = $jobs[5]");
is( report(
		'sendgrid',
		[
			{
				event => 'bounce',
				type => 'bounce',
				%{ $of[5] }, sg_message_id => "$message_id.filter-1.0"
			}
		]),
	'bounced matched',
	'a late bounce without rf_job is found by its message');
like(life($jobs[5]), qr/^bounced/, 'and is told');

my ($mailgun) = $node->enqueue(1, accounts => ['mailgun']);
$node->wait_drained;
is( report(
		'mailgun',
		{
			'event-data' => {
				event => 'delivered',
				recipient => mail_of($mailgun),
				timestamp => 1529006854.3,
				message => {
					headers => {
						'message-id' => $node->sql(
							"SELECT message_id FROM roleferry.message WHERE job_id = $mailgun"
						)
					}
				}
			}
		}),
	'delivered matched',
	'Mailgun\'s, too');
is(life($mailgun), 'delivered|t|f|f|0|0|0|', 'and are told');

is( report(
		'sendgrid',
		[
			event(
				'delivered', $jobs[6],
				rf_job => "00000000deadbeef.$jobs[6]")
		]),
	'delivered foreign',
	'another installation\'s event is foreign');
is(life($jobs[6]), 'sent|f|f||0|0|0|', 'and tells nothing of ours');
is( report('sendgrid', [ event('delivered', 999_999) ]),
	'delivered unmatched',
	'nor does one of a job that never was');
is( $node->sql(
		'SELECT count(*) FROM roleferry.message_life WHERE job_id = 999999'),
	'0',
	'which gets no life');
is( report(
		'sendgrid',
		[
			event('delivered', $jobs[6], %{ $of[6] }),
			7,
			{ event => 'news' },
			event('open', $jobs[6], %{ $of[6] })
		]),
	'delivered matched, unreadable unmatched, other unmatched, opened matched',
	'what cannot be read costs nothing but itself');
is(life($jobs[6]), 'delivered|t|f|f|1|0|0|', 'the rest is told');

#
# The end of a doubt
#
sub make_unknown
{
	my ($count, %options) = @_;

	$simulator->rule({ name => 'lost', action => { status => 500 } });
	my @unknown = $node->enqueue($count, accounts => ['sendgrid'], %options);
	$node->wait_drained;
	$simulator->clear_rules('lost');
	return @unknown;
}

my @unknown = make_unknown(6);
is( $node->sql(
		'SELECT count(*), bool_and(age > interval \'0\') FROM roleferry.unknown_sends'
	),
	'6|t',
	'what is unknown is listed, with its age');
is( report(
		'sendgrid',
		[
			event('processed', $unknown[0]),
			event('dropped', $unknown[1], email => '')
		]),
	'accepted matched settled, rejected matched settled',
	'events settle what was unknown');
is($node->job_state($unknown[0]), 'sent', 'what was accepted is sent');
like(
	$node->sql(
		"SELECT note FROM roleferry.messages WHERE job_id = $unknown[0]"),
	qr/^settled as sent by event 1 of "test": accepted$/,
	'and says what settled it');
is($node->job_state($unknown[1]), 'failed', 'what was rejected has failed');
like(
	$node->sql(
		"SELECT note FROM roleferry.dead_letters WHERE job_id = $unknown[1]"),
	qr/^settled as not sent by event 2 of "test": rejected$/,
	'and says so');
is( report(
		'sendgrid',
		[ event('bounce', $unknown[2], email => 'copy@example.net') ]),
	'bounced matched settled',
	'a bounce proves that it was taken, of any recipient');
is( report(
		'sendgrid',
		[
			event(
				'delivered', $unknown[3],
				rf_job => "00000000deadbeef.$unknown[3]")
		]),
	'delivered foreign',
	'what is foreign');
is($node->job_state($unknown[3]), 'unknown', 'settles nothing');
is( report(
		'sendgrid',
		[
			event('dropped', $unknown[4], email => ''),
			event('delivered', $unknown[4])
		]),
	'rejected matched settled, delivered matched settled',
	'two events that disagree');
is($node->job_state($unknown[4]),
	'sent', 'prove that it was taken: it is never sent again');
is( report('sendgrid', [ event('dropped', $unknown[4]) ]),
	'rejected matched',
	'and nothing settles it twice');
is($node->job_state($unknown[4]), 'sent', 'it stays so');

is( report('sendgrid', [ event('dropped', $unknown[5]) ]),
	'rejected matched',
	'that a recipient in copy was rejected proves nothing');
is($node->job_state($unknown[5]), 'unknown', 'it stays unknown');

# Told while the answer was still awaited.
{
	$simulator->rule({ name => 'slow', action => { hold => 'slow' } });
	my ($job) = $node->enqueue(1, accounts => ['sendgrid']);
	$node->wait_until('the mail is not held',
		20, sub { $simulator->held('slow') });
	is( report('sendgrid', [ event('processed', $job) ]),
		'accepted matched',
		'an event overtakes the answer');
	$simulator->listener('sendgrid', 'listen', drop => 1);
	$node->wait_until('it is not settled',
		20, sub { $node->job_state($job) eq 'sent' });
	like(
		$node->sql("SELECT note FROM roleferry.messages WHERE job_id = $job"),
		qr/^settled as sent: an event of it came before/,
		'and settles what became unknown after it');
	$simulator->clear_rules('slow');
}

#
# Sent again, where that is allowed
#
{
	$node->append_conf('postgresql.conf',
		"roleferry.resend_unknown_after = '6h'");
	$node->reload;
	my @again = make_unknown(
		2,
		delivery => 'at_least_once',
		max_attempts => 2,
		idempotency_key => undef);
	my ($once) = make_unknown(1);
	is( $node->sql(
			"SELECT string_agg(state || ' ' || failures, ', ') FROM roleferry.dead_letters WHERE job_id IN (@{[join ',', @again]})"
		),
		'unknown 1, unknown 1',
		'a mail that may go out twice waits for events first');
	is( report('sendgrid', [ event('processed', $again[0]) ]),
		'accepted matched settled',
		'one has an event');
	$node->sql(
		"UPDATE roleferry.dead_letter SET finished_at = now() - interval '7h' WHERE state = 'unknown'"
	);
	$node->append_conf('postgresql.conf',
		"roleferry.sweep_interval = '50ms'");
	$node->restart;
	$node->wait_until('it is not sent again',
		90, sub { $node->job_state($again[1]) eq 'sent' });
	my %accepted = $simulator->accepted_counts;
	is($accepted{"$installation.$again[0]"},
		undef, 'what an event settled is not sent again');
	is($accepted{"$installation.$again[1]"},
		1, 'what had none for so long is');
	is($node->job_state($once), 'unknown', 'what may be sent once only never is');
	is($accepted{"$installation.$once"}, undef, 'not even now');
}

#
# Together
#
{
	my @many = $node->enqueue(100);
	$node->wait_drained;
	my @down = map { event('open', $_, email => '') } @many;
	my @up = reverse @down;
	my @bodies =
	  map { RoleferryNode::quote_literal($json->encode($_)) } \@down, \@up;
	my @sessions = map { $node->background_psql('postgres') } 0 .. 3;
	foreach my $n (0 .. 3)
	{
		$sessions[$n]->query(
			"CREATE TEMP TABLE body AS SELECT $bodies[$n % 2]::text AS body");
	}
	my $failed = 0;
	foreach my $round (1 .. 5)
	{
		$_->{stdin} .=
		  "SELECT public.regress_events('sendgrid', body) IS NOT NULL FROM body \\; SELECT pg_sleep(0);\n\\echo done $round\n"
		  for @sessions;
		foreach my $session (@sessions)
		{
			$session->{run}->pump until $session->{stdout} =~ /done $round/;
			$failed++ if $session->{stderr} =~ /ERROR/;
		}
	}
	$_->quit for @sessions;
	is($failed, 0,
		'batches over the same mails, in any order, do not deadlock');
	is( $node->sql(
			"SELECT min(opens), max(opens) FROM roleferry.messages WHERE job_id >= $many[0]"
		),
		'20|20',
		'and none of their events is lost');
}

$node->stop;
done_testing();

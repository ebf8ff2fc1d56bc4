# An event takes effect exactly once: over kill -9 at every step, and when it
# comes a thousand times at once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run ();
use PostgreSQL::Test::Utils;
use RoleferryNode;
use RoleferrySigner;
use Test::More;

my $node = RoleferryNode->start_pair('main', email_accounts => 'sendgrid');
my $signer = RoleferrySigner->new($node->basedir . '/signer');

$node->write_secret('hook', 'whsec_test');
$node->write_secret('hook_sendgrid', $signer->public_key);
$node->sql(
	q{
CREATE SCHEMA app AUTHORIZATION app;
CREATE ROLE front LOGIN;
SELECT roleferry.grant_access('front', 'webhook');
INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES
	('stripe', 'stripe', '{hook}'), ('sendgrid', 'sendgrid', '{hook_sendgrid}'), ('picky', 'sendgrid', '{hook_sendgrid}');
CREATE TABLE app.outcome (status text, http_status integer, reason text);
GRANT INSERT ON app.outcome TO front;
GRANT USAGE ON SCHEMA app TO front;
SET ROLE app;
CREATE TABLE app.effect (source text, event text);
CREATE FUNCTION app.count_event(source text, event jsonb) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO app.effect VALUES (source, coalesce(event ->> 'id', event ->> 'sg_event_id')) $$;
CREATE FUNCTION app.picky(source text, event jsonb) RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN IF event ->> 'sg_event_id' LIKE '%7' THEN RAISE EXCEPTION 'not a seven'; END IF; END $$;
RESET ROLE;
INSERT INTO roleferry.webhook_handler (source, function, role) VALUES
	('stripe', 'app.count_event', 'app'), ('sendgrid', 'app.count_event', 'app'),
	('picky', 'app.count_event', 'app'), ('picky', 'app.picky', 'app');
});

sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }

sub call
{
	my ($source, $headers, $body) = @_;

	return sprintf q{roleferry.webhook_receive('%s', %s, '\x%s')}, $source,
	  literal($headers), unpack('H*', $body);
}

sub event
{
	return
	  qq({"id": "$_[0]", "object": "event", "type": "a.b", "data": {"object": {}}});
}

sub effects
{
	return $node->sql(
		"SELECT count(*) FROM app.effect WHERE event = '$_[0]'");
}

# Sessions that run the scripts as the front, so often each; what pgbench says.
sub bench
{
	my ($sessions, $times, @scripts) = @_;
	my ($n, $out, $err) = (0, '', '');
	my @files = map {
		my $file = $node->basedir . '/script_' . $n++;
		append_to_file($file, "$_;\n");
		('-f', $file)
	} @scripts;

	IPC::Run::run(
		[
			'pgbench', '-n', '-h', $node->host,
			'-p', $node->port, '-U', 'front',
			'-c', $sessions, '-j', 2,
			'-t', $times, @files, 'postgres'
		],
		'>',
		\$out,
		'2>',
		\$err);
	unlink grep { /script_/ } @files;
	return $out . join '',
	  grep { !/^(pgbench|starting)/ || /error|abort/ } split /^/m, $err;
}

# Killed before anything, with the row, with the effects, with the handlers.
foreach my $point (
	qw(webhook_verified webhook_recorded webhook_applied webhook_received))
{
	my $body = event("evt_$point");
	my $select = 'SELECT status FROM '
	  . call('stripe', $signer->stripe($body, 'whsec_test'), $body);

	$node->fault($point, 'kill');
	my ($ret) = $node->psql('postgres', $select);
	isnt($ret, 0, "$point: the server was killed");
	$node->crash_wait;
	is(effects("evt_$point"), 0, 'nothing had happened');
	is( $node->sql(
			qq{SELECT count(*) FROM roleferry.webhook_event WHERE event_id = 'evt_$point'}
		),
		0,
		'and nothing is recorded');
	is($node->sql($select), 'accepted', 'sent again, it is accepted');
	is($node->sql($select), 'duplicate', 'and once only');
	is(effects("evt_$point"), 1, 'so it happened once');
}

# Committed, and the answer is lost.
{
	my $body = event('evt_lost');
	my $select = 'SELECT status FROM '
	  . call('stripe', $signer->stripe($body, 'whsec_test'), $body);

	is($node->sql($select), 'accepted', 'an event is accepted');
	$node->stop('immediate');
	$node->start;
	is($node->sql($select), 'duplicate',
		'what was committed before a crash is a duplicate afterwards');
	is(effects('evt_lost'), 1, 'and happened once');
}

# A thousand at once.
{
	my $body = event('evt_many');

	like(
		bench(
			20,
			50,
			'INSERT INTO app.outcome SELECT status, http_status, reason FROM '
			  . call('stripe', $signer->stripe($body, 'whsec_test'), $body)),
		qr{processed: 1000/1000(?!.*error)}s,
		'a thousand replays are answered');
	is( $node->sql(
			q{SELECT string_agg(concat_ws(' ', status, http_status, reason, n), ', ' ORDER BY status) FROM
		(SELECT status, http_status, reason, count(*) AS n FROM app.outcome GROUP BY 1, 2, 3) o}
		),
		'accepted 200 applied 1, duplicate 200 applied 999',
		'one of them was the first, and all others got its outcome');
	is(effects('evt_many'), 1, 'it happened once');
}

# Batches with the same events in other orders, also where some events fail.
foreach my $source (qw(sendgrid picky))
{
	my @members = map {
		sprintf
		  '{"email":"u@example.net","event":"open","timestamp":%d,"sg_event_id":"%s%d"}',
		  1700000000 + $_, $source, $_
	} 1 .. 20;
	my @scripts;

	foreach my $n (1 .. 4)
	{
		push @members, shift @members for 1 .. 7;
		my $batch =
		  '[' . join(',', $n % 2 ? @members : reverse @members) . ']';
		push @scripts, 'SELECT count(*) FROM '
		  . call($source, $signer->sendgrid($batch), $batch);
	}
	like(
		bench(8, 20, @scripts),
		qr{processed: 160/160(?!.*error)}s,
		"$source: overlapping batches wait for each other");
	is( $node->sql(
			qq{SELECT count(*) || ' ' || count(DISTINCT event) FROM app.effect WHERE source = '$source'}
		),
		'20 20',
		'each event happened once');
	is( $node->sql(
			qq{SELECT string_agg(status || ' ' || n, ', ' ORDER BY status) FROM (SELECT status, count(*) n FROM roleferry.webhook_event
		WHERE source = '$source' GROUP BY 1) s}),
		$source eq 'picky' ? 'applied 18, failed 2' : 'applied 20',
		'and is recorded so');
}

# What rolls back was not received.
{
	my $body = event('evt_back');
	my $call = call('stripe', $signer->stripe($body, 'whsec_test'), $body);

	is($node->sql("BEGIN; SELECT status FROM $call; ROLLBACK"),
		'accepted', 'an event is accepted');
	is(effects('evt_back'), 0,
		'a front that rolls back has received nothing');
	is($node->sql("SELECT status FROM $call"),
		'accepted', 'and may receive it again');
}

# What is old goes: first the bytes, then the event.
$node->append_conf('postgresql.conf',
	"roleferry.webhook_body_retention = '1h'\nroleferry.webhook_retention = '2d'\n"
);
$node->sql(
	q{UPDATE roleferry.webhook_event SET received_at = now() - interval '1 day' WHERE event_id = 'evt_many'}
);
$node->sql(
	q{UPDATE roleferry.webhook_event SET received_at = now() - interval '3 days' WHERE event_id = 'evt_lost'}
);
$node->restart;
$node->wait_until(
	'nothing goes',
	60,
	sub {
		$node->sql(
			q{SELECT count(*) FROM roleferry.webhook_event WHERE event_id = 'evt_lost'}
		) == 0;
	});
is( $node->sql(
		q{SELECT raw IS NULL FROM roleferry.webhook_event WHERE event_id = 'evt_many'}
	),
	't',
	'old bytes go, and the event stays known');
is( $node->sql(
		q{SELECT count(*) FROM roleferry.webhook_event WHERE event_id = 'evt_back' AND raw IS NOT NULL}
	),
	1,
	'what is new stays');

$node->stop;
done_testing();

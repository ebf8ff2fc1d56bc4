
# Copyright (c) 2026, roleferry authors

# The whole way: mails go out, the stand-ins report what became of them, signed,
# and webhook_receive() takes it in, once however often it is sent.

use strict;
use warnings;

use JSON::PP     ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my $json = JSON::PP->new->canonical;
my ($node, $simulator) = RoleferryNode->start_pair('main',
	conf => "roleferry.breaker_failures = 10000\n");
my $keys = $simulator->event_keys;

$node->write_secret("hook_$_", $keys->{$_}) for qw(sendgrid mailgun);
$node->sql(
	q{
INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES
	('sendgrid', 'sendgrid', '{hook_sendgrid}'), ('mailgun', 'mailgun', '{hook_mailgun}');
CREATE ROLE front LOGIN;
SELECT roleferry.grant_access('front', 'webhook');
});

# As a front would; "status http_status" of each event.
sub receive
{
	my ($source, $request) = @_;

	return split /\n/,
	  $node->sql(
		"SET ROLE front; SELECT status || ' ' || http_status FROM roleferry.webhook_receive('$source', "
		  . RoleferryNode::quote_literal($json->encode($request->{headers}))
		  . "::jsonb, decode('"
		  . encode_base64($request->{body}, '')
		  . "', 'base64'))");
}

foreach my $provider (qw(sendgrid mailgun))
{
	my @jobs = $node->enqueue(3, accounts => [$provider]);
	$node->wait_drained;
	my ($gone, $left) = split /\n/,
	  $node->sql(
		"SELECT to_addr FROM roleferry.message WHERE job_id IN ($jobs[1], $jobs[2]) ORDER BY job_id"
	  );
	my @requests = $simulator->events(
		$provider,
		rules => [
			{ to => "^\Q$gone\E\$", words => ['bounced'] },
			{
				to => "^\Q$left\E\$",
				words => [ 'delivered', 'unsubscribed' ]
			}
		]);

	is_deeply(
		[ map { receive($provider, $_) } @requests ],
		[ ('accepted 200') x 5 ],
		"$provider\'s events are taken in");
	is( $node->sql(
			"SELECT state, unsubscribed_at IS NOT NULL FROM roleferry.messages WHERE job_id >= $jobs[0] ORDER BY job_id"
		),
		"delivered|f\nbounced|f\ndelivered|t",
		'the messages show what became of them');
	is( $node->sql(
			"SELECT scope, reason FROM roleferry.suppressions WHERE address IN ('$gone', '$left') ORDER BY reason"
		),
		"global|bounced\ndefault|unsubscribed",
		'and who gets no more mail is listed');

	my $before = $node->sql(
		'SELECT sum(hashtext(l::text)::bigint) FROM roleferry.message_life l'
	);
	is_deeply(
		[ map { receive($provider, $_) } @requests ],
		[ ('duplicate 200') x 5 ],
		'sent again they are duplicates');
	is( $node->sql(
			'SELECT sum(hashtext(l::text)::bigint) FROM roleferry.message_life l'
		),
		$before,
		'and change nothing');

	$simulator->rule(
		{
			name => 'lost',
			action => { status => 500, accept => JSON::PP::true }
		});
	my ($job) = $node->enqueue(1, accounts => [$provider]);
	$node->wait_drained;
	$simulator->clear_rules('lost');
	is( $node->sql(
			"SELECT count(*) FROM roleferry.unknown_sends WHERE job_id = $job"
		),
		'1',
		'a mail whose answer was lost is unknown');
	receive($provider, $_) for $simulator->events($provider);
	is( $node->sql(
			"SELECT state FROM roleferry.messages WHERE job_id = $job"),
		'delivered',
		'and settled by its own event');
	like(
		$node->sql("SELECT note FROM roleferry.messages WHERE job_id = $job"),
		qr/^settled as sent by event \d+ of "$provider": accepted$/,
		'which is on record');
}

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# A question to a provider has no job: it is answered while its asker waits,
# whatever the outbox is doing, through the same gates as mail.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.max_in_flight = 4
roleferry.breaker_failures = 2
roleferry.breaker_cooldown = '1h'
});

$node->sql(q{
CREATE FUNCTION public.ask(account text, path text, body text) RETURNS text LANGUAGE C VOLATILE STRICT AS 'roleferry', 'roleferry_call_fetch';
});

sub ask
{
	my ($account, $subject, $path) = @_;

	return $node->sql(sprintf q{SELECT public.ask('%s', '%s', '{"personalizations": [{"to": [{"email": "a@example.net"}]}],
"from": {"email": "b@example.net"}, "subject": "%s", "content": [{"type": "text/plain", "value": "x"}]}')},
		$account, $path || '/v3/mail/send', $subject);
}

$node->wait_dispatcher(30);
like(ask('sendgrid', 'first'), qr/^202 $/, 'a question is answered');
$simulator->rule({ name => 'bad', match => { subject => '^bad$' }, action => { status => 400 } });
like(ask('sendgrid', 'bad'), qr/^400 .*errors/, 'with whatever the provider says');
is(ask('sendgrid', 'out', '/v3/../../etc'), 'not asked: the request could not be built', 'a path stays at its host');

# With every place of the queue taken, and a claim that waits for a lock.
$simulator->rule({ name => 'slow', match => { to => 'user' }, action => { hold => 'slow' } });
$node->enqueue(20);
$node->wait_until('not 4 mails are under way', 10, sub { $simulator->held('slow') == 4 });
like(ask('sendgrid', 'meanwhile'), qr/^202 /, 'a full queue does not hold a question up');
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE roleferry.outbox IN ACCESS EXCLUSIVE MODE');
like(ask('sendgrid', 'locked'), qr/^202 /, 'nor does a table that is locked');
$locker->query_safe('COMMIT');
$locker->quit;
$simulator->clear_rules;
$simulator->release('slow');
$node->wait_drained(30);
$node->assert_invariants;

# The account's gate counts questions as it counts mail.
$simulator->rule({ name => 'down', provider => 'mailgun', match => {}, action => { status => 500 } });
$simulator->rule({ name => 'broken', provider => 'sendgrid', match => { subject => '^broken$' }, action => { status => 500 } });
like(ask('sendgrid', 'broken'), qr/^500 /, 'a failure is an answer, too') for 1 .. 2;
like(ask('sendgrid', 'broken'), qr/^not asked: /, 'until the circuit opens');
is($node->sql(q{SELECT state FROM roleferry.accounts WHERE account = 'sendgrid'}), 'open', 'which mail sees as well');

$node->sql('SELECT roleferry.deactivate()');
like(ask('mailgun', 'mute'), qr/^not asked: /, 'a database that is not active asks nothing');

# Questions of a dispatcher that stops are answered.
$node->stop;
done_testing();

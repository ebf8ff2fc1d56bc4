
# Copyright (c) 2026, roleferry authors

# However a connection ends, a mail goes out again only where no byte of it can
# have arrived: resets, closed keep-alive connections, slow and silent peers,
# bad certificates, redirects, and answers of any size.

use strict;
use warnings;

use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.connect_timeout = '700ms'
roleferry.idle_timeout = '1s'
roleferry.request_timeout = '4s'
roleferry.breaker_failures = 1000
roleferry.breaker_cooldown = '300ms'
});

# A server of its own has a gate of its own: no case closes another's.
sub make_account
{
	my ($name, $listener) = @_;
	my $url = $simulator->url($listener);

	$node->sql(qq{
CREATE SERVER $name FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '$url');
GRANT USAGE ON FOREIGN SERVER $name TO app});
	return;
}

# A new session shows the new value only after the dispatcher was told.
sub set_conf
{
	my ($name, $value) = @_;

	$node->sql("ALTER SYSTEM SET roleferry.$name = '$value'");
	$node->sql('SELECT pg_reload_conf()');
	$node->wait_until("roleferry.$name is not $value", 10,
		sub { $node->sql("SHOW roleferry.$name") eq $value });
	return;
}

sub send_mail
{
	my ($subject, @accounts) = @_;

	return ($node->enqueue(1, subject => $subject, accounts => [@accounts]))[0];
}

# Requests whose whole body a provider has read.
sub count_requests
{
	my ($subject, %match) = @_;

	return scalar @{ [ $simulator->journal(phase => 'body', subject => $subject, %match) ] };
}

sub column
{
	my ($id, $column, $view) = @_;

	$view ||= 'attempts';
	return $node->sql("SELECT $column FROM roleferry.$view WHERE job_id = $id ORDER BY 1 LIMIT 1");
}

sub drop_connections
{
	$simulator->listener($_, undef, drop => 1) for @_;
	return;
}

my $dispatcher = $node->wait_dispatcher(30);

#
# Row 13: resets, by how far the request and the answer had come.
#

my @resets = (
	# phase, provider, state, bodies read
	[ 'before_read', 'sendgrid', 'unknown', 0 ],
	[ 'mid_body', 'sendgrid', 'unknown', 0 ],
	[ 'after_read', 'sendgrid', 'unknown', 1 ],
	[ 'after_status', 'sendgrid', 'sent', 1 ],
	[ 'mid_body', 'mailgun', 'unknown', 0 ],
	[ 'mid_answer', 'mailgun', 'sent', 1 ]);

foreach my $case (@resets)
{
	my ($phase, $provider, $state, $bodies) = @$case;
	my $subject = "reset $phase $provider";

	foreach my $connection ('new', 'reused')
	{
		my $id;

		if ($connection eq 'new')
		{
			drop_connections($provider);
		}
		else
		{
			$node->wait_job_end(send_mail('before ' . $subject, $provider));
		}
		$simulator->rule({ name => 'reset', provider => $provider, count => 1,
				action => { reset => $phase } });
		$id = send_mail("$subject $connection", $provider);
		$node->job_ends_as($id, $state, "a reset $phase ($provider, $connection connection) is $state");
		is(count_requests("$subject $connection"), $bodies,
			"a reset $phase ($provider, $connection connection) is followed by no second request");
		is(column($id, 'outcome'), 'ambiguous', "a reset $phase is an ambiguous outcome")
		  if $state eq 'unknown';
		is((grep { $_->{name} eq 'reset' } $simulator->rules)[0]{applied},
			1, "the reset $phase has happened");
		$simulator->clear_rules('reset');
	}
}

# Before TLS nothing can have left: the next account has it.
{
	drop_connections('sendgrid');
	$simulator->rule({ name => 'reset', provider => 'sendgrid', count => 1,
			action => { reset => 'accept' } });
	my $id = send_mail('reset accept', 'sendgrid', 'mailgun');
	$node->job_ends_as($id, 'sent', 'a mail whose connection is reset before TLS is sent');
	is(column($id, 'account', 'messages'), 'mailgun', 'it goes out by the next account');
	is(count_requests('reset accept'), 1, 'and only by that');
	is(column($id, "outcome || ' ' || verdict"), 'transient next_account',
		'a reset before TLS proves that nothing was sent');
	$simulator->clear_rules('reset');
}

#
# Row 14: a keep-alive connection that dies with the second request on it.
# libcurl by itself would send that request again.
#

foreach my $provider ('sendgrid', 'mailgun')
{
	drop_connections($provider);
	$node->job_ends_as(send_mail("first of $provider", $provider), 'sent', "a first mail to $provider");
	$simulator->rule({ name => 'close', provider => $provider, count => 1,
			action => { close => 'after_read', only_reused => \1 } });
	my $id = send_mail("second of $provider", $provider);
	$node->job_ends_as($id, 'unknown',
		"a request on a keep-alive connection that $provider closes is unknown");
	is(count_requests("second of $provider"), 1, "$provider reads that request exactly once");
	is(column($id, "outcome || ' ' || verdict"), 'ambiguous unknown',
		'nobody claims to know what became of it');
	is((grep { $_->{name} eq 'close' } $simulator->rules)[0]{applied},
		1, 'the connection was a reused one');
	$simulator->clear_rules('close');
}

# A connection closed while nothing was on it costs nothing.
$node->wait_job_end(send_mail('before the idle connection is closed', 'sendgrid'));
drop_connections('sendgrid');
$node->job_ends_as(send_mail('after an idle connection was closed', 'sendgrid'),
	'sent', 'a keep-alive connection that was closed while idle makes no mail unknown');

#
# Row 15: peers that drip, and peers that say nothing more.
#

my @slow = (
	# name, provider, action, state, seconds the peer is given
	[ 'status line drips', 'sendgrid', { drip => { part => 'headers', bytes_per_s => 2 } }, 'unknown', 3.9 ],
	[ 'headers drip', 'sendgrid', { drip => { part => 'headers', bytes_per_s => 15 } }, 'sent' ],
	[ 'body drips', 'mailgun', { drip => { part => 'body', bytes_per_s => 2 } }, 'sent' ],
	[ 'no answer', 'sendgrid', { hang => 'before_status' }, 'unknown', 0.9 ],
	[ 'no end of headers', 'mailgun', { hang => 'after_status' }, 'sent' ]);
my %slow_id;

foreach my $case (@slow)
{
	my ($name, $provider, $action) = @$case;

	$simulator->rule({ name => $name, provider => $provider,
			match => { subject => "^$name\$" }, action => $action });
	$slow_id{$name} = send_mail($name, $provider);
}
$node->wait_until('not every slow mail is under way', 10,
	sub { 5 == grep { count_requests($_->[0]) == 1 } @slow });
{
	my $drip = $slow_id{'status line drips'};
	my @quick = $node->enqueue(40);

	$node->wait_until('the quick mails are not sent', 10, sub {
		my $sent = $node->sql("SELECT count(*) FROM roleferry.messages WHERE job_id >= $quick[0]");

		return $sent == 40;
	});
	is($node->job_state($drip), 'running', 'forty mails are sent while a slow peer keeps one under way');
}
foreach my $case (@slow)
{
	my ($name, $provider, $action, $state, $least) = @$case;

	$node->job_ends_as($slow_id{$name}, $state, "when $name the mail ends as $state");
	is(count_requests($name), 1, "when $name the mail is not sent again");
	next unless $least;
	my $took = column($slow_id{$name}, 'extract(epoch FROM took)');
	cmp_ok($took, '>=', $least, "when $name the peer is given its time");
	cmp_ok($took, '<', $node->patient($least + 1.5), "when $name the peer is given no more than its time");
}
$simulator->clear_rules;

#
# Row 16: a peer that accepts and then says nothing, not even TLS.
#

make_account('tarpit', 'tarpit');
{
	my $id = send_mail('tarpit', 'tarpit', 'mailgun');

	$node->job_ends_as($id, 'sent', 'a mail that hangs before TLS is sent by the next account');
	is(column($id, 'account', 'messages'), 'mailgun', 'the account after the tarpit took it');
	is(column($id, "account || ' ' || outcome || ' ' || verdict"),
		'tarpit transient next_account', 'the tarpit got nothing of it');
	my $took = column($id, 'extract(epoch FROM took)');
	cmp_ok($took, '>=', 0.69, 'connect_timeout is waited for');
	cmp_ok($took, '<', $node->patient(1.7), 'and not much longer');
	is(scalar @{ [ $simulator->journal(provider => 'tarpit', phase => 'connect') ] },
		1, 'the tarpit was tried once');
}

#
# Row 21: TLS that is not as it should be.
#

set_conf('breaker_failures', 3);
my @bad_tls = grep { eval { $simulator->url($_); 1 } }
  qw(tls_expired tls_wronghost tls_selfsigned tls_old tls_truncated);

foreach my $name (@bad_tls)
{
	make_account($name, $name);
	my @ids = map { send_mail("$name $_", $name, 'mailgun') } 1 .. 4;

	is_deeply([ map { $node->wait_job_end($_) } @ids ], [ ('sent') x 4 ], "$name: mails are sent");
	is($node->sql("SELECT count(*) FROM roleferry.messages WHERE job_id IN (@{[ join ',', @ids ]}) AND account = 'mailgun'"),
		4, "$name: they go out by the other account");
	is($node->sql("SELECT DISTINCT outcome || ' ' || verdict FROM roleferry.attempts WHERE account = '$name'"),
		'transient next_account', "$name: nothing was sent, by its own account");
	is(scalar @{ [ grep { $_->{phase} !~ /^(connect|closed)$/ } $simulator->journal(provider => $name) ] },
		0, "$name: no request ever reached it");
	like(slurp_file($node->logfile), qr/LOG: .*account "$name": circuit opened: /,
		"$name: its circuit opens, and the log says so");
}

# The same listener, with another certificate from now on.
$simulator->listener('sendgrid', undef, drop => 1, certificate => 'expired');
{
	my @ids = map { send_mail("expired meanwhile $_", 'sendgrid', 'mailgun') } 1 .. 5;

	is_deeply([ map { $node->wait_job_end($_) } @ids ], [ ('sent') x 5 ],
		'mails are sent although a certificate expires');
	is(scalar @{ [ grep { $_->{subject} && $_->{subject} =~ /^expired meanwhile/ }
				$simulator->journal(provider => 'sendgrid', phase => 'body') ] },
		0, 'none by the account whose certificate expired');
	$simulator->listener('sendgrid', undef, drop => 1, certificate => 'server');
	$node->wait_until('the account does not recover', 20, sub {
		my $id = send_mail('renewed', 'sendgrid', 'mailgun');

		$node->wait_job_end($id);
		return column($id, 'account', 'messages') eq 'sendgrid';
	});
	pass('a renewed certificate brings the account back');
	like(slurp_file($node->logfile), qr/LOG: .*account "sendgrid": circuit closed/,
		'the log says so');
}

#
# Row 22: redirects.  The sink must never see a connection.
#

my $sink = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, Proto => 'tcp')
  or die "could not listen: $!";
my @targets = (
	[ 301, 'http://127.0.0.1:' . $sink->sockport . '/' ],
	[ 302, 'https://localhost:' . $sink->sockport . '/v3/mail/send' ],
	[ 307, 'http://localhost:' . $sink->sockport . '/' ],
	[ 308, '//127.0.0.1:' . $sink->sockport . '/' ],
	[ 302, 'file:///etc/passwd' ],
	[ 303, '/v3/mail/send' ]);

foreach my $number (0 .. $#targets)
{
	my ($status, $location) = @{ $targets[$number] };
	my $name = "redirect_$number";

	make_account($name, 'sendgrid');
	$simulator->rule({ name => $name, provider => 'sendgrid', match => { subject => "^$name\$" },
			action => { redirect => { status => $status, location => $location } } });
	my $id = send_mail($name, $name, 'mailgun');
	$node->job_ends_as($id, 'sent', "$status to $location: the mail is sent");
	is(column($id, "account || ' ' || http_status || ' ' || outcome || ' ' || verdict"),
		"$name $status config next_account", "$status is a refusal");
	is(column($id, 'account', 'messages'), 'mailgun', 'the next account took it');
	is(count_requests($name), 2, 'one request each, none to where the redirect leads');
}
{
	my $readable = '';

	vec($readable, fileno($sink), 1) = 1;
	is(select($readable, undef, undef, 0), 0, 'nobody connected to where the redirects lead');
}
$simulator->clear_rules;

#
# Row 23: answers without measure.
#

sub private_kb
{
	my $status = slurp_file("/proc/$dispatcher/status");

	return $status =~ /^RssAnon:\s+(\d+) kB/m ? $1 : die 'no RssAnon';
}

set_conf('idle_timeout', '10s');
set_conf('request_timeout', '20s');
my %huge = (
	'100 MB' => { bytes => 100_000_000 },
	'endless chunked' => { endless => \1, chunked => \1 },
	'endless' => { endless => \1 },
	'lying length' => { bytes => 1000, content_length_lie => \1 },
	'10000 headers' => { headers => 10_000 },
	'1 MB header' => { header_bytes => 1_000_000 });

foreach my $name (sort keys %huge)
{
	$simulator->rule({ name => $name, match => { subject => "^$name " }, action => { huge => $huge{$name} } });
}
# Once to warm up: what is grown for the first of them stays.
my $before;
my $most = 0;
foreach my $round (0 .. 2)
{
	my %id;

	foreach my $name (sort keys %huge)
	{
		$id{"$name $_"} = send_mail("$name $_ $round", $_) for qw(sendgrid mailgun);
	}
	foreach my $name (sort keys %id)
	{
		$node->wait_until("$name does not end", 20, sub {
			my $now = private_kb();

			$most = $now if $now > $most && $round > 0;
			return $node->job_state($id{$name}) !~ /waiting|running/;
		});
		next if $round > 0;
		$node->job_ends_as($id{$name}, 'sent', "a mail whose answer is $name is sent");
		is(count_requests("$name $round"), 1, "it is sent once: $name");
	}
	$before = private_kb() if $round == 0;
}
cmp_ok($most - $before, '<', 4096, 'huge answers leave the dispatcher\'s memory as it is')
  or diag("before: $before kB, most: $most kB");

is($node->dispatcher_pid, $dispatcher, 'one dispatcher has lived through all of this');
$node->assert_invariants('nothing is lost, sent twice or sent without a commit');

$node->stop;
done_testing();


# Copyright (c) 2026, roleferry authors

# Keys that can be recognised go through everything that happens to mails, while
# the server logs all it can. Afterwards they are nowhere but in their files: not
# in the log, the data directory, a dump, a view, the environment, nor in what a
# core of the idle dispatcher would hold. Recipients are in no line of the log.

use strict;
use warnings;

use File::Find   ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

sub canary
{
	my @letters = ('A' .. 'Z', 'a' .. 'z', 0 .. 9);

	return 'CANARY' . join '', map { $letters[ rand @letters ] } 1 .. 26;
}

my %core = (sendgrid => canary(), mailgun => canary());
my %key = (sendgrid => "SG.$core{sendgrid}", mailgun => "key-$core{mailgun}");
my $recipient = lc canary();

# A key can hide in another spelling: hex in a bytea, base64 in a header.
sub spellings
{
	my ($text) = @_;
	my @aligned =
	  map { substr(encode_base64(('x' x $_) . $text, ''), $_ ? 4 : 0, -8) }
	  0 .. 2;

	return ($text, unpack('H*', $text), uc unpack('H*', $text), @aligned);
}

my $is_key = join '|', map { quotemeta } map { spellings($_) } values %core;
my $is_recipient = qr/\Q$recipient\E/i;
$is_key = qr/$is_key/;

# What the search must be able to find.
like("Basic " . encode_base64("api:$key{mailgun}", ''),
	$is_key, 'the search finds a key in HTTP Basic');
like(unpack('H*', "body $key{sendgrid} body"), $is_key, 'and in a bytea');

my $libdir = `pg_config --pkglibdir`;
chomp $libdir;
my $with_statements = -e "$libdir/pg_stat_statements.so";
my $preload = join ', ', 'roleferry',
  $with_statements ? 'pg_stat_statements' : ();

my ($node, $simulator) = RoleferryNode->start_pair(
	'main',
	simulator =>
	  [ '--sendgrid-key', $key{sendgrid}, '--mailgun-key', $key{mailgun} ],
	conf => qq{
shared_preload_libraries = '$preload'
log_min_messages = debug5
log_statement = all
log_min_duration_statement = 0
log_error_verbosity = verbose
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
log_connections = on
log_lock_waits = on
track_activity_query_size = 65536
roleferry.breaker_failures = 100
roleferry.connect_timeout = '2s'
});

$node->write_secret($_, $key{$_}) for sort keys %key;
$node->sql('CREATE EXTENSION pg_stat_statements') if $with_statements;
$node->wait_dispatcher(30);

# Recipients come from a table, so that no statement names one. COPY's data is
# not logged.
$node->sql(
	qq{
CREATE TABLE public.lead (n integer, email text, subject text, account text);
GRANT SELECT ON public.lead TO app;
COPY public.lead FROM STDIN (DELIMITER '|');
} . join(
		'',
		map {
			"$_|$recipient.$_\@example.net|all is well|"
			  . ($_ % 2 ? 'sendgrid' : 'mailgun') . "\n"
		} 1 .. 20)
	  . "\\.\n");

sub send_to
{
	my ($where, $more) = @_;

	$node->sql(
		qq{
SET ROLE app;
SELECT count(roleferry.enqueue_email(from_addr => 'a\@mg.example.com', to_addr => l.email, subject => l.subject,
	body_html => 'x', cc => ARRAY['cc.' || l.email], accounts => ARRAY[l.account] @{[ $more || '' ]}))
FROM public.lead l WHERE $where});
	return;
}

# One after the other: what a provider does, and what it repeats of the request.
my $pair = encode_base64("api:$key{mailgun}", '');
my %echo = (
	sendgrid =>
	  "you sent: Authorization: Bearer $key{sendgrid}, to $recipient.1\@example.net",
	mailgun => "you sent: Authorization: Basic $pair, which is $key{mailgun}"
);
my @misbehaviours = (
	['nothing'],
	[ '401', { status => 401 } ],
	[ '429', { status => 429, headers => { 'Retry-After' => '1' } } ],
	[ '500', { status => 500 } ],
	[ '502 without a body', { status => 502, body => '' } ],
	[ 'no answer', { close => 'after_read' } ],
	[ 'a reset', { reset => 'mid_answer' } ],
	[ 'garbage', { garbage => 'html' } ]);

foreach my $provider (sort keys %key)
{
	my $said = $echo{$provider};

	push @misbehaviours,
	  [
		"$provider repeats the key as text",
		{ status => 400, body => $said },
		$provider
	  ],
	  [
		"$provider repeats the key in JSON",
		{
			status => 400,
			body => $provider eq 'sendgrid'
			? { errors => [ { message => $said, field => $said } ] }
			: { message => $said }
		},
		$provider
	  ],
	  [
		"$provider repeats the key with 500",
		{ status => 500, body => $said },
		$provider
	  ],
	  [
		"$provider repeats the key where the excerpt ends",
		{ status => 500, body => ('.' x (4096 - 20)) . $said },
		$provider
	  ],
	  [
		"$provider repeats the key in headers",
		{
			status => 403,
			headers => {
				'X-Message-Id' => $key{$provider},
				Location => "https://$key{$provider}/",
				'Retry-After' => $key{$provider}
			}
		},
		$provider
	  ],
	  [
		"$provider calls the mail like the key",
		$provider eq 'sendgrid'
		? { status => 202, headers => { 'X-Message-Id' => $key{$provider} } }
		: {
			status => 200,
			body =>
			  { id => "<$key{$provider}>", message => 'Queued. Thank you.' }
		},
		$provider
	  ];
}

sub settle_down
{
	my ($what) = @_;

	$node->wait_until("a mail is still there: $what",
		30,
		sub { $node->sql('SELECT count(*) FROM roleferry.outbox') eq '0' });
	return;
}

# A changed account gets a fresh chance, whatever had paused it.
sub resume_accounts
{
	my ($round) = @_;

	$node->sql("ALTER SERVER $_ OPTIONS ("
		  . ($round % 2 ? q{ADD region 'us'} : 'DROP region') . ')')
	  for sort keys %key;
	$node->wait_until(
		'an account is still paused',
		20,
		sub {
			$node->sql(
				q{SELECT bool_and(state = 'ready') FROM roleferry.accounts})
			  eq 't';
		});
	$node->sql(
		'UPDATE roleferry.outbox SET run_at = now() WHERE worker IS NULL; SELECT roleferry.wake()'
	);
	return;
}

my $round = 0;
foreach my $misbehaviour (@misbehaviours)
{
	my ($what, $action, $provider) = @$misbehaviour;

	$simulator->rule(
		{
			name => 'bad',
			($provider ? (provider => $provider) : ()),
			count => 2,
			action => $action
		}) if $action;
	send_to($provider ? "account = '$provider' AND n <= 2" : 'n <= 4');
	$node->wait_until(
		"nothing happened: $what",
		20,
		sub {
			my ($rule) = grep { $_->{name} eq 'bad' } $simulator->rules;

			return !$action || $rule->{applied} > 0;
		});
	$simulator->clear_rules;
	resume_accounts(++$round);
	settle_down($what);
}

# Connections that come to nothing.
foreach my $trouble ([ 'refuse', drop => 1 ],
	[ 'listen', drop => 1, certificate => 'expired' ])
{
	my ($state, %options) = @$trouble;
	my $before = $node->sql('SELECT count(*) FROM roleferry.attempts');

	$simulator->listener($_, $state, %options) for sort keys %key;
	send_to('n <= 4');
	$node->wait_until(
		'nothing was tried',
		20,
		sub {
			$node->sql('SELECT count(*) FROM roleferry.attempts') >=
			  $before + 2;
		});
	$simulator->listener($_, 'listen', certificate => 'server')
	  for sort keys %key;
	resume_accounts(++$round);
	settle_down("$state @{[ %options ]}");
}

# Mails and files that are refused.
$node->sql(
	"UPDATE public.lead SET email = email || ', second.' || email WHERE n = 19;
UPDATE public.lead SET email = E'evil\\n' || email WHERE n = 20");
foreach my $n (19, 20)
{
	my (undef, undef, $said) = $node->psql(
		'postgres', qq{
SET ROLE app;
SELECT roleferry.enqueue_email(from_addr => 'a\@mg.example.com', to_addr => l.email, subject => 's', body_html => 'x')
FROM public.lead l WHERE n = $n});

	like($said, qr/^psql:.*ERROR: .*"to_addr"/m, 'a bad address is refused');
	unlike($said, $is_recipient, 'and not repeated');
}
foreach my $bad (
	[ 'max_attempts', 0 ],
	[ 'run_at', 'NULL' ],
	[ 'priority', 'NULL' ],
	[ 'priority', 99 ],
	[ 'delivery', q{'twice'} ],
	[ 'task', 'NULL' ],
	[ 'task', q{'fly'} ])
{
	my ($column, $value) = @$bad;
	my $columns = $column eq 'task' ? 'task' : "task, $column";
	my $values = $column eq 'task' ? $value : "'send_email', $value";
	my (undef, undef, $said) = $node->psql(
		'postgres', qq{
SET ROLE app;
INSERT INTO roleferry.outbox (args, $columns)
SELECT jsonb_build_object('from_addr', 'a\@mg.example.com', 'to_addr', l.email, 'subject', 's', 'body_html', 'x'), $values
FROM public.lead l WHERE n = 1});

	like(
		$said,
		qr/^psql:.*ERROR: +(22023: )?("$column"|there is no task)/m,
		"$column $value is refused");
	unlike($said, $is_recipient, 'and the row is not repeated');
}
send_to('n >= 19', q{, on_invalid => 'reject'});
foreach my $unfit ("$key{sendgrid}\n$key{sendgrid}",
	"$key{sendgrid}\x01", $key{sendgrid} x 3000)
{
	$node->write_secret('sendgrid', $unfit);
	is( $node->sql(
			q{SELECT state FROM roleferry.accounts WHERE account = 'sendgrid'}
		),
		'unusable',
		'a file is refused');
}
$node->write_secret('sendgrid', $key{sendgrid});
send_to('n <= 18');
settle_down('the last mails');

is($node->sql(q{SELECT count(*) > 30 FROM roleferry.message}),
	't', 'mails were sent');
is( $node->sql(
		q{SELECT string_agg(DISTINCT outcome, ' ' ORDER BY outcome) FROM roleferry.attempts}
	),
	'ambiguous config credential permanent throttle transient',
	'and met all kinds of trouble');
cmp_ok(
	$node->sql(
		q{SELECT count(*) FROM roleferry.attempts WHERE reason LIKE '%***%'}),
	'>=', 4,
	'what providers repeated was kept, with stars');
cmp_ok(
	$node->sql(
		q{SELECT count(*) FROM roleferry.attempts WHERE position('***'::bytea IN excerpt) > 0}
	),
	'>=', 4,
	'in excerpts, too');

#
# What the running server tells.
#

sub nothing_in
{
	my ($where, $text, $needle, $what) = @_;
	my @found = grep { /$needle/ } split /\n/, $text;

	ok(length $text, "$where: there is something to search");
	is(scalar @found, 0, "$where: " . ($what || 'no key'))
	  or diag(map { substr($_, 0, 300) . "\n" }
		  @found[ 0 .. ($#found > 4 ? 4 : $#found) ]);
	return;
}

# Every table and view of ours, of statistics, of settings and of accounts.
foreach my $relation (
	split /\n/,
	$node->sql(
		q{
SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v') AND (n.nspname = 'roleferry'
	OR c.relname ~ '^pg_stat_(activity|statements|ssl|archiver)'
	OR c.relname IN ('pg_settings', 'pg_file_settings', 'pg_db_role_setting', 'pg_foreign_server', 'pg_user_mapping',
		'pg_prepared_statements', 'pg_cursors', 'pg_seclabels', 'pg_statistic', 'pg_shmem_allocations', 'pg_backend_memory_contexts'))
ORDER BY 1}))
{
	my $text = $node->sql("SELECT r::text FROM $relation r");

	nothing_in($relation, $text, $is_key) if length $text;
}
nothing_in('pg_stat_statements',
	$node->sql('SELECT query FROM pg_stat_statements'),
	$is_recipient, 'no recipient')
  if $with_statements;
nothing_in(
	'reports',
	$node->sql(
		'SELECT r FROM roleferry.jobs j, roleferry.job_report(j.id) r'),
	$is_key);
nothing_in(
	'reports',
	$node->sql(
		'SELECT r FROM roleferry.jobs j, roleferry.job_report(j.id) r'),
	$is_recipient,
	'no recipient');

my ($dump) = run_command([ 'pg_dumpall', '-d', $node->connstr('postgres') ]);
nothing_in('pg_dumpall', $dump, $is_key);

# Command lines and environments of all processes of the server.
my $postmaster =
  slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/ ? $1 : die;
my @pids = (
	$postmaster,
	split /\n/,
	$node->sql(
		'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()'));
my $environment = join "\n", map {
	my $pid = $_;
	map { -r "/proc/$pid/$_" ? slurp_proc("/proc/$pid/$_") : () }
	  qw(environ cmdline)
} @pids;
nothing_in('processes', $environment, $is_key);

# Files of /proc have no size.
sub slurp_proc
{
	my ($path) = @_;

	open my $file, '<:raw', $path or return '';
	local $/;
	my $text = <$file> // '';
	close $file;
	return $text;
}

#
# What a core of the dispatcher would hold now that nothing is under way: all
# that is mapped, but for pages that are left out of cores.
#

# Parts of memory with the key: (in a core, left out).
sub count_in_memory
{
	my ($pid, $needle) = @_;
	my ($range, @ranges);

	foreach my $line (split /\n/, slurp_proc("/proc/$pid/smaps"))
	{
		$range = [ hex $1, hex $2, $3, $4 ]
		  if $line =~ /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$/;
		push @ranges, [ @$range, $1 ] if $line =~ /^VmFlags: (.*)$/;
	}
	open my $memory, '<:raw', "/proc/$pid/mem" or return;
	my ($cored, $excluded, $bytes) = (0, 0, 0);
	foreach my $part (@ranges)
	{
		my ($from, $to, $rights, $name, $flags) = @$part;
		my $found;

		next if $rights !~ /^r/ || $name =~ /^\[v/;
		sysseek $memory, $from, 0 or next;
		my ($at, $tail) = ($from, '');
		while ($at < $to)
		{
			my $want = $to - $at < 1 << 20 ? $to - $at : 1 << 20;
			my $piece = '';
			my $got = sysread $memory, $piece, $want;

			last unless $got;
			$bytes += $got;
			$piece = $tail . $piece;
			$found += () = $piece =~ /$needle/g;
			$tail = substr $piece, -30;
			$at += $got;
		}
		next unless $found;
		$flags =~ /\bdd\b/ ? ($excluded += $found) : ($cored += $found);
		diag("key found $found times in $name $rights")
		  unless $flags =~ /\bdd\b/;
	}
	close $memory;
	return ($cored, $excluded, $bytes);
}

SKIP:
{
	my ($in_core, $excluded, $bytes) =
	  count_in_memory($node->dispatcher_pid, $is_key);

	skip 'the memory of another process cannot be read here', 3 unless $bytes;
	cmp_ok($bytes, '>', 1 << 20, 'the dispatcher\'s memory can be searched');
	cmp_ok($excluded, '>', 0,
		'it holds keys in pages that are left out of cores');

	is($in_core, 0, 'and in no others while nothing is under way');
}

#
# The log, and everything in the data directory, after a crash and after a stop.
#

sub search_files
{
	my ($what) = @_;
	my ($files, @found) = (0);

	File::Find::find(
		{
			no_chdir => 1,
			wanted => sub {
				return unless -f $_ && -r _;
				$files++;
				push @found, $_ if slurp_proc($_) =~ $is_key;
			}
		},
		$node->data_dir,
		$node->basedir . '/archives');
	cmp_ok($files, '>', 500, "$what: there are files to search");
	is("@found", '', "$what: no key in the data directory, WAL included");
	return;
}

mkdir $node->basedir . '/archives';
send_to('n <= 6');
$node->stop('immediate');
search_files('after a crash');
$node->start;
$node->wait_dispatcher(30);
settle_down('after the crash');
$node->sql('CHECKPOINT');
$node->stop;
search_files('after a stop');
nothing_in('the log', slurp_file($node->logfile), $is_key);
nothing_in('the log', slurp_file($node->logfile),
	$is_recipient, 'no recipient');
like(slurp_file($node->logfile), qr/DEBUG: .*LOG: /s,
	'the log was talkative');

done_testing();

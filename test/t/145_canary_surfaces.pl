
# Copyright (c) 2026, roleferry authors

# Planted keys and recipients, as in 081, through what came after mail:
# searches, verdicts, batches, SQL tasks, webhooks, caches, and what tells of
# them: statistics, metrics, datagrams, the page, doctor(), the log. The keys are
# nowhere but in their files, the recipients in tables only.

use strict;
use warnings;

use File::Find ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryAgent;
use RoleferryNode;
use RoleferrySigner;
use Test::More;

sub canary
{
	my @letters = ('A' .. 'Z', 'a' .. 'z', 0 .. 9);

	return 'CANARY' . join '', map { $letters[ rand @letters ] } 1 .. 26;
}

my @providers = qw(sendgrid mailgun apollo neverbounce hunter);
my %key = map { $_ => ($_ eq 'sendgrid' ? 'SG.' : "$_-") . canary() } @providers, 'hook';
my $recipient = lc canary();

# In other spellings, too: hexadecimal, and base64 at each offset.
sub spellings
{
	my ($text) = @_;

	return ($text, unpack('H*', $text), uc unpack('H*', $text),
		map { substr(encode_base64(('x' x $_) . $text, ''), $_ ? 4 : 0, -8) } 0 .. 2);
}

my ($is_key) = map { qr/$_/ } join '|', map { quotemeta } map { spellings($_ =~ s/\A.*?CANARY/CANARY/r) } values %key;
my $is_recipient = qr/\Q$recipient\E/i;

my $agent = RoleferryAgent->new;
my ($node, $simulator) = RoleferryNode->start_pair(
	'surfaces',
	simulator => [ map { ("--$_-key", $key{$_}) } @providers ],
	conf => <<"EOC");
log_statement = none
log_min_messages = debug1
roleferry.dogstatsd = '@{[ $agent->target ]}'
roleferry.log_recipients = 'hashed'
roleferry.verify_max_wait = '100ms'
roleferry.verify_poll_interval = '50ms'
roleferry.breaker_failures = 100
EOC
my $signer = RoleferrySigner->new($node->basedir . '/signer');

$node->write_secret($_, $key{$_}) for sort keys %key;
$node->add_verifier;
$node->sql(sprintf q{
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo', base_url '%s');
GRANT USAGE ON FOREIGN SERVER apollo TO app;
CREATE SCHEMA work;
GRANT USAGE ON SCHEMA work TO app;
CREATE TABLE work.lead (n integer, email text);
GRANT SELECT ON work.lead TO app;
CREATE FUNCTION work.fail() RETURNS void LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'cannot take %%', (SELECT email FROM work.lead LIMIT 1); END $$;
CREATE FUNCTION work.on_event(source text, event jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'cannot take %%', event; END $$;
SELECT roleferry.register_task('work.fail', 'work.fail()', max_attempts => 1);
INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES ('hook', 'stripe', '{hook}');
INSERT INTO roleferry.webhook_handler (source, function, role) VALUES ('hook', 'work.on_event', 'app');
}, $simulator->url('apollo'));
$node->sql("COPY work.lead FROM STDIN (DELIMITER '|');\n" . join('', map { "$_|$recipient.$_\@example.net\n" } 1 .. 8) . "\\.\n");

# Whatever a statement says of its errors; what it is about comes from a table.
my $said = '';

sub run
{
	my ($statement) = @_;
	my (undef, $out, $err) = $node->psql('postgres', "SET ROLE app; $statement");

	$said .= "$err\n";
	return $out;
}

my $echo = sub { "you sent the key $_[0] for $recipient.1\@example.net" };
my $mails = q{SELECT count(roleferry.enqueue_email(from_addr => 'a@mg.example.com', to_addr => email, subject => 's', body_html => 'x',
	accounts => '{sendgrid}', max_attempts => 1)) FROM work.lead};

# Mails that are taken, refused with the key repeated, and of unknown fate.
run($mails);
$node->wait_drained(60);
for my $action ({ status => 400, body => { errors => [ { message => $echo->($key{sendgrid}) } ] } }, { close => 'after_read' })
{
	$simulator->rule({ provider => 'sendgrid', name => 'bad', count => 8, action => $action });
	run($mails);
	$node->wait_drained(60);
	$simulator->clear_rules('bad');
}
is($node->sql(q{SELECT string_agg(DISTINCT state, ' ' ORDER BY state) FROM roleferry.jobs}), 'failed sent unknown', 'mails met all fates');
run(q{SELECT * FROM roleferry.send_email('a@mg.example.com', (SELECT email || E'\n' FROM work.lead LIMIT 1), 's', 'x')});
run(q{SELECT roleferry.enqueue_email('a@mg.example.com', (SELECT 'two@b.example, ' || email FROM work.lead LIMIT 1), 's', 'x')});

# Verdicts, as a batch and alone; the provider repeats the key.
run(q{SELECT count(*) FROM roleferry.verify_emails(ARRAY(SELECT email FROM work.lead))});
$simulator->rule({ provider => 'neverbounce', name => 'bad', count => 3,
	action => { status => 200, body => { status => 'general_failure', message => $echo->($key{neverbounce}) } } });
run(q{SELECT * FROM roleferry.verify_emails(ARRAY(SELECT 'other.' || email FROM work.lead LIMIT 1), timeout => '3 s')});
$simulator->clear_rules('bad');
$node->wait_drained(90);
cmp_ok($node->sql('SELECT count(*) FROM roleferry.email_verdict_cache'), '>=', 8, 'verdicts are kept');
cmp_ok($node->sql('SELECT count(*) FROM roleferry.batch'), '>=', 1, 'and batches');

# A search that is paid for, and one that is refused.
run(q{SELECT count(*) FROM roleferry.apollo_search(domain => 'p250.example', titles => ARRAY['CTO'], max_results => 3, account => 'apollo')});
$simulator->rule({ provider => 'apollo', name => 'bad', count => 5, action => { status => 422, body => { error => $echo->($key{apollo}) } } });
run(q{SELECT * FROM roleferry.apollo_search(domain => 'p251.example', titles => ARRAY['CEO'], enrich => false, account => 'apollo')});
$simulator->clear_rules('bad');
cmp_ok($node->sql('SELECT count(*) FROM roleferry.person_cache'), '>=', 1, 'people are kept');

# A task that fails and says for whom; events that are let in, and that are not.
run(q{SELECT roleferry.enqueue('work.fail', '{}')});
$node->wait_drained(60);
my $event = sprintf '{"id": "evt_1", "object": "event", "type": "invoice.paid", "data": {"object": {"email": "%s.1@example.net"}}}', $recipient;
for my $key ($key{hook}, 'another key')
{
	$node->safe_psql('postgres', sprintf q{SET log_min_error_statement = panic; SELECT status FROM roleferry.webhook_receive('hook', '%s', '\x%s')},
		$signer->stripe($event, $key), unpack 'H*', $event);
}
is($node->sql(q{SELECT status FROM roleferry.webhook_event}), 'failed', 'an event was taken in, and its handler failed');
like($node->sql('SELECT roleferry.metrics()'), qr/^roleferry_webhook_events_total\{kind="other",result="failed"\} 1$/m, 'metrics() counts it');
like($node->sql('SELECT roleferry.metrics()'), qr/^roleferry_webhook_rejected_total 1$/m, 'and the one that was not let in');
$node->wait_until('the agent', 30, sub {
	$agent->collect(1, sub { 0 });
	$agent->sum('roleferry.webhook.events', type => 'other', result => 'failed') == 1 && $agent->sum('roleferry.webhook.rejected') == 1;
});
$node->reload;
$agent->collect(3, sub { $agent->lines('roleferry.queue.ready') });
ok($agent->lines('roleferry.queue.ready', queue => 'sequences'), 'the agent is told of all of it');

#
# What tells of it.
#

sub nothing_in
{
	my ($where, $text, $needle, $what) = @_;
	my @found = grep { /$needle/ } split /\n/, $text;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(length $text && !@found, "$where: no $what")
	  or diag(length $text ? map { substr($_, 0, 300) . "\n" } @found[ 0 .. ($#found > 4 ? 4 : $#found) ] : "there is nothing to search\n");
	return;
}

my %told = (
	'metrics()' => $node->sql('SELECT roleferry.metrics()'),
	'report()' => $node->sql('SELECT roleferry.report()'),
	'doctor()' => $node->sql('SELECT d::text FROM roleferry.doctor() d') . "\n.",
	'datagrams' => join("\n", @{ $agent->{datagrams} }),
	'pg_stat_activity' => $node->sql(q{SELECT a::text FROM pg_stat_activity a}),
	'errors' => join("\n", grep { /ERROR:/ } split /\n/, $said),
	map { $_ => $node->sql("SELECT t::text FROM roleferry.$_ t") . "\n." }
	  qw(top stat_queues stat_workers stat_accounts stat_activity circuits queues accounts rate_limits webhook_rejections));
for my $where (sort keys %told)
{
	nothing_in($where, $told{$where}, $is_key, 'key');
	nothing_in($where, $told{$where}, $is_recipient, 'recipient');
}
cmp_ok((() = $told{errors} =~ /ERROR:/g), '>=', 4, 'there were errors to look at');

nothing_in($_, $node->sql("SELECT t::text FROM $_ t") . "\n.", $is_key, 'key')
  for split /\n/, $node->sql(q{SELECT c.oid::regclass FROM pg_class c WHERE c.relkind IN ('r', 'v') AND c.relnamespace = 'roleferry'::regnamespace ORDER BY 1});
my ($dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);
nothing_in('a dump', $dump, $is_key, 'key');
like($dump, $is_recipient, 'it has recipients, so the search finds what there is');

$node->stop('fast');
my ($files, @found) = (0);
File::Find::find({
	no_chdir => 1,
	wanted => sub {
		return unless -f $_ && -r _;
		$files++;
		push @found, $_ if slurp_file($_) =~ $is_key;
	} }, $node->data_dir);
cmp_ok($files, '>', 500, 'there are files to search');
is("@found", '', 'no key is in the data directory, the statistics\' file and WAL included');
my $log = slurp_file($node->logfile);
nothing_in('the log', $log, $is_key, 'key');
nothing_in('the log', $log, $is_recipient, 'recipient');
like($log, qr/ended as unknown.*\n.* recipient=[0-9a-f]{16}\n/, 'it tells of mails, and calls their recipients by a hash');
done_testing();

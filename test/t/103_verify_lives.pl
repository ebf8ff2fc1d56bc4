
# Copyright (c) 2026, roleferry authors

# A paid job belongs to the life of the database that paid for it: a copy leaves
# it alone, a deactivated one asks nothing, and a later one is not mistaken for it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main', conf => q{
roleferry.verify_max_wait = '50ms'
roleferry.verify_poll_interval = '50ms'
});
$node->add_verifier;
$node->wait_dispatcher(30);

# A job whose paid job is under way: its polls are answered "running".
sub enqueue_slow
{
	my ($name) = @_;
	my $id;

	$simulator->clear_rules;
	$simulator->rule({ name => 'held', provider => 'neverbounce', match => { call => 'jobs/status' }, count => 1, action => { hold => 'status' } });
	$id = $node->sql("SET ROLE app; SELECT roleferry.enqueue_verify_emails(ARRAY['$name-1\@example.com', '$name-2\@example.com'])");
	$node->wait_until('it is not asked for', 20, sub { $simulator->held('status') });
	return $id;
}

# --- Deactivated ---

my $id = enqueue_slow('off');
$node->sql('SELECT roleferry.deactivate()');
$simulator->release('status');
$node->wait_turn;
my $calls = $simulator->stats('neverbounce')->{requests};
$node->wait_turn foreach 1 .. 3;
is($simulator->stats('neverbounce')->{requests}, $calls, 'a deactivated database asks nothing');
is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $id"), 'running', 'its job is still the batch\'s');
my (undef, undef, $err) = $node->psql('postgres', q{SET ROLE app; SELECT * FROM roleferry.verify_emails(ARRAY['x@example.com'])});
like($err, qr/not active/, 'a caller is told');
$node->sql('SELECT roleferry.activate()');
$node->wait_drained(20);
is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $id"), 'done', 'it goes on when it is active again');
is(scalar(my @jobs = $simulator->jobs_created), 1, 'and pays nothing again');

# --- Another life ---

$id = enqueue_slow('life');
$node->stop('immediate');
$simulator->release('status');
$node->start;
$node->wait_drained(20);
is($node->sql("SELECT state FROM roleferry.jobs WHERE id = $id"), 'done', 'after a crash of the server it goes on');

$id = enqueue_slow('copy');
$node->stop('immediate');
$simulator->release('status');
$node->append_conf('postgresql.conf', "roleferry.databases = ''");
$node->start;
$node->sql(q{UPDATE roleferry.activation SET installation = '0123456789abcdef'});
$calls = $simulator->stats('neverbounce')->{requests};
$node->append_conf('postgresql.conf', "roleferry.databases = 'postgres'");
$node->reload;
$node->wait_drained(20);
is($node->sql("SELECT state, reason FROM roleferry.jobs WHERE id = $id"), 'unknown|it was under way where this database was copied from',
	'in a copy it is unknown');
is($simulator->stats('neverbounce')->{requests}, $calls, 'and nothing is asked about it');
is($node->sql(q{SELECT count(*) FROM roleferry.batch WHERE finished_at IS NULL}), '0', 'no batch of the other life is left');

# --- A dump ---

$id = enqueue_slow('dump');
my $dump = $node->basedir . '/dump.sql';
command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'a dump while an address is being verified');
$simulator->release('status');
$node->wait_drained(20);
$node->sql('CREATE DATABASE restored');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'is restored');
is($node->safe_psql('restored', q{SELECT count(*) FROM roleferry.email_verdict_cache WHERE email LIKE 'off-%'}), '2', 'verdicts are in it');
is($node->safe_psql('restored', "SELECT state FROM roleferry.jobs WHERE id = $id"), 'running', 'so is the job');
$node->safe_psql('restored', 'SELECT roleferry.activate()');
$node->append_conf('postgresql.conf', "roleferry.databases = 'postgres, restored'");
$node->reload;
$node->wait_until('the job is not settled', 30, sub { $node->safe_psql('restored', "SELECT state FROM roleferry.jobs WHERE id = $id") eq 'unknown' });
pass('and is unknown there, when it is activated');
is(scalar(@jobs = $simulator->jobs_created), 4, 'nothing was paid for twice');

# --- Verdicts go when nobody asks for them any more ---

$node->sql(q{INSERT INTO roleferry.email_verdict_cache (email, checked_at, status, provider) VALUES
('old-valid@example.com', now() - interval '31 days', 'valid', 'x'), ('old-invalid@example.com', now() - interval '31 days', 'invalid', 'x'),
('old-unknown@example.com', now() - interval '2 days', 'unknown', 'x')});
$node->sql(q{UPDATE roleferry.batch SET finished_at = now() - interval '8 days' WHERE id = (SELECT min(id) FROM roleferry.batch)});
$node->restart;
$node->wait_until('old verdicts are there', 30, sub {
	$node->sql(q{SELECT string_agg(email, ' ') FROM roleferry.email_verdict_cache WHERE email LIKE 'old%'}) eq 'old-invalid@example.com' });
pass('verdicts that answer nobody are purged');
is($node->sql(q{SELECT count(*) FROM roleferry.batch WHERE finished_at < now() - interval '7 days'}), '0', 'and so are old batches');
done_testing();

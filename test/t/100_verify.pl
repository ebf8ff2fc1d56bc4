
# Copyright (c) 2026, roleferry authors

# Verdicts on addresses: what is asked together is paid for once, each caller
# gets his own rows in his order, and what is known is not asked again.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;
use Time::HiRes qw(time);

my ($node, $simulator) = RoleferryNode->start_pair(
	'main', conf => q{
roleferry.verify_max_wait = '300ms'
roleferry.verify_poll_interval = '50ms'
});
$node->add_verifier;
$node->wait_dispatcher(30);

# Rows or the error of one call, as the role "app".
sub verify
{
	my ($arguments, $columns) = @_;
	$columns ||= 'email, status, raw, source';
	my (undef, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET ROLE app;\nSELECT $columns FROM roleferry.verify_emails($arguments);"
	);

	return wantarray ? ($out, $err) : $out;
}

# --- One call ---

my ($out, $err) = verify(
	q{ARRAY['Ann@Example.com', 'invalid1@example.com', 'catchall@example.com', 'unknown@example.com',
	'disposable@example.com', 'ann@example.com', 'no address', NULL, '']});
is($err, '', 'verify_emails() raises nothing');
is( $out,
	join("\n",
		'Ann@Example.com|valid|valid|neverbounce',
		'invalid1@example.com|invalid|invalid|neverbounce',
		'catchall@example.com|risky|catchall|neverbounce',
		'unknown@example.com|unknown|unknown|neverbounce',
		'disposable@example.com|invalid|disposable|neverbounce',
		'ann@example.com|valid|valid|neverbounce',
		'no address|invalid||syntax',
		'|invalid||syntax',
		'|invalid||syntax'),
	'one row for each element, in its order');
is(scalar(my @jobs = $simulator->jobs_created), 1, 'one paid job');
is($simulator->charged('neverbounce'), 4,
	'an address is paid for once, whatever its case, and no address not at all'
);
is($node->sql('SELECT count(*) FROM roleferry.outbox'), '0',
	'no job is left');
done_testing();


# Copyright (c) 2026, roleferry authors

# The README is true: its configuration is the server's, and every block of its
# tour is run in order, by whom the text says, and prints what the text shows.

use strict;
use warnings;

use Cwd            qw(abs_path);
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferrySimulator;
use Test::More;

my $readme = slurp_file(dirname(abs_path(__FILE__)) . '/../../README.md');

# The text between two headings as a list of [prose, language, block].
sub blocks_of
{
	my ($from, $to) = @_;
	my ($section) = $readme =~ /^\Q$from\E$(.*?)^\Q$to\E$/ms
	  or die "README.md has no section \"$from\"";
	my @blocks;

	push @blocks, [ $1, $2, $3 ]
	  while $section =~ /\G(.*?)^```(\w*)\n(.*?)^```$/gms;
	return @blocks;
}

#
# Installation: the settings as they are printed, but for the directory.
#

my ($conf) = grep { /shared_preload_libraries/ }
  map { $_->[2] } blocks_of('## Installation', '## A tour');
my $node = PostgreSQL::Test::Cluster->new('main');
my $simulator = RoleferrySimulator->start($node->basedir . '/simulator');
my $secrets = $node->basedir . '/secrets';

ok($conf, 'the README shows a configuration');
is( $conf =~ s{'/etc/roleferry'}{'$secrets'}r =~
	  s/\S+\.secrets_directory = '\Q$secrets\E'//r =~ tr/'/'/,
	6,
	'with a secrets directory and three other settings');
$conf =~ s{'/etc/roleferry'}{'$secrets'};
$node->init;
$node->append_conf(
	'postgresql.conf', $conf . qq{
roleferry.ca_file = '@{[ $simulator->ca ]}'
roleferry.allow_private_addresses = '127.0.0.0/8, ::1'
timezone = 'UTC'
});

# As the README's install commands do.
sub write_key
{
	my ($name, $key) = @_;

	append_to_file("$secrets/$name", $key);
	chmod 0600, "$secrets/$name";
	return;
}

mkdir $secrets, 0700 or die $!;
write_key('sendgrid', 'SG.test-key');
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');

#
# Running a block.
#

# At a semicolon that ends a line, if no $$ is open; comments stay.
sub statements_of
{
	my ($block) = @_;
	my @statements = ('');

	foreach my $line (split /\n/, $block)
	{
		$statements[-1] .= "$line\n";
		push @statements, ''
		  if $line =~ /;\s*(--.*)?$/
		  && ($statements[-1] =~ s/\$\$/\$\$/g) % 2 == 0;
	}
	return grep { /\S/ } @statements;
}

# What is asked of jobs is asked when they have come to their end.
sub wait_for_mails
{
	$node->poll_query_until('shop',
		'SELECT count(*) = 0 FROM roleferry.outbox')
	  or die 'a mail is still there';
	return;
}

# What psql prints, but for row counts and the results of functions without any.
sub run_as
{
	my ($role, @statements) = @_;
	my ($output, $session) = ('', '');
	my $flush = sub {
		my ($status, $stdout, $stderr) = $node->psql(
			'shop',
			"SET ROLE $role;\n$session",
			extra_params => [
				'--no-align', '--pset=format=aligned',
				'--pset=footer=off', '--pset=tuples_only=off'
			]);

		is($stderr, '', "$role: no error");
		$output .= "$stdout\n" if $stdout ne '';
		$session = '';
	};

	foreach my $statement (@statements)
	{
		if ($statement =~
			/^SELECT .* FROM roleferry\.(jobs|messages|dead_letters|job_report)\b/ms
		  )
		{
			$flush->() if $session ne '';
			wait_for_mails();
		}
		$session .= $statement;
	}
	$flush->();
	$output =~ s/^ +\w+ +\n-+\n +\n?(\n|\z)//gm;
	return $output;
}

# Ids and times are others each time, and columns as wide as what is in them.
sub masked
{
	my ($text) = @_;

	$text        =~ s/<\d{14}\.[\w-]{22}\@/<ID@/g;
	$text        =~ s/(?<=[ |])[\w-]{22}(?= *$)/ID/gm;
	$text        =~ s/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00/TIME/g;
	$text        =~ s/-{2,}/--/g;
	$text        =~ s/ {2,}/ /g;
	$text        =~ s/ +$//gm;
	$text        =~ s/\n{2,}/\n/g;
	return $text =~ s/\s+\z//r;
}

#
# The tour.
#

my @tour = blocks_of('## A tour', '## What is promised');
my %role = (
	superuser => $node->safe_psql('shop', 'SELECT quote_ident(current_user)'),
	app => 'app',
	operator => 'operator');

# For each block: what the text before it says, who runs it, what happens first.
my @steps = (
	[
		qr/with `base_url` added to both servers.*A superuser makes the accounts/s,
		'superuser',
		sub {
			my ($sql) = @_;

			$sql =~
			  s/(provider '(\w+)'[^)]*)\)/"$1, base_url '" . $simulator->url($2) . "')"/ge;
			return $sql;
		}
	],
	[
		qr/Write the second file.*and Mailgun is `ready` too.*application's role/s,
		'superuser',
		sub {
			write_key('mailgun', 'mg-test-key');
			is( $node->safe_psql(
					'shop',
					q{SELECT state FROM roleferry.accounts WHERE account = 'mailgun'}
				),
				'ready',
				'the second file makes Mailgun ready');
			return $_[0];
		}
	],
	[
		qr/^As `app`/m,
		'app',
		sub {
			$node->safe_psql('shop',
				q{CREATE ROLE operator; SELECT roleferry.grant_access('operator', 'operator')}
			);
			return $_[0];
		}
	],
	[
		qr/while SendGrid is busy \(429, Retry-After: 3\)/,
		'app',
		sub {
			$simulator->rule(
				{
					provider => 'sendgrid',
					count => 1,
					action =>
					  { status => 429, headers => { 'Retry-After' => '3' } }
				});
			return $_[0];
		}
	],
	[
		qr/SendGrid answers one mail with 502 and refuses another with 400/,
		'app',
		sub {
			$node->poll_query_until('shop',
				q{SELECT state = 'ready' FROM roleferry.accounts WHERE account = 'sendgrid'}
			);
			$simulator->rule(
				{
					provider => 'sendgrid',
					match => { to => 'edsger' },
					action => { status => 502 }
				});
			$simulator->rule(
				{
					provider => 'sendgrid',
					match => { to => 'tony' },
					count => 1,
					action => { status => 400 }
				});
			return $_[0];
		}
	],
	[
		qr/An operator looks at SendGrid's activity feed/,
		'app', sub { return $_[0]; }
	]);

is( scalar(grep { $_->[1] eq 'sql' } @tour),
	scalar @steps,
	'the test knows every block of the tour');
is( scalar(grep { $_->[1] ne 'sql' } @tour),
	scalar @steps,
	'each of which shows what it prints');

while (my ($block, $shown) = splice @tour, 0, 2)
{
	my ($prose, $who, $prepare) = @{ shift @steps };
	my $name = $who . ': ' . (split /\n/, $block->[2])[0];
	my ($output, @same) = ('');

	like($block->[0], $prose, "$name: the text says what happens");
	foreach my $statement (statements_of($prepare->($block->[2])))
	{
		my ($other) =
		  $statement =~ /-- as (?:an? )?(?:reader or )?(app|operator)$/m;

		# One session as long as the role stays the same.
		if (defined $other && $other ne $who)
		{
			$output .= run_as($role{$who}, @same) if @same;
			$output .= run_as($role{$other}, $statement);
			@same = ();
			next;
		}
		push @same, $statement;
	}
	$output .= run_as($role{$who}, @same) if @same;
	is( masked($output),
		masked($shown->[2]),
		"$name: prints what the text shows");
}

# Nobody got nothing, and what was enqueued again is another job.
wait_for_mails();
is( $node->safe_psql(
		'shop',
		'SELECT string_agg(id::text, \' \' ORDER BY id) FROM roleferry.jobs'),
	'1 2 4 5 6 7',
	'the rolled-back lead got no mail, and the failed one another job');
is( scalar(
		grep {
			grep { /nobody/ }
			  @{ $_->{to} }
		} $simulator->journal(phase => 'body')),
	0,
	'no provider has heard of Nobody');

# The row that is written by hand.
my ($by_hand) =
  grep { $_->[1] eq 'sql' } blocks_of('### Functions', '### Views');
like(
	$by_hand->[2],
	qr/^INSERT INTO roleferry.outbox/,
	'the reference shows a row written by hand');
run_as('app', $by_hand->[2]);
wait_for_mails();
is( $node->safe_psql(
		'shop',
		q{SELECT count(*) FROM roleferry.messages WHERE tenant_key = 'acme'}),
	'1',
	'which is sent');

$node->stop;
done_testing();

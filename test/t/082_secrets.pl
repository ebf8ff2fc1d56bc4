
# Copyright (c) 2026, roleferry authors

# Keys are read from no directory that goes along with a copy of the data, and
# from no file that could hold anything but one key. Files of other kinds are
# tested in 040.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main');
my $base = $node->basedir;
my $data = $node->data_dir;
my $key = 'SG.test-key';

sub account_is
{
	my ($expected, $what) = @_;
	my $state = $node->sql(
		q{SELECT concat_ws(' ', state, reason) FROM roleferry.accounts WHERE account = 'sendgrid'}
	);

	like($state, qr/^$expected/, $what);
	return;
}

#
# The directory.
#

sub make_directory
{
	my ($path) = @_;

	mkdir $path, 0700 or die "could not create \"$path\": $!";
	append_to_file("$path/sendgrid", $key);
	chmod 0600, "$path/sendgrid";
	return $path;
}

make_directory("$data/secrets");
make_directory("$data/base/secrets");
make_directory("$data-secrets");
append_to_file("$data/sendgrid", $key);
chmod 0600, "$data/sendgrid";
append_to_file("$base/a file", $key);
symlink "$data/secrets", "$base/link-inside" or die $!;
symlink $data, "$base/link-data" or die $!;
symlink "$base/link-inside", "$base/link-link" or die $!;
symlink "$base/secrets", "$data/link-outside" or die $!;
(my $relative = "$data/secrets") =~ s{^/}{};

my $inside =
  'unusable roleferry.secrets_directory is inside the data directory, whose copies must not have the keys';
my @directories = (
	[ "$data/secrets", $inside, 'a directory inside the data directory' ],
	[
		"$data/base/secrets", $inside,
		'a directory deep inside the data directory'
	],
	[ $data, $inside, 'the data directory itself' ],
	[ "$data/", $inside, 'the data directory with a slash' ],
	[ "$base/link-inside", $inside, 'a symbolic link to a directory inside' ],
	[ "$base/link-link", $inside, 'a symbolic link to such a link' ],
	[
		"$base/link-data/secrets", $inside,
		'a directory below a symbolic link to the data directory'
	],
	[
		"$base/secrets/../link-data/./secrets", $inside,
		'a path with detours'
	],
	[ "$data//secrets//", $inside, 'a path with slashes' ],
	[
		'secrets',
		'unusable roleferry.secrets_directory is not an absolute path',
		'a path relative to the data directory'
	],
	[
		'../../secrets',
		'unusable roleferry.secrets_directory is not an absolute path',
		'a relative path'
	],
	[
		$relative,
		'unusable roleferry.secrets_directory is not an absolute path',
		'a path without its first slash'
	],
	[
		"$base/nowhere",
		'unusable could not open roleferry.secrets_directory: No such file',
		'a directory that does not exist'
	],
	[
		"$base/a file",
		'unusable could not open roleferry.secrets_directory: Not a directory',
		'a file'
	],
	[ '', 'unusable roleferry.secrets_directory is not set', 'no directory' ],
	[ "$data/link-outside", 'ready$', 'a symbolic link that leads outside' ],
	[
		"$data-secrets", 'ready$',
		'a neighbour whose name begins like the data directory\'s'
	]);
my @waiting;

foreach my $case (@directories)
{
	my ($path, $expected, $what) = @$case;

	$node->append_conf('postgresql.conf',
		"roleferry.secrets_directory = '$path'");
	$node->restart;
	push @waiting, $node->enqueue(1) unless @waiting;
	account_is($expected, $what);
	next if $expected =~ /^ready/;
	is( $node->sql(
			'SELECT count(*) FROM roleferry.outbox WHERE attempts = 0'),
		'1',
		"$what: a mail waits, and nothing is charged");
}
$node->wait_drained(30);
is_deeply(
	$node->states,
	{ sent => 1 },
	'which is sent as soon as its key is where it belongs');
is(scalar @{ [ $simulator->journal(phase => 'headers') ] },
	1, 'and was asked of a provider once');

# Who else may write in it.
foreach my $case (
	[ 0770, 'unusable .*mode 0770' ],
	[ 01777, 'unusable .*mode 1777' ],
	[ 0702, 'unusable .*mode 0702' ],
	[ 0755, 'ready$' ],
	[ 0500, 'ready$' ],
	[ 0700, 'ready$' ])
{
	my ($mode, $expected) = @$case;

	chmod $mode, "$data-secrets";
	account_is($expected, sprintf('a directory of mode %04o', $mode));
}

#
# The file.
#

my $name = "$data-secrets/sendgrid";

sub write_file
{
	my ($content, $mode) = @_;

	unlink $name;
	append_to_file($name, $content);
	chmod $mode, $name;
	return;
}

my $lines = 'unusable secret file "sendgrid" holds more than one line';
my $control = 'unusable secret file "sendgrid" holds a control character';
my @files = (
	[
		'x' x 65537,
		0600,
		'unusable secret file "sendgrid" is larger than 64 kB',
		'a file of 64 kB and a byte'
	],
	[ 'x' x 65536, 0600, 'ready$', 'a file of 64 kB' ],
	[
		$key . ("\n" x 65600),
		0600,
		'unusable secret file "sendgrid" is larger than 64 kB',
		'a key and 64 kB of line feeds'
	],
	[ '', 0600, 'unusable secret file "sendgrid" is empty', 'an empty file' ],
	[
		"\r\n \t\n", 0600,
		'unusable secret file "sendgrid" is empty',
		'a file of white space'
	],
	[ "SG.a\nSG.b", 0600, $lines, 'two lines' ],
	[ "SG.a\r\nX-Evil: yes\r\n", 0600, $lines, 'a header behind the key' ],
	[ "SG.a\rX-Evil: yes", 0600, $lines, 'a carriage return in the key' ],
	[ "\nSG.a", 0600, $lines, 'a line feed before the key' ],
	[ "SG.\0a", 0600, $control, 'a NUL in the key' ],
	[ "SG.a\0", 0600, $control, 'a NUL behind the key' ],
	[ "SG.\x7fa", 0600, $control, 'a DEL in the key' ],
	[ "SG.\ta", 0600, $control, 'a tab in the key' ],
	[
		$key, 0640,
		'unusable secret file "sendgrid" has mode 0640',
		'a file that the group reads'
	],
	[
		$key, 0604,
		'unusable secret file "sendgrid" has mode 0604',
		'a file that everybody reads'
	],
	[
		$key, 0620,
		'unusable secret file "sendgrid" has mode 0620',
		'a file that the group writes'
	],
	[
		$key, 0611,
		'unusable secret file "sendgrid" has mode 0611',
		'a file that everybody executes'
	],
	[
		$key, 0000,
		'unusable could not open secret file "sendgrid": Permission denied',
		'a file that nobody reads'
	],
	[ $key, 0400, 'ready$', 'a file of mode 0400' ],
	[ "$key\r\n", 0600, 'ready$', 'a key that ends with CR and LF' ],
	[
		"$key \n\n", 0600,
		'ready$', 'a key that ends with blanks and empty lines'
	]);

foreach my $case (@files)
{
	my ($content, $mode, $expected, $what) = @$case;

	write_file($content, $mode);
	account_is($expected, $what);
}

# A link cannot be followed, whatever the file behind it is like.
write_file($key, 0600);
rename $name, "$base/elsewhere" or die $!;
symlink "$base/elsewhere", $name or die $!;
account_is('unusable secret file "sendgrid" is a symbolic link',
	'a symbolic link');
unlink $name;
link "$data/postgresql.conf", $name or die $!;
account_is($lines, 'another file of the server by a hard link');
unlink $name;
account_is('unusable secret file "sendgrid" does not exist',
	'a file that is gone');

# What is trimmed from a key does not get into a request.
write_file("$key\r\n", 0600);
$node->enqueue(1);
$node->wait_drained(30);
is_deeply(
	$node->states,
	{ sent => 2 },
	'a key with CR and LF behind it is the key');

$node->assert_invariants(
	'nothing is lost, sent twice or sent without a commit');
$node->stop;
done_testing();

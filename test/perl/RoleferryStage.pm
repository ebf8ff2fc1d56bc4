
# Copyright (c) 2026, roleferry authors

=pod

=head1 NAME

RoleferryStage - a private copy of the installed extension, to be upgraded

=head1 SYNOPSIS

  RoleferryStage->available or plan skip_all => '...';
  my $stage = RoleferryStage->new($directory);
  my $node = RoleferryNode->start_pair('main', conf => $stage->conf);

  $stage->add_version('0.2.0', $sql, $sql_back);
  $stage->replace_library($stage->build_library('0.2.0', '-DRF_SHARED_ABI=99'));

=head1 DESCRIPTION

Servers of other tests load the extension from the stage that script/test
built; this is a copy of it, in which files may be replaced under a running
server as a package upgrade would.

=cut

package RoleferryStage;

use strict;
use warnings;

use Carp;
use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;

sub slurp
{
	return PostgreSQL::Test::Utils::slurp_file(@_);
}

=pod

=head1 METHODS

=over

=item RoleferryStage->available

False where the extension is installed, not staged: then nothing is replaced.

=cut

sub available
{
	return
		 $ENV{RF_WORKSPACE}
	  && -d "$ENV{RF_WORKSPACE}/build-faults"
	  && $ENV{TEMP_CONFIG}
	  && -f $ENV{TEMP_CONFIG};
}

=pod

=item RoleferryStage->new($directory)

Copies the stage into a directory that does not exist yet.

=item $stage->conf

What postgresql.conf needs to load from here.

=cut

sub new
{
	my ($class, $directory) = @_;
	my $conf = slurp($ENV{TEMP_CONFIG});
	my ($original) = $conf =~ m{'(/.*?/stage-[^/':]*)};

	croak 'no stage in TEMP_CONFIG' unless defined $original;
	PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $original,
		$directory);
	$conf =~ s/\Q$original\E/$directory/g;

	my ($library) = glob "$directory/usr/lib/postgresql/*/lib/roleferry.so";
	my ($control) =
	  glob "$directory/usr/share/postgresql/*/extension/roleferry.control";
	return bless {
		conf => $conf,
		directory => $directory,
		library => $library,
		control => $control
	}, $class;
}

sub conf
{
	return $_[0]->{conf};
}

=pod

=item $stage->library

The library's file.

=item $stage->version

The version that the control file names.

=item $stage->add_version($version, $sql, $sql_back)

Update scripts from the present version to another one and back; the control
file names the new one from here on.

=cut

sub library
{
	return $_[0]->{library};
}

sub version
{
	my ($self) = @_;

	return (slurp($self->{control}) =~ /^default_version\s*=\s*'(.*)'/m)[0];
}

sub add_version
{
	my ($self, $version, $sql, $sql_back) = @_;
	my $scripts = dirname($self->{control});
	my $old = $self->version;
	my $control = slurp($self->{control});

	write_file("$scripts/roleferry--$old--$version.sql", $sql);
	write_file("$scripts/roleferry--$version--$old.sql", $sql_back);
	$control =~ s/^(default_version\s*=\s*)'.*'/$1'$version'/m;
	write_file($self->{control}, $control);
	return;
}

=pod

=item $stage->build_library($version, $flags)

A library of the same source that calls itself another version; its file.

=item $stage->replace_library($file)

Puts it in place as a package manager does: by a rename.

=cut

sub build_library
{
	my ($self, $version, $flags) = @_;
	my $build = "$self->{directory}/build-$version";
	my @command = (
		'make', '-s', '-C', $build,
		'roleferry.so',
		'FAULTS=1',
		"EXTVERSION=$version",
		"COPT=$flags",
		'PG_CONFIG='
		  . (
			$ENV{PG_CONFIG} || dirname(
				PostgreSQL::Test::Utils::run_command([ 'which', 'postgres' ]))
			  . '/pg_config'));
	my @sources;

	PostgreSQL::Test::Utils::system_or_bail('cp', '-a',
		"$ENV{RF_WORKSPACE}/build-faults", $build);

	# Only these know their version.
	@sources =
	  grep { slurp($_) =~ /RF_VERSION|RF_SHARED_ABI|RF_MODULE_MAGIC/ }
	  glob "$build/src/*.c $build/src/*/*.c";
	unlink map { s/\.c$/.o/r } @sources;
	unlink "$build/roleferry.so";
	PostgreSQL::Test::Utils::system_or_bail(@command);
	return "$build/roleferry.so";
}

sub replace_library
{
	my ($self, $file) = @_;

	PostgreSQL::Test::Utils::system_or_bail('cp', $file,
		"$self->{library}.new");
	rename "$self->{library}.new", $self->{library}
	  or croak "could not replace \"$self->{library}\": $!";
	return;
}

sub write_file
{
	my ($file, $text) = @_;

	open my $handle, '>', $file or croak "could not create \"$file\": $!";
	print $handle $text;
	close $handle or croak "could not write \"$file\": $!";
	return;
}

=pod

=back

=cut

1;

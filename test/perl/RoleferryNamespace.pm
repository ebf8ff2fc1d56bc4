
# Copyright (c) 2026, roleferry authors

=pod

=head1 NAME

RoleferryNamespace - run a test where small file systems are mounted

=head1 SYNOPSIS

  use RoleferryNamespace '/dev/shm' => '64m';    # before everything else
  plan skip_all => RoleferryNamespace->why_not if RoleferryNamespace->why_not;

=head1 DESCRIPTION

The test starts anew in a user and mount name space of its own, in which each
directory named is a tmpfs of that size; the name of an environment variable
with a dollar before it stands for its value. Nobody else sees these file
systems, and they go away with the last process. The user stays who he was,
because PostgreSQL refuses to run as root.

Where name spaces may not be made (in a chroot, in some containers), the test
goes on outside, and why_not says so.

=cut

package RoleferryNamespace;

use strict;
use warnings;

use File::Path qw(make_path);

my $why_not;

sub import
{
	my ($class, %sizes) = @_;

	return if $^C || $ENV{RF_NAMESPACE};    # only looked at, or there already
	if (system('unshare -Urm unshare -U true >/dev/null 2>&1') != 0)
	{
		$why_not = 'name spaces cannot be made here';
		return;
	}

	my @mounts;
	foreach my $place (sort keys %sizes)
	{
		my $directory = $place =~ s/\$(\w+)/$ENV{$1}/gr;

		make_path($directory);
		push @mounts, "mount -t tmpfs -o size=$sizes{$place},mode=1777 tmpfs '$directory'";
	}
	local $ENV{RF_NAMESPACE} = 1;
	my ($uid, $gid) = ($>, $) + 0);
	exec 'unshare', '-Urm', 'sh', '-c',
	  join(' && ', @mounts, 'exec unshare -U "$@"'), 'sh',
	  "--map-user=$uid", "--map-group=$gid", '--', $^X, (map { "-I$_" } @INC), $0, @ARGV
	  or die "could not start anew: $!";
	return;
}

sub why_not { return $why_not; }

=pod

=head1 FUNCTIONS

=over

=item RoleferryNamespace->fill($directory)

Fills it to the last byte with one file, whose name is returned.

=back

=cut

sub fill
{
	my ($class, $directory) = @_;
	my $path = "$directory/ballast";

	open my $file, '>', $path or die "could not create \"$path\": $!";
	foreach my $size (65536, 4096, 1)
	{
		1 while defined syswrite $file, 'x' x $size;
	}
	close $file;
	return $path;
}

1;

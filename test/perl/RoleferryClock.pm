
# Copyright (c) 2026, roleferry authors

=pod

=head1 NAME

RoleferryClock - a wall clock of a server's own, which a test sets

=head1 SYNOPSIS

  my $clock = RoleferryClock->new($directory);
  plan skip_all => RoleferryClock->why_not unless $clock;

  {
      local %ENV = $clock->environment;
      $node->restart;
  }
  $clock->set(3600);

=head1 DESCRIPTION

A small library, compiled by new() and preloaded into the server, adds to the
wall clock what a file says, for all processes at the same moment, as when the
machine's clock is set. The monotonic clock is the machine's, and so are the
kernel's timers; the test and the simulator keep the true time.

=cut

package RoleferryClock;

use strict;
use warnings;

use Carp;
use File::Path  qw(make_path);
use Time::HiRes ();

my $why_not;

my $shim = <<'EOC';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NANOS INT64_C(1000000000)

typedef int (*Read) (clockid_t, struct timespec *);

static Read	clock_read;
static volatile int64_t zero;
static volatile int64_t *ahead_ns = &zero;

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("RF_CLOCK_FILE");
	int			file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void	   *map = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);

	clock_read = (Read) dlsym(RTLD_NEXT, "clock_gettime");
	if (map != MAP_FAILED)
		ahead_ns = map;
	if (file >= 0)
		close(file);
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int			result;
	int64_t		ns;

	if (clock_read == NULL)
		clock_read = (Read) dlsym(RTLD_NEXT, "clock_gettime");
	result = clock_read(id, ts);
	if (result != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return result;
	ns = ts->tv_sec * NANOS + ts->tv_nsec + *ahead_ns;
	ts->tv_sec = ns / NANOS;
	ts->tv_nsec = ns % NANOS;
	return 0;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *result)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (result != NULL)
		*result = ts.tv_sec;
	return ts.tv_sec;
}
EOC

=pod

=head1 METHODS

=over

=item RoleferryClock->new($directory)

Undef when that cannot work here; why_not then says why.

=item $clock->environment

%ENV for a server that is to go by it.

=cut

sub new
{
	my ($class, $directory) = @_;
	my $self = bless {
		file => "$directory/ahead",
		library => "$directory/clock.so"
	}, $class;
	my $told;

	make_path($directory);
	write_file("$directory/clock.c", $shim);
	$self->set(0);
	$why_not = 'the clock library could not be compiled';
	return
	  unless system(
		"cc -shared -fPIC -O1 -o '$self->{library}' '$directory/clock.c' -ldl >'$directory/clock.log' 2>&1"
	  ) == 0;
	$why_not = 'a preloaded library does not set the clock here';
	$self->set(86400);
	{
		local %ENV = $self->environment;
		$told = `date +%s`;
	}
	$self->set(0);
	return abs($told - CORE::time - 86400) < 600 ? $self : undef;
}

sub why_not { return $why_not; }

sub environment
{
	my ($self) = @_;

	return (
		%ENV,
		LD_PRELOAD => $self->{library},
		RF_CLOCK_FILE => $self->{file});
}

=pod

=item $clock->set($seconds)

The clock is ahead of the true time by so much from now on.

=item $clock->time

What it says.

=cut

sub set
{
	my ($self, $seconds) = @_;

	$self->{ahead} = $seconds;
	write_file($self->{file}, pack('q', $seconds * 1e9));
	return;
}

sub time
{
	my ($self) = @_;

	return Time::HiRes::time() + $self->{ahead};
}

# In place: the file is mapped.
sub write_file
{
	my ($path, $text) = @_;

	open my $file, (-e $path ? '+<:raw' : '>:raw'), $path
	  or croak "could not create \"$path\": $!";
	print $file $text;
	close $file or croak "could not write \"$path\": $!";
	return;
}

=pod

=back

=cut

1;

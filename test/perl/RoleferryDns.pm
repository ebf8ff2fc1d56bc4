
# Copyright (c) 2026, roleferry authors

=pod

=head1 NAME

RoleferryDns - a name server of our own, and a server process that asks it

=head1 SYNOPSIS

  my $dns = RoleferryDns->start($directory);
  plan skip_all => RoleferryDns->why_not unless $dns;

  $dns->names('api.test' => { a => ['127.0.0.1'] }, '.dead.test' => { silent => 1 });
  {
      local %ENV = $dns->environment;
      $node->restart;
  }

=head1 DESCRIPTION

The machine is not touched. A small library, compiled by start() and preloaded
into the server, points the C library's resolver at our port before each look-up;
everything else about resolving, threads and time-outs included, is the real
thing. A name is answered by the rule of the name, or of the longest suffix
with a dot before it that has one, and does not exist otherwise.

=cut

package RoleferryDns;

use strict;
use warnings;

use Carp;
use File::Path qw(make_path);
use IO::Socket::INET;
use JSON::PP;
use POSIX  ();
use Socket qw(inet_aton inet_pton AF_INET6);

use constant { A => 1, AAAA => 28, SERVFAIL => 2, NXDOMAIN => 3 };

my $why_not;

my $shim = <<'EOC';
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

typedef int (*Lookup) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			struct addrinfo **result)
{
	const char *port = getenv("RF_DNS_PORT");
	Lookup		lookup = (Lookup) dlsym(RTLD_NEXT, "getaddrinfo");

	if (port != NULL && res_init() == 0)
	{
		memset(&_res.nsaddr_list[0], 0, sizeof(_res.nsaddr_list[0]));
		_res.nsaddr_list[0].sin_family = AF_INET;
		_res.nsaddr_list[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		_res.nsaddr_list[0].sin_port = htons((unsigned short) atoi(port));
		_res.nscount = 1;
		_res.dnsrch[0] = NULL;
		_res.options &= ~(unsigned long) (RES_DNSRCH | RES_DEFNAMES);
	}
	return lookup(node, service, hints, result);
}
EOC

=pod

=head1 METHODS

=over

=item RoleferryDns->start($directory)

Undef when that cannot work here; why_not then says why.

=cut

sub start
{
	my ($class, $directory) = @_;
	my $self = bless { directory => $directory, owner => $$ }, $class;

	make_path($directory);
	$self->names;
	return unless $self->compile;
	$self->{socket} =
		 IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp')
	  or croak "no UDP socket: $!";
	$self->{pid} = fork();
	croak "cannot fork: $!" unless defined $self->{pid};
	$self->serve unless $self->{pid};
	return $self->works ? $self : undef;
}

sub why_not { return $why_not; }

sub compile
{
	my ($self) = @_;
	my $source = "$self->{directory}/resolver.c";
	my $library = $self->{library} = "$self->{directory}/resolver.so";

	write_file($source, $shim);
	return 1
	  if system(
		"cc -shared -fPIC -O1 -o '$library' '$source' -ldl -lresolv >'$library.log' 2>&1"
	  ) == 0;
	$why_not = 'the resolver library could not be compiled';
	return 0;
}

# Some machines resolve names by other means than the C library's DNS.
sub works
{
	my ($self) = @_;
	my $program = 'my ($e, @r) = Socket::getaddrinfo("works.test", ""); '
	  . 'exit(@r && Socket::inet_ntoa((Socket::unpack_sockaddr_in($r[0]{addr}))[1]) eq "127.9.9.9" ? 0 : 1)';

	local %ENV = $self->environment;
	$self->names('works.test' => { a => ['127.9.9.9'] });
	return 1 if system($^X, '-MSocket', '-e', $program) == 0;
	$why_not = 'names are not looked up by the C library and DNS here';
	return 0;
}

=pod

=item $dns->environment

%ENV for a server that is to ask us.

=cut

sub environment
{
	my ($self) = @_;

	return (
		%ENV,
		LD_PRELOAD => $self->{library},
		RF_DNS_PORT => $self->{socket}->sockport);
}

=pod

=item $dns->names(NAME => RULE, ...)

From now on exactly these. Rules: { a => [...], aaaa => [...] }, { rcode => 2 },
{ silent => 1 }, and { turns => [RULE, ...] } for one look-up after the other.
All answers have a time to live of 0.

=item $dns->queries(NAME)

How often the address of the name was asked for.

=cut

sub names
{
	my ($self, %rules) = @_;
	my $file = "$self->{directory}/names.json";

	write_file("$file.new", JSON::PP->new->encode(\%rules));
	rename "$file.new", $file or croak "could not rename \"$file.new\": $!";
	return;
}

sub queries
{
	my ($self, $name) = @_;
	my $count = 0;

	open my $log, '<', "$self->{directory}/queries.log" or return 0;
	while (<$log>) { $count++ if $_ eq "$name\n"; }
	close $log;
	return $count;
}

# In the child: nothing but _exit may end it, or it would end the test's servers.
sub serve
{
	my ($self) = @_;
	my %turns;

	$SIG{TERM} = sub { POSIX::_exit(0) };
	open my $log, '>>', "$self->{directory}/queries.log" or POSIX::_exit(1);
	$log->autoflush(1);
	while (getppid() == $self->{owner})
	{
		my $wanted = '';
		my $query;

		vec($wanted, $self->{socket}->fileno, 1) = 1;
		next unless select($wanted, undef, undef, 1) > 0;
		next unless $self->{socket}->recv($query, 4096);
		my $answer = eval { $self->answer($query, \%turns, $log) };
		$self->{socket}->send($answer) if defined $answer;
	}
	POSIX::_exit(0);
	return;
}

sub answer
{
	my ($self, $query, $turns, $log) = @_;
	my $id = unpack 'n', $query;
	my ($name, $at) = ('', 12);

	while (my $len = ord substr $query, $at, 1)
	{
		$name .= '.' if $name ne '';
		$name .= lc substr $query, $at + 1, $len;
		$at += $len + 1;
	}
	my $type = unpack 'n', substr $query, $at + 1, 2;
	print $log "$name\n" if $type == A;

	my $rule = $self->rule_of($name);
	if (my $list = $rule->{turns})
	{
		# The two questions of one look-up belong to the same turn.
		my $turn =
		  $type == A ? $turns->{$name}++ : ($turns->{$name} || 1) - 1;
		$rule = $list->[ $turn % @$list ];
	}
	return if $rule->{silent};

	my @records;
	@records = map { inet_aton($_) } @{ $rule->{a} || [] } if $type == A;
	@records = map { inet_pton(AF_INET6, $_) } @{ $rule->{aaaa} || [] }
	  if $type == AAAA;
	return pack('nnnnnn',
		$id, 0x8180 | ($rule->{rcode} || 0),
		1, scalar @records,
		0, 0)
	  . substr($query, 12, $at + 5 - 12)
	  . join '',
	  map { pack('nnnNn', 0xc00c, $type, 1, 0, length) . $_ } @records;
}

sub rule_of
{
	my ($self, $name) = @_;
	my $rules =
	  JSON::PP->new->decode(read_file("$self->{directory}/names.json"));
	my $suffix = $name;

	return $rules->{$name} if $rules->{$name};
	while ($suffix =~ s/\A[^.]*//)
	{
		return $rules->{$suffix} if $rules->{$suffix};
		last unless $suffix =~ s/\A\.//;
	}
	return { rcode => NXDOMAIN };
}

sub write_file
{
	my ($path, $text) = @_;

	open my $file, '>', $path or croak "could not create \"$path\": $!";
	print $file $text;
	close $file or croak "could not write \"$path\": $!";
	return;
}

sub read_file
{
	my ($path) = @_;

	open my $file, '<', $path or croak "could not open \"$path\": $!";
	local $/;
	return scalar <$file>;
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;

	kill 'TERM', $pid;
	waitpid $pid, 0;
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@, $!);

	$self->stop if $self->{owner} == $$;
	return;
}

=pod

=back

=cut

1;

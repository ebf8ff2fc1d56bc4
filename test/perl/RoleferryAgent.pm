
# Copyright (c) 2026, roleferry authors

=pod

=head1 NAME

RoleferryAgent - a stand-in for Datadog's agent

=head1 SYNOPSIS

  my $agent = RoleferryAgent->new;            # UDP on loopback
  my $agent = RoleferryAgent->new($path);     # a unix datagram socket
  $agent->target;                             # for roleferry.dogstatsd
  $agent->collect(2);                         # what comes within two seconds
  $agent->sum('roleferry.sendgrid.calls', status => 'success');

=head1 DESCRIPTION

Keeps every datagram and every line of it, taken apart by the grammar of
DogStatsD; lines that it does not allow are in C<bad>.

=cut

package RoleferryAgent;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Time::HiRes qw(time);

my $number = qr/[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/;
my $tag = qr/[^,|\n]+/;

sub new
{
	my ($class, $path) = @_;
	my $socket =
	  defined $path
	  ? IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path)
	  : IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0);

	die "could not make the agent's socket: $!" unless $socket;
	return bless {
		socket => $socket,
		target => $path // '127.0.0.1:' . $socket->sockport,
		datagrams => [],
		lines => [],
		bad => []
	}, $class;
}

sub target { return $_[0]->{target}; }

# Read for so many seconds, or until the check is true; the number of datagrams
# so far.
sub collect
{
	my ($self, $seconds, $check) = @_;
	my $deadline = time() + $seconds;
	my $select = IO::Select->new($self->{socket});

	while ((my $left = $deadline - time()) > 0)
	{
		last if $check && $check->();
		next unless $select->can_read($left < 0.2 ? $left : 0.2);
		my $datagram;
		$self->{socket}->recv($datagram, 65536);
		push @{ $self->{datagrams} }, $datagram;
		$self->_take($_) for split /\n/, $datagram, -1;
	}
	return scalar @{ $self->{datagrams} };
}

# Does the grammar take it?  A hash of name, values, type, tags if so.
sub parse
{
	my ($line) = @_;
	my ($name, $values, $type, $rest) = $line =~ /\A([^:|\n]+):([^|\n]+)\|(c|g|ms|h|s|d)((?:\|[^|\n]*)*)\z/
	  or return;
	my %tags;

	return if $type ne 's' && grep { !/\A$number\z/ } split /:/, $values, -1;
	for my $field (split /\|/, $rest)
	{
		next if $field eq '';
		return if $field =~ /\A@/ && $field !~ /\A\@$number\z/;
		next unless $field =~ s/\A#//;
		for my $pair (split /,/, $field, -1)
		{
			my ($key, $value) = split /:/, $pair, 2;
			$tags{$key} = $value;
		}
	}
	return { name => $name, values => [ split /:/, $values ], type => $type, tags => \%tags };
}

sub _take
{
	my ($self, $line) = @_;
	my $parsed = parse($line);

	push @{ $parsed ? $self->{lines} : $self->{bad} }, $parsed // $line;
	return;
}

# Lines of that name whose tags have these values.
sub lines
{
	my ($self, $name, %tags) = @_;

	return grep {
		my $line = $_;
		$line->{name} eq $name && !grep { ($line->{tags}{$_} // '') ne $tags{$_} } keys %tags
	} @{ $self->{lines} };
}

# Of all their values.
sub sum
{
	my ($self, $name, %tags) = @_;
	my $sum = 0;

	for my $line ($self->lines($name, %tags))
	{
		$sum += $_ for @{ $line->{values} };
	}
	return $sum;
}

# How many values they have.
sub count
{
	my ($self, $name, %tags) = @_;
	my $count = 0;

	$count += @{ $_->{values} } for $self->lines($name, %tags);
	return $count;
}

# Datagrams of somebody else's until there is no room for more; how many.
sub fill
{
	my ($self) = @_;
	my $sender = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $self->{target});
	my $sent = 0;

	$sender->blocking(0);
	$sent++ while $sent < 100_000 && defined $sender->send('filler:1|c');
	return $sent;
}

# As if the agent were gone.
sub close_socket
{
	my ($self) = @_;

	close $self->{socket};
	unlink $self->{target} if $self->{target} =~ m{\A/};
	return;
}

1;


# Copyright (c) 2026, roleferry authors

=pod

=head1 NAME

RoleferrySimulator - starts and steers the provider simulator from TAP tests

=head1 SYNOPSIS

  my $simulator = RoleferrySimulator->start($directory, '--eu-domain', 'eu.example.com');
  $simulator->rule({ provider => 'sendgrid', count => 1, action => { status => 503 } });
  # ... deliver something ...
  is_deeply({ $simulator->accepted_counts }, { 'i.1' => 1 }, 'accepted once');
  $simulator->stop;

test/simulator/README.md describes the options, the rules and the journal.
Every method dies when the simulator does not do as it is told.

=cut

package RoleferrySimulator;

use strict;
use warnings;

use Carp;
use Cwd            qw(abs_path);
use File::Basename qw(dirname);
use File::Path     qw(make_path);
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use POSIX        qw(WNOHANG);
use Time::HiRes  qw(sleep time);

my $PROGRAM = abs_path(dirname(__FILE__) . '/../simulator') . '/simulator.py';
my ($PYTHON) = grep { defined } $ENV{PYTHON},
  grep({ -x } '/usr/bin/python3'), 'python3';
my $START_TIMEOUT = 15;
my $STOP_TIMEOUT = 10;

# Start a simulator in that directory; further arguments are its options.  The
# program's own output goes to simulator.log there.
sub start
{
	my ($class, $directory, @options) = @_;

	make_path($directory);
	my $self = bless {
		directory => abs_path($directory),
		owner => $$,
		json => JSON::PP->new->utf8->canonical,

		# A proxy of the environment has no business on the loopback.
		http =>
		  HTTP::Tiny->new(proxy => undef, http_proxy => undef, timeout => 60),
	}, $class;

	my $published = "$self->{directory}/simulator.json";
	unlink $published;
	$self->{pid} = $self->_spawn(@options);
	wait_for(sub { -e $published || !$self->_is_running }, $START_TIMEOUT)
	  or croak 'simulator did not start in time';
	croak 'simulator ended at once: '
	  . _slurp("$self->{directory}/simulator.log")
	  unless -e $published;
	$self->{info} = $self->{json}->decode(_slurp($published));
	return $self;
}

sub _spawn
{
	my ($self, @options) = @_;

	my @command = (
		$PYTHON, '-B', $PROGRAM, '--directory',
		$self->{directory}, '--parent', $$, @options);
	my $pid = fork();
	croak "cannot fork: $!" unless defined $pid;
	return $pid if $pid;

	# In the child nothing but exec and _exit: no END block may run here.
	open(STDIN, '<', '/dev/null');
	open(STDOUT, '>>', "$self->{directory}/simulator.log");
	open(STDERR, '>&', \*STDOUT);
	{ no warnings 'exec'; exec @command; }
	POSIX::_exit(127);
}

sub _is_running
{
	my $self = shift;

	return 0 unless $self->{pid};
	return 1 if waitpid($self->{pid}, WNOHANG) == 0;
	$self->{pid} = 0;
	return 0;
}

# Stop the simulator; the journal stays readable.
sub stop
{
	my $self = shift;

	return unless $self->_is_running;
	kill 'TERM', $self->{pid};
	return if wait_for(sub { !$self->_is_running }, $STOP_TIMEOUT);
	kill 'KILL', $self->{pid};
	waitpid($self->{pid}, 0);
	$self->{pid} = 0;
	return;
}

sub DESTROY
{
	my $self = shift;
	local ($?, $@, $!);

	$self->stop if $self->{owner} == $$;
	return;
}

# The https URL of a listener: sendgrid, mailgun, mailgun_eu, apollo,
# neverbounce, hunter, tls_expired, ...
sub url
{
	my ($self, $provider) = @_;

	return $self->{info}{$provider} // croak "the simulator has no $provider";
}

# The port of that URL, for settings that want host and port apart.
sub port
{
	my ($self, $provider) = @_;

	return $self->url($provider) =~ /:(\d+)\z/ ? $1 : undef;
}

# Path of the certificate authority to trust.
sub ca
{
	my $self = shift;

	return $self->{info}{ca};
}

# Path of the journal.
sub journal_file
{
	my $self = shift;

	return $self->{info}{journal};
}

# Append a rule; returns its description.
sub rule
{
	my ($self, $rule) = @_;

	return $self->_call(POST => '/rules', $rule);
}

# All rules with their counters `seen` and `applied`.
sub rules
{
	my $self = shift;

	return @{ $self->_call(GET => '/rules') };
}

# Remove the named rule, or all of them.
sub clear_rules
{
	my ($self, $name) = @_;

	return $self->_call(DELETE => defined $name ? "/rules/$name" : '/rules');
}

# Let the requests of a hold go on, or the oldest $count; returns how many did.
sub release
{
	my ($self, $name, $count) = @_;

	return $self->_call(POST => "/hold/$name/release", { count => $count })
	  ->{released};
}

# How many requests a hold holds now.
sub held
{
	my ($self, $name) = @_;

	return $self->_call(GET => '/stats')->{held}{$name} // 0;
}

# What a provider reports of the mails it has taken since the last call, as
# signed requests: hashes with headers and body (bytes).  Options: words, of
# each mail, by default accepted and delivered; rules, [{ to => regex, words =>
# [...] }] for recipients that fare otherwise.
sub events
{
	my ($self, $provider, %wish) = @_;

	return
	  map { { headers => $_->{headers}, body => decode_base64($_->{body}) } }
	  @{ $self->_call(POST => '/events', { provider => $provider, %wish }) };
}

# The keys they are signed with, by provider, as a receiver needs them.
sub event_keys
{
	my ($self) = @_;

	return $self->_call(GET => '/events');
}

# Close ('refuse') or open ('listen') a port.  Options: drop => 1 also closes
# its connections, certificate => KIND changes what it presents.
sub listener
{
	my ($self, $provider, $state, %options) = @_;

	$options{drop} = $options{drop} ? JSON::PP::true : JSON::PP::false;
	return $self->_call(
		POST => '/listener',
		{ provider => $provider, state => $state, %options });
}

# The numbers of one provider, or without a name everything GET /stats tells.
sub stats
{
	my ($self, $provider) = @_;

	my $stats = $self->_call(GET => '/stats');
	return $stats unless defined $provider;
	return $stats->{providers}{$provider}
	  // croak "the simulator has no $provider";
}

# All journal lines as hashes, or only those in which the given fields have
# the given values: journal(phase => 'body', rf_job => 'i.1').
sub journal
{
	my ($self, %match) = @_;
	my @lines;

	my $file = $self->_open_journal;
	while (my $text = <$file>)
	{
		last unless $text =~ /\n\z/;

		# Decoding is slow: pass over what cannot match.
		next
		  if grep {
			$match{$_} =~ /\A[\w .-]+\z/
			  && index($text, $match{$_}) < 0
		  } keys %match;
		my $line = $self->{json}->decode($text);
		push @lines, $line
		  unless grep { !defined $line->{$_} || $line->{$_} ne $match{$_} }
		  keys %match;
	}
	close $file;
	return @lines;
}

# rf_job => how often any provider accepted it.  Reads only the beginning of
# each line, which the journal writes in this order: a soak has very many.
sub accepted_counts
{
	my $self = shift;
	my $accepted = qr{\A\{"t":[^,]+,"phase":"accepted","provider":"\w+",}
	  . qr{"conn":\d+,"request":\d+,"rf_job":"([^"\\]+)"};
	my %count;

	my $file = $self->_open_journal;
	while (my $text = <$file>)
	{
		$count{$1}++ if $text =~ $accepted;
	}
	close $file;
	return %count;
}

# Value of a custom argument => how often any provider accepted such a mail.
sub accepted_by_arg
{
	my ($self, $name) = @_;
	my %count;

	foreach my $line ($self->journal(phase => 'accepted'))
	{
		my $value = $line->{custom_args}{$name};
		$count{$value}++ if defined $value;
	}
	return %count;
}

# How many of these mails, { custom argument n => anything }, came to a phase how
# often: { 1 => 100 }.
sub spread
{
	my ($self, $phase, $mails) = @_;
	my (%times, %spread);

	foreach my $line ($self->journal(phase => $phase))
	{
		my $n = $line->{custom_args}{n};
		$times{$n}++ if defined $n && exists $mails->{$n};
	}
	$spread{ $times{$_} || 0 }++ for keys %$mails;
	return \%spread;
}

# Credits that a provider of people or verdicts has charged, for one call
# ("bulk_match", "jobs/create", ...) or for all.
sub charged
{
	my ($self, $provider, $call) = @_;
	my $credits = 0;

	my %match = (phase => 'accepted', provider => $provider);
	$match{call} = $call if defined $call;
	$credits += $_->{credits} // 0 foreach $self->journal(%match);
	return $credits;
}

# Ids of the NeverBounce jobs that were made, in order.
sub jobs_created
{
	my $self = shift;

	return map { $_->{job_id} } $self->journal(
		phase => 'accepted',
		provider => 'neverbounce',
		call => 'jobs/create');
}

# How often a provider read such a call, whatever it answered.
sub calls
{
	my ($self, $provider, $call) = @_;

	return scalar(
		my @lines = $self->journal(
			phase => 'body',
			provider => $provider,
			call => $call));
}

# Moments at which a provider had read a request, in order; after that one.  In
# scalar context how many.
sub moments
{
	my ($self, $provider, $after) = @_;

	my @moments = sort { $a <=> $b }
	  grep { !defined $after || $_ > $after }
	  map { $_->{t} } $self->journal(phase => 'body', provider => $provider);

	return @moments;
}

# The most of these moments in any interval of that length.
sub most_within
{
	my ($self, $length, @moments) = @_;
	my ($most, $first) = (0, 0);

	foreach my $last (0 .. $#moments)
	{
		$first++ while $moments[$last] - $moments[$first] >= $length;
		$most = $last - $first + 1 if $last - $first + 1 > $most;
	}
	return $most;
}

# Call the sub until it returns something true, which is returned; false after
# the timeout.  Works as a function and as a method.
sub wait_for
{
	my ($condition, $timeout) = grep { !(ref $_ && ref $_ ne 'CODE') } @_;
	my $deadline = time + ($timeout // 10);

	while (1)
	{
		my $result = $condition->();
		return $result if $result;
		return 0 if time > $deadline;
		sleep 0.02;
	}
}

sub _call
{
	my ($self, $method, $path, $document) = @_;

	my %request;
	%request = (content => $self->{json}->encode($document)) if $document;
	my $response = $self->{http}
	  ->request($method, $self->{info}{control} . $path, \%request);
	croak "$method $path: $response->{status} $response->{content}"
	  unless $response->{success};
	return $self->{json}->decode($response->{content});
}

sub _open_journal
{
	my $self = shift;

	# Asking for numbers makes a running simulator write what it still has.
	$self->_call(GET => '/stats') if $self->_is_running;
	open(my $file, '<:raw', $self->journal_file)
	  or croak 'cannot open ' . $self->journal_file . ": $!";
	return $file;
}

sub _slurp
{
	my $path = shift;

	open(my $file, '<:raw', $path) or return '';
	local $/;
	return scalar <$file> // '';
}

1;


# Copyright (c) 2026, roleferry authors

=pod

=head1 NAME

RoleferryNode - a PostgreSQL::Test::Cluster that sends mail to a simulator

=head1 SYNOPSIS

  my ($node, $simulator) = RoleferryNode->start_pair('main');

  my @ids = $node->enqueue(100);
  $node->wait_drained;
  is_deeply($node->states, { sent => 100 }, 'all mails are sent');
  $node->assert_invariants('nothing is lost or sent twice');

=head1 DESCRIPTION

The pair is a server with roleferry preloaded and activated in the database
"postgres", and the providers' stand-in on loopback, over HTTPS with a CA of
its own. The accounts are "sendgrid" and "mailgun"; the role "app" may send
through both. The server restarts after a crash, which PostgreSQL's own tests
switch off. Every method of PostgreSQL::Test::Cluster works too.

=cut

package RoleferryNode;

use strict;
use warnings;

use parent qw(PostgreSQL::Test::Cluster);

use Carp;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use RoleferrySimulator;
use Test::More;
use Time::HiRes qw(time usleep);

use constant DISPATCHER => 'roleferry dispatcher';

my %secrets = (
	sendgrid => 'SG.test-key',
	mailgun => 'mg-test-key',
	apollo => 'ap-test-key',
	neverbounce => 'private_test_key',
	hunter => 'hu-test-key');

# Everything that start_pair needs in the database. The fault points only
# exist in a build with FAULTS=1, which is what the tests run on.
my $setup_sql = q{
CREATE EXTENSION roleferry;
CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'sendgrid', secret 'sendgrid', base_url '%s');
CREATE SERVER mailgun FOREIGN DATA WRAPPER roleferry
	OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'mailgun', base_url '%s');
CREATE ROLE app LOGIN;
SELECT roleferry.grant_access('app', 'sender');
GRANT USAGE ON FOREIGN SERVER sendgrid, mailgun TO app;
CREATE FUNCTION public.regress_fault(name text, action text, skip int, count int)
	RETURNS void LANGUAGE C AS 'roleferry', 'roleferry_fault_set';
SELECT roleferry.activate();
};

=pod

=head1 METHODS

=over

=item RoleferryNode->start_pair($name, %options)

Starts both. In list context ($node, $simulator), else the node. Options:
conf, text appended to postgresql.conf; simulator, an array of options of
the simulator; email_accounts, the order of failover, by default
'sendgrid, mailgun'; activate, 0 to leave the database mute; init, an array of
options of PostgreSQL::Test::Cluster's init.

=cut

sub start_pair
{
	my ($class, $name, %options) = @_;
	my $node = $class->new($name);
	my $directory = $node->basedir;
	my $sql = $setup_sql;

	# After basedir exists, before the server does: it asks for keys and CA.
	$node->{rf_simulator} = RoleferrySimulator->start("$directory/simulator",
		@{ $options{simulator} || [] });
	$node->write_secrets("$directory/secrets");
	$node->{rf_committed} = {};
	$node->{rf_rolled_back} = {};
	$node->{rf_next} = 1;

	$node->init(@{ $options{init} || [] });
	$node->append_conf('postgresql.conf', $node->conf_for_pair(%options));
	$node->start;
	$sql =~ s/^SELECT roleferry\.activate\(\);$//m
	  if defined $options{activate} && !$options{activate};
	$node->safe_psql('postgres',
		sprintf($sql, map { $node->simulator->url($_) } qw(sendgrid mailgun))
	);
	return wantarray ? ($node, $node->simulator) : $node;
}

sub conf_for_pair
{
	my ($self, %options) = @_;
	my $accounts = $options{email_accounts} || 'sendgrid, mailgun';
	my $ca = $self->simulator->ca;

	# Tests make accounts fail on purpose: only failures in a row open a circuit.
	return <<"EOC" . ($options{conf} || '') . "\n";
shared_preload_libraries = 'roleferry'
restart_after_crash = on
autovacuum = off
roleferry.databases = 'postgres'
roleferry.email_accounts = '$accounts'
roleferry.secrets_directory = '@{[ $self->basedir ]}/secrets'
roleferry.ca_file = '$ca'
roleferry.allow_private_addresses = '127.0.0.0/8, ::1'
roleferry.breaker_failure_percent = 0
EOC
}

# Files as an operator would make them: nobody else reads them.
sub write_secrets
{
	my ($self, $directory) = @_;

	mkdir $directory, 0700 or croak "could not create \"$directory\": $!";
	$self->write_secret($_, $secrets{$_}) for sort keys %secrets;
	return;
}

=pod

=item $node->write_secret($file, $key)

Writes or replaces one file of the secrets directory.

=cut

sub write_secret
{
	my ($self, $file, $key) = @_;
	my $path = $self->basedir . "/secrets/$file";

	open my $handle, '>', "$path.new"
	  or croak "could not create \"$path\": $!";
	chmod 0600, "$path.new";
	print $handle $key;
	close $handle or croak "could not write \"$path\": $!";
	rename "$path.new", $path or croak "could not rename \"$path.new\": $!";
	return;
}

=pod

=item $node->add_verifier($name, %options)

An account at the simulator's NeverBounce, by default "neverbounce", that the
role "app" may use. Option secret => FILE: another key.

=cut

sub add_verifier
{
	my ($self, $name, %options) = @_;

	$name ||= 'neverbounce';
	$self->sql(
		sprintf q{
CREATE SERVER %s FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'neverbounce', secret '%s', base_url '%s');
GRANT USAGE ON FOREIGN SERVER %s TO app;
}, $name, $options{secret} || 'neverbounce',
		$self->simulator->url('neverbounce'), $name);
	return;
}

=pod

=item RoleferryNode->new_copy($name, $original)

Another node that sends to the simulator of $original and knows its mails. It
has to be filled yet: see init_from_backup.

=item $node->follow($original)

It knows the mails that $original has enqueued in the meantime.

=cut

sub new_copy
{
	my ($class, $name, $original) = @_;
	my $node = $class->new($name);

	$node->{rf_original} = $original;
	$node->{rf_rolled_back} = {};
	$node->follow($original);
	return $node;
}

sub follow
{
	my ($self, $original) = @_;

	$self->{rf_committed} = { %{ $original->{rf_committed} } };
	$self->{rf_next} = $original->{rf_next};
	return;
}

=pod

=item $node->simulator

=item $node->sql($query)

One query in the database "postgres" as superuser; its output.

=cut

sub simulator
{
	my ($self) = @_;

	return $self->{rf_simulator} || $self->{rf_original}->simulator;
}

sub sql
{
	my ($self, $query) = @_;

	return $self->safe_psql('postgres', $query);
}

=pod

=item $node->enqueue($count, %options)

Enqueues mails to user$n@example.net with custom_args {"n": "$n"} in one
transaction, as the role "app", and returns the ids of the jobs. $n counts on
from the last call. Options: rollback => 1 (the ids are then those of jobs that
must never be sent); first, another first $n; role, another role; everything
else is an argument of roleferry.enqueue_email, an array for an array:
accounts => ['mailgun'], delivery => 'at_least_once'.

=cut

sub enqueue
{
	my ($self, $count, %options) = @_;
	my $rollback = delete $options{rollback};
	my $role = delete $options{role} || 'app';
	my $first = delete $options{first} || $self->{rf_next};
	my $last = $first + $count - 1;
	my $end = $rollback ? 'ROLLBACK' : 'COMMIT';
	my $known = $rollback ? $self->{rf_rolled_back} : $self->{rf_committed};
	my %arguments = (
		from_addr => quote_literal('sender@mg.example.com'),
		to_addr => q{'user' || n || '@example.net'},
		subject => q{'mail ' || n},
		body_html => q{'<p>mail ' || n || '</p>'},
		custom_args => q{pg_catalog.jsonb_build_object('n', n::text)},
		map { $_ => quote_literal($options{$_}) } keys %options);
	my $call = join ', ', map { "$_ => $arguments{$_}" } sort keys %arguments;
	my @ids;

	$self->{rf_next} = $last + 1 if $last >= $self->{rf_next};
	@ids = split /\n/, $self->sql(<<"EOQ");
BEGIN;
SET LOCAL ROLE $role;
SELECT roleferry.enqueue_email($call) FROM generate_series($first, $last) AS n;
$end;
EOQ
	croak "enqueued " . @ids . " of $count mails" unless @ids == $count;
	@{$known}{ $first .. $last } = @ids;
	return @ids;
}

=pod

=item $node->adopt($n, $id, ...)

Mails that were put in otherwise: assert_invariants counts them, too.

=item $node->disown(@ids)

Jobs that assert_invariants is not to count: spoilt, or dropped with their table.

=item $node->committed($n)

The id of the job of mail $n, or undef: as enqueue returned or adopt was told it.

=cut

sub adopt
{
	my ($self, %mails) = @_;

	@{ $self->{rf_committed} }{ keys %mails } = values %mails;
	return;
}

sub disown
{
	my ($self, @ids) = @_;
	my %gone = map { $_ => 1 } @ids;
	my $known = $self->{rf_committed};

	delete @{$known}{ grep { $gone{ $known->{$_} } } keys %$known };
	return;
}

sub committed
{
	my ($self, $n) = @_;

	return $self->{rf_committed}{$n};
}

sub quote_literal
{
	my ($value) = @_;

	return 'NULL' unless defined $value;
	return
		'ARRAY['
	  . join(', ', map { quote_literal($_) } @$value)
	  . ']::text[]'
	  if ref $value eq 'ARRAY';
	return quote_literal(JSON::PP->new->ascii->canonical->encode($value))
	  . '::jsonb'
	  if ref $value;
	$value =~ s/'/''/g;
	$value =~ s/\\/\\\\/g;
	return "E'$value'";
}

=pod

=item $node->distinct_states(@ids)

The states that these jobs are in, each once, with commas.

=item $node->hold_mail($n)

The provider keeps back its answers to what goes to user $n.

=item $node->wait_mail_held($n)

Waits until there is such a mail.

=item $node->release_mail($n)

Lets it go, and keeps back no more.

=cut

sub distinct_states
{
	my ($self, @ids) = @_;

	return $self->sql(
		'SELECT string_agg(DISTINCT state, $$,$$) FROM roleferry.jobs WHERE id IN ('
		  . join(',', @ids)
		  . ')');
}

sub hold_mail
{
	my ($self, $n) = @_;

	$self->simulator->rule(
		{
			name => "hold$n",
			match => { to => "^user$n\@" },
			action => { hold => "hold$n" }
		});
	return;
}

sub wait_mail_held
{
	my ($self, $n) = @_;

	$self->wait_until("mail $n is not under way",
		20, sub { $self->simulator->held("hold$n") == 1 });
	return;
}

sub release_mail
{
	my ($self, $n) = @_;

	$self->simulator->clear_rules("hold$n");
	$self->simulator->release("hold$n");
	return;
}

=pod

=item $node->wait_until($what, $timeout, $check)

Calls $check every 50 ms until it is true, and returns what it returned;
croaks with $what after $timeout seconds, later on a busy machine.

=item $node->patient($seconds)

How long what takes $seconds at most on a machine with nothing else to do may
take now: longer by as many times as there are processes to a processor.  What
comes too late on an idle machine fails as it should; on a busy one that cannot
be told apart from waiting for a processor.

=cut

sub patient
{
	my ($self, $seconds) = @_;
	my ($average, $now) = slurp_file('/proc/loadavg') =~ m{^(\S+) \S+ \S+ (\d+)/};
	my $load = ($average > $now ? $average : $now) / processors();

	return $seconds * ($load < 1 ? 1 : $load > 6 ? 6 : $load);
}

sub processors
{
	return scalar(() = slurp_file('/proc/cpuinfo') =~ /^processor\s*:/mg) || 1;
}

sub wait_until
{
	my ($self, $what, $timeout, $check) = @_;
	my $limit = $timeout || $PostgreSQL::Test::Utils::timeout_default;
	my $began = time();

	while (1)
	{
		my $result = $check->();

		return $result if $result;
		last if time() > $began + $limit && time() > $began + $self->patient($limit);
		usleep(50_000);
	}
	croak "timed out: $what";
}

=pod

=item $node->wait_drained($timeout)

Waits until the outbox is empty.

=item $node->states

How many jobs there are in each state: { sent => 10, unknown => 1 }.

=item $node->states_of($jobs)

The same of some: { anything => its id }, as enqueue() returns them.

=item $node->job_state($id)

=item $node->wait_job_state($id, $state, $timeout)

Waits until it is that, 20 s unless it is said.

=item $node->wait_job_end($id, $timeout)

Waits until it neither waits nor runs; returns its state.

=item $node->job_ends_as($id, $state, $name)

A test: that is its state in the end.  If not, its history is told.

=cut

sub wait_drained
{
	my ($self, $timeout) = @_;

	return $self->wait_until('the outbox is not empty',
		$timeout,
		sub { $self->sql('SELECT count(*) FROM roleferry.outbox') eq '0' });
}

sub states
{
	my ($self) = @_;

	return {
		map { split /\|/ } split /\n/,
		$self->sql(
			'SELECT state, count(*) FROM roleferry.jobs GROUP BY state')
	};
}

sub states_of
{
	my ($self, $jobs) = @_;
	my $ids = join ',', values %$jobs;

	return {
		map { split /\|/ } split /\n/,
		$self->sql(
			"SELECT state, count(*) FROM roleferry.jobs WHERE id IN ($ids) GROUP BY state"
		)
	};
}

sub job_state
{
	my ($self, $id) = @_;

	return $self->sql("SELECT state FROM roleferry.jobs WHERE id = $id");
}

sub wait_job_state
{
	my ($self, $id, $state, $timeout) = @_;

	return $self->wait_until(
		"job $id is not $state",
		$timeout || 20,
		sub { $self->job_state($id) eq $state });
}

sub wait_job_end
{
	my ($self, $id, $timeout) = @_;

	return $self->wait_until(
		"job $id does not end",
		$timeout || 20,
		sub {
			my $state = $self->job_state($id);

			return $state =~ /waiting|running/ ? undef : $state;
		});
}

sub job_ends_as
{
	my ($self, $id, $state, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($self->wait_job_end($id), $state, $name)
	  || diag(
		$self->sql(
			"SELECT event, account, outcome, detail FROM roleferry.job_report($id)"
		));
}

=pod

=item $node->dispatcher_pid($database)

The dispatcher of a database, by default "postgres", or undef.

=item $node->wait_dispatcher($timeout, $not, $database)

Waits for a dispatcher other than the process $not; returns its pid.

=item $node->activity($type, $database)

What a worker's line of pg_stat_activity says, or an empty string: "roleferry
launcher", or "roleferry dispatcher" of a database.

=item $node->wait_activity($pattern, $type, $database)

Waits until that matches; by default of the dispatcher of "postgres".

=cut

sub dispatcher_pid
{
	my ($self, $database) = @_;
	my $pid = $self->sql(
		sprintf q{
SELECT pid FROM pg_stat_activity
WHERE backend_type = '%s' AND datname = '%s'}, DISPATCHER,
		$database || 'postgres');

	return $pid eq '' ? undef : $pid;
}

sub activity
{
	my ($self, $type, $database) = @_;

	return $self->sql(
		sprintf q{
SELECT query FROM pg_stat_activity WHERE backend_type = '%s' AND coalesce(datname = '%s', true)},
		$type || DISPATCHER, $database || 'postgres');
}

sub wait_activity
{
	my ($self, $pattern, $type, $database) = @_;

	return $self->wait_until("activity is not $pattern",
		20, sub { $self->activity($type, $database) =~ $pattern });
}

sub wait_dispatcher
{
	my ($self, $timeout, $not, $database) = @_;

	return $self->wait_until(
		'there is no dispatcher',
		$timeout,
		sub {
			my $pid = $self->dispatcher_pid($database);

			return defined $pid && $pid != ($not || 0) ? $pid : undef;
		});
}

=pod

=item $node->wait_turn($database)

Waits until the dispatcher of a database has gone through a whole turn that
began after this call: had it been willing to send anything, it would have.
Returns what pg_stat_activity says about it then.

=cut

sub wait_turn
{
	my ($self, $database) = @_;
	my $dispatcher = sprintf q{
FROM pg_stat_activity WHERE backend_type = '%s' AND datname = '%s' AND query <> ''},
	  DISPATCHER, $database || 'postgres';
	my $last;

	# The turn that ends first may have begun before.
	foreach my $turn (1 .. 2)
	{
		my $now = $self->sql('SELECT clock_timestamp()');

		$self->safe_psql($database || 'postgres', 'SELECT roleferry.wake()');
		$last = $self->wait_until(
			'the dispatcher makes no turn',
			30,
			sub {
				$self->sql(
					"SELECT query $dispatcher AND state = 'idle' AND state_change > '$now'"
				);
			});
	}
	return $last;
}

=pod

=item $node->kill_process($pid)

SIGKILL to a process of the server, which makes the server restart. Follow it
with crash_wait.

=item $node->fault($point, $action, $skip, $count)

The fault point acts ("error", "kill", "segv", "stop" or "sleep") after being
passed $skip times, $count times. A restart of the server forgets it. Where the
action is "kill" or "segv", follow with crash_wait.

=item $node->crash_wait

Waits for the end of the crash restart that the last kill_process or fault caused.

=cut

sub kill_process
{
	my ($self, $pid) = @_;

	croak "no process to kill" unless $pid;
	$self->remember_log_end;
	kill 'KILL', $pid or croak "could not kill process $pid: $!";
	return;
}

sub fault
{
	my ($self, $point, $action, $skip, $count) = @_;

	$self->remember_log_end if $action =~ /^(kill|segv)$/;
	$self->sql(
		sprintf 'SELECT public.regress_fault(%s, %s, %d, %d)',
		quote_literal($point),
		quote_literal($action),
		$skip || 0,
		defined $count ? $count : 1);
	return;
}

sub remember_log_end
{
	my ($self) = @_;

	$self->{rf_log_end} = -s $self->logfile;
	return;
}

sub crash_wait
{
	my ($self) = @_;

	croak 'nothing was killed' unless defined $self->{rf_log_end};
	$self->wait_for_log(
		qr/all server processes terminated; reinitializing.*database system is ready to accept connections/s,
		delete $self->{rf_log_end});
	return;
}

=pod

=item $node->accepted

How often the simulator accepted each mail, over both providers, by its "n".

=item $node->assert_invariants($name, %options)

One test for what must hold at any moment: no mail is accepted twice, none of a
transaction that rolled back, every committed one still exists, and the
recorded states contradict no provider. Counts only what enqueue() of this node
enqueued. Option at_least_once => 1: being accepted twice is no fault.

=cut

sub accepted
{
	my ($self) = @_;

	return { $self->simulator->accepted_by_arg('n') };
}

sub assert_invariants
{
	my ($self, $name, %options) = @_;
	my @faults = $self->list_violations(%options);
	my $good = !@faults;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($good,
		$name || 'nothing is lost, sent twice or sent without a commit');
	# script/lib/run_tap gives a test that says this no second try.
	diag('A PROMISE IS BROKEN') unless $good;
	diag($_) foreach splice @faults, 0, 10;
	return $good;
}

# The simulator is asked before the database and, for what the database calls
# sent, after it: in between, mails may go on.
sub list_violations
{
	my ($self, %options) = @_;
	my $before = $self->accepted;
	my %state = map { split /\|/ } split /\n/,
	  $self->sql('SELECT id, state FROM roleferry.jobs');
	my $after = $self->accepted;
	my @faults;

	foreach my $n (sort { $a <=> $b } keys %$after)
	{
		push @faults, "mail $n was accepted $after->{$n} times"
		  if $after->{$n} > 1 && !$options{at_least_once};
		push @faults, "mail $n was accepted and not committed"
		  unless exists $self->{rf_committed}{$n};
	}
	foreach my $n (sort { $a <=> $b } keys %{ $self->{rf_committed} })
	{
		my $id = $self->{rf_committed}{$n};
		my $state = $state{$id};

		push @faults, "mail $n (job $id) is lost" unless defined $state;
		next unless defined $state;
		push @faults, "mail $n (job $id) is sent, and no provider has it"
		  if $state eq 'sent' && !$after->{$n};
		push @faults, "mail $n (job $id) was accepted and is $state"
		  if $before->{$n}
		  && $state !~ /^(sent|running|unknown)$/
		  && !$options{at_least_once};
	}
	return @faults;
}

=pod

=back

=cut

# Whatever a test did, the simulator ends with its node.
sub teardown_node
{
	my ($self, %params) = @_;
	my $simulator = delete $self->{rf_simulator};

	$simulator->stop if $simulator;
	return $self->SUPER::teardown_node(%params);
}

1;

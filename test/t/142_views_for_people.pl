
# Copyright (c) 2026, roleferry authors

# What people look at: the page of report() in a real browser, dashboards whose
# queries run and whose metrics exist.

use strict;
use warnings;

use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('people');
my $directory = $node->basedir;

$simulator->rule({ provider => 'sendgrid', name => 'bad', count => 2, action => { status => 400 } });
$node->enqueue(2, accounts => ['sendgrid']);
$node->wait_drained(30);
$node->enqueue(40);
$node->wait_drained(30);
$node->sql(q{SELECT roleferry.force_circuit('mailgun', 'open', '<b>"bold" & odd</b>')});
$node->wait_until('the change', 20, sub { $node->sql('SELECT count(*) FROM roleferry.circuit_event') > 0 });

# The page: by itself, then in a browser.
my $page = $node->sql('SELECT roleferry.report()');
like($page, qr/\A<!DOCTYPE html>.*<\/html>\z/s, 'report() is a page');
like($page, qr/Mails sent: 40</, 'it counts what was sent');
like($page, qr/Jobs that ended as failed: 2</, 'and what was not');
is(() = $page =~ /<rect /g, () = $page =~ /<rect [^>]*><title>[^<]*: [1-9]\d*<\/title><\/rect>/g, 'each bar says when and how many');
like($page, qr/&lt;b&gt;&quot;bold&quot; &amp; odd&lt;\/b&gt;/, 'texts are texts');
unlike($page, qr/\@example\.net|(?:src|href)=|<script/, 'no recipient, no other file, no script is in it');
isnt($node->psql('postgres', 'SET ROLE app; SELECT roleferry.report()'), 0, 'a sender may not have it');
$node->sql(q{CREATE ROLE looker; SELECT roleferry.grant_access('looker', 'reader')});
like($node->sql('SET ROLE looker; SELECT roleferry.report(1)'), qr/the last 1 hours/, 'a reader may');
my ($status, undef, $error) = $node->psql('postgres', 'SELECT roleferry.report(0)');
like($error, qr/invalid value for "hours": 0/, 'no hours are none');

SKIP:
{
	my ($browser) = grep { system("command -v $_ >/dev/null 2>&1") == 0 } qw(chromium chromium-browser google-chrome);
	skip 'no chromium is installed', 2 unless $browser;
	my $file = "$directory/report.html";
	my $picture = "$directory/report.png";
	open(my $out, '>:raw', $file) or die $!;
	print $out $page;
	close $out;
	my $log = `timeout 60 $browser --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --enable-logging=stderr --user-data-dir=$directory/browser --window-size=1000,1400 --screenshot=$picture file://$file 2>&1`;
	unlike($log, qr/CONSOLE/, 'a browser has nothing to complain of');
	ok(-s $picture && -s $picture > 20_000, 'and shows more than a blank page');
}

# Dashboards: valid, and only of what there is.
sub read_json
{
	my ($name) = @_;

	return JSON::PP->new->decode(slurp_file("dashboard/$name.json"));
}

my @failed;
for my $panel (@{ read_json('grafana-postgresql')->{panels} })
{
	my $query = $panel->{targets}[0]{rawSql};
	$query =~ s/\$__timeFilter\((\w+)\)/$1 BETWEEN now() - interval '1 hour' AND now()/g;
	push @failed, $panel->{title} if $node->psql('postgres', "SET ROLE looker; $query") != 0;
}
is("@failed", '', 'a reader can run every query of the Grafana dashboard');

my $metrics = $node->sql('SELECT roleferry.metrics()');
my %unknown;
for my $panel (@{ read_json('grafana-prometheus')->{panels} })
{
	for my $target (@{ $panel->{targets} })
	{
		for my $name ($target->{expr} =~ /\b(roleferry_\w+)/g)
		{
			my $family = $name =~ s/_(bucket|sum|count)\z//r;
			$unknown{$name} = 1 unless $metrics =~ /^# TYPE (\Q$name\E|\Q$family\E) /m;
		}
	}
}
is(join(' ', sort keys %unknown), '', 'every metric of the Prometheus dashboard exists');

my $documented = slurp_file('doc/monitoring.md');
%unknown = ();
for my $file (qw(datadog datadog-monitors))
{
	my $text = JSON::PP->new->canonical->encode(read_json($file));
	for my $name ($text =~ /\b(roleferry\.[a-z_.]*[a-z])\{/g)
	{
		my $known = $name =~ s/\.95percentile\z//r;
		$known =~ s/\Aroleferry\.(email\.)?(sendgrid|mailgun|apollo|neverbounce|hunter)\./roleferry.@{[ $1 || '' ]}<provider>./;
		$unknown{$name} = 1 unless $documented =~ /`\Q$known\E`/;
	}
}
is(join(' ', sort keys %unknown), '', 'every metric of the Datadog dashboard is documented');

$node->stop;
done_testing();

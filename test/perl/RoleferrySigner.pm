
=pod

=head1 NAME

RoleferrySigner - signs webhooks as providers do

=head1 SYNOPSIS

  my $signer = RoleferrySigner->new($directory);
  my $headers = $signer->stripe($body, 'whsec_...');

=head1 DESCRIPTION

Headers are returned as the text of a JSON object. The key for SendGrid's
signatures is made by openssl in the directory.

=cut

package RoleferrySigner;

use strict;
use warnings;

use Carp;
use Digest::SHA  qw(hmac_sha256_hex);
use JSON::PP     ();
use MIME::Base64 qw(encode_base64);

=pod

=head1 METHODS

=over

=item RoleferrySigner->new($directory)

=item $signer->public_key

What SendGrid would show.

=cut

sub new
{
	my ($class, $directory) = @_;
	my $self = bless { directory => $directory }, $class;

	mkdir $directory or croak "could not create \"$directory\": $!";
	$self->openssl(
		qw(genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out),
		"$directory/key");
	return $self;
}

sub public_key
{
	my ($self) = @_;

	return encode_base64(
		$self->openssl(
			'pkey', '-in',
			"$self->{directory}/key", '-pubout',
			'-outform', 'DER'),
		'');
}

sub openssl
{
	my ($self, @arguments) = @_;
	my $output;

	open my $pipe, '-|', 'openssl', @arguments
	  or croak "could not run openssl: $!";
	binmode $pipe;
	{ local $/; $output = <$pipe>; }
	close $pipe or croak "openssl @arguments failed";
	return $output;
}

=pod

=item $signer->stripe($body, $secret, $seconds)

Headers, signed so many seconds from now.

=item $signer->sendgrid($body, $seconds)

=item $signer->mailgun($secret, $token, $event)

A body around the event.

=back

=cut

sub stripe
{
	my ($self, $body, $secret, $seconds) = @_;
	my $time = time + ($seconds || 0);

	return JSON::PP->new->encode(
		{
			'Stripe-Signature' => "t=$time,v1="
			  . hmac_sha256_hex("$time.$body", $secret)
		});
}

sub sendgrid
{
	my ($self, $body, $seconds) = @_;
	my $time = time + ($seconds || 0);
	my $file = "$self->{directory}/message";

	open my $handle, '>:raw', $file or croak "could not create \"$file\": $!";
	print $handle $time, $body;
	close $handle or croak "could not write \"$file\": $!";
	return JSON::PP->new->encode(
		{
			'X-Twilio-Email-Event-Webhook-Timestamp' => "$time",
			'X-Twilio-Email-Event-Webhook-Signature' => encode_base64(
				$self->openssl(
					'dgst', '-sha256',
					'-sign', "$self->{directory}/key",
					$file),
				'')
		});
}

sub mailgun
{
	my ($self, $secret, $token, $event) = @_;
	my $time = time;

	return
	  sprintf
	  '{"signature": {"timestamp": "%s", "token": "%s", "signature": "%s"}, "event-data": %s}',
	  $time, $token, hmac_sha256_hex("$time$token", $secret), $event;
}

1;

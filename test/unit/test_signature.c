/* Signatures of webhooks, with keys made here: what is signed, when, and by whom. */
#include "signing.h"

#define NOW			INT64_C(1700000000)
#define BODY		"[{\"event\":\"delivered\"}]"

static RfSignStatus
read_signed(RfScheme scheme, const RfSignHeaders *headers, const char *body, RfSigned *what)
{
	return rf_signed_read(scheme, headers, text_of(body), what);
}

static bool
accepts(const char *secret, RfScheme scheme, const RfSignHeaders *headers, const char *body)
{
	RfSigned	what;
	RfKey	   *key = rf_key_make(scheme, secret, strlen(secret));
	bool		good = key != NULL && read_signed(scheme, headers, body, &what) == RF_SIGN_OK &&
		rf_key_verifies(key, &what);

	rf_key_free(key);
	return good;
}

static RfSignStatus
status_of(RfScheme scheme, const char *name, const char *value)
{
	RfSignHeaders headers = {0};
	RfSigned	what;

	if (name != NULL)
		add_header(&headers, name, value);
	return read_signed(scheme, &headers, BODY, &what);
}

/* Every @ of the format is the signature. */
static void
fill(char *out, size_t size, const char *format, const char *signature)
{
	size_t		len = 0;

	for (; *format != '\0' && len + strlen(signature) + 1 < size; format++)
	{
		if (*format == '@')
			len += (size_t) snprintf(out + len, size - len, "%s", signature);
		else
			out[len++] = *format;
	}
	out[len] = '\0';
}

static bool
stripe(const char *format, const char *secret)
{
	RfSignHeaders headers = {0};
	char		mac[65];
	char		value[RF_SIGN_HEADER_MAX + 100];

	hmac_hex(secret, "1700000000." BODY, mac);
	fill(value, sizeof(value), format, mac);
	add_header(&headers, "STRIPE-signature", value);
	return accepts("whsec_test", RF_SCHEME_STRIPE, &headers, BODY);
}

static void
test_stripe(void)
{
	char		many[2000] = "t=1700000000";
	RfSignHeaders headers = {0};
	RfSigned	what;

	ok(stripe("t=1700000000,v1=@", "whsec_test"), "stripe: a signature with the whole secret is good");
	ok(!stripe("t=1700000000,v1=@", "test"), "its prefix is part of the key");
	ok(stripe("t=1700000000,v1=00,v1=@,v0=@", "whsec_test"), "others beside it do no harm");
	ok(stripe("v1=@,t=1700000000", "whsec_test"), "the order does not matter");
	ok(!stripe("t=1700000000,v0=@", "whsec_test"), "another scheme is no signature");
	ok(!stripe("t=1700000000,t=1700000000,v1=@", "whsec_test"), "two timestamps are none");
	ok(!stripe("t=01700000000,v1=@", "whsec_test"), "a timestamp has one spelling");
	ok(!stripe("t=+1700000000,v1=@", "whsec_test") && !stripe("t=1700000000.0,v1=@", "whsec_test"), "in digits");
	ok(!stripe("t=1700000001,v1=@", "whsec_test"), "and is signed");
	ok(!stripe("t=1700000000, v1=@", "whsec_test"), "there are no spaces");
	ok(status_of(RF_SCHEME_STRIPE, NULL, NULL) == RF_SIGN_MISSING, "no header is no signature");
	ok(status_of(RF_SCHEME_STRIPE, "stripe-signature", "") == RF_SIGN_MISSING, "nor is an empty one");
	for (int i = 0; i <= RF_SIGNATURES_MAX; i++)
		strcat(many, ",v1=0000000000000000000000000000000000000000000000000000000000000000");
	ok(status_of(RF_SCHEME_STRIPE, "stripe-signature", many) == RF_SIGN_TOO_MANY, "seventeen signatures are too many");
	add_header(&headers, "Stripe-Signature", "t=1,v1=");
	add_header(&headers, "stripe-signature", "t=1,v1=");
	ok(read_signed(RF_SCHEME_STRIPE, &headers, BODY, &what) == RF_SIGN_MALFORMED, "a header that came twice is malformed");
}

static bool
sendgrid(const EcKey *key, const char *timestamp, const char *signed_text, const char *body)
{
	RfSignHeaders headers = {0};
	char		signature[200];

	ecdsa_base64(key, signed_text, "SHA256", signature);
	add_header(&headers, "X-Twilio-Email-Event-Webhook-Signature", signature);
	add_header(&headers, "X-Twilio-Email-Event-Webhook-Timestamp", timestamp);
	return accepts(key->public, RF_SCHEME_SENDGRID, &headers, body);
}

static void
test_sendgrid(void)
{
	EcKey		key = make_ec_key("prime256v1");
	EcKey		secp = make_ec_key("secp256k1");
	EcKey		p384 = make_ec_key("secp384r1");
	char		text[2000];

	ok(sendgrid(&key, "1700000000", "1700000000" BODY, BODY), "sendgrid: a signature over timestamp and body is good");
	ok(!sendgrid(&key, "1700000000", "1700000000" BODY "\r\n", BODY), "every byte of the body counts");
	ok(!sendgrid(&key, "170000000", "1700000000" BODY, "0" BODY), "no digit moves over to the body");
	ok(!sendgrid(&key, "1700000000[", "1700000000" BODY, BODY + 1), "nor a byte to the timestamp");
	ok(!sendgrid(&secp, "1700000000", "1700000000" BODY, BODY) && !sendgrid(&p384, "1700000000", "1700000000" BODY, BODY),
	   "a key on another curve is none");
	snprintf(text, sizeof(text), "%s=", key.public);
	ok(rf_key_make(RF_SCHEME_SENDGRID, text, strlen(text)) == NULL, "nor is one with something behind it");
	ok(rf_key_make(RF_SCHEME_SENDGRID, key.public, strlen(key.public) - 4) == NULL, "nor one cut short");
	test_der(&key);
	free_ec_key(&key);
	free_ec_key(&secp);
	free_ec_key(&p384);
}

static bool
mailgun(const char *format, const char *signed_text)
{
	RfSignHeaders headers = {0};
	char		mac[65];
	char		body[1000];

	hmac_hex("signing-key", signed_text, mac);
	fill(body, sizeof(body), format, mac);
	return accepts("signing-key", RF_SCHEME_MAILGUN, &headers, body);
}

static void
test_mailgun(void)
{
	ok(mailgun("{\"signature\":{\"timestamp\":\"1700000000\",\"token\":\"abc\",\"signature\":\"@\"}}", "1700000000abc"),
	   "mailgun: a signature over timestamp and token is good");
	ok(mailgun("{\"signature\":{\"timestamp\":1700000000,\"token\":\"abc\",\"signature\":\"@\"}}", "1700000000abc"),
	   "the timestamp may be a number");
	ok(!mailgun("{\"signature\":{\"timestamp\":1700000000.0,\"token\":\"abc\",\"signature\":\"@\"}}", "1700000000abc"),
	   "a whole one");
	ok(!mailgun("{\"signature\":{\"timestamp\":\"1700000000\",\"token\":\"abd\",\"signature\":\"@\"}}", "1700000000abc"),
	   "the token is signed");
	ok(!mailgun("{\"signature\":{\"timestamp\":\"1700000000\",\"token\":\"\",\"signature\":\"@\"}}", "1700000000"),
	   "and must be there");
	ok(!mailgun("{\"signature\":{\"timestamp\":\"1700000000\",\"token\":\"abc\",\"signature\":\"@\"},\"signature\":{}}", "1700000000abc"),
	   "a member that is there twice is malformed");
	ok(!mailgun("{\"signature\":{\"timestamp\":\"1700000000\",\"token\":\"abc\",\"signature\":\"@\"}} x", "1700000000abc"),
	   "so is what follows the body");
}

static bool
standard(const char *id, const char *secret, const char *signatures)
{
	RfSignHeaders headers = {0};
	char		mac[100];
	char		value[1000];

	hmac_base64("0123456789abcdef01234567", "msg_1.1700000000." BODY, mac);
	fill(value, sizeof(value), signatures, mac);
	add_header(&headers, "webhook-id", id);
	add_header(&headers, "webhook-timestamp", "1700000000");
	add_header(&headers, "webhook-signature", value);
	return accepts(secret, RF_SCHEME_STANDARD, &headers, BODY);
}

static void
test_standard(void)
{
	const char *secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

	ok(standard("msg_1", secret, "v1,@"), "standard: a signature with the decoded secret is good");
	ok(standard("msg_1", secret + 6, "v1,@"), "with or without its prefix");
	ok(standard("msg_1", secret, "v2,x v1,AAAA v1,@"), "others beside it do no harm");
	ok(!standard("msg_2", secret, "v1,@"), "the id is signed");
	ok(!standard("msg_1.1700000000", secret, "v1,@"), "and has no dot");
	ok(!standard("msg_1", secret, "v1a,@"), "an HMAC is no ed25519 signature");
	ok(!standard("msg_1", "whsec_", "v1,@") && !standard("msg_1", "", "v1,@"), "an empty secret is none");
	ok(!standard("msg_1", "whsk_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "v1,@"), "nor is a private key");
	ok(!standard("msg_1", "whpk_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "v1,@"), "nor a public key of another length");
}

static void
test_none(void)
{
	RfSignHeaders headers = {0};
	RfSignHeaders bearer = {0};

	add_header(&headers, "X-Roleferry-Token", "hunter2hunter2");
	add_header(&bearer, "authorization", "Bearer hunter2hunter2");
	ok(accepts("hunter2hunter2", RF_SCHEME_NONE, &headers, "{}"), "none: whoever knows the secret is let in");
	ok(accepts("hunter2hunter2", RF_SCHEME_NONE, &bearer, "{}"), "also as a bearer");
	ok(!accepts("hunter2hunter", RF_SCHEME_NONE, &headers, "{}"), "and nobody else");
	ok(!accepts("", RF_SCHEME_NONE, &headers, "{}"), "without a secret, nobody at all");
	ok(status_of(RF_SCHEME_NONE, "authorization", "Basic abc") == RF_SIGN_MALFORMED, "another authorization is none");
	ok(status_of(RF_SCHEME_NONE, NULL, NULL) == RF_SIGN_MISSING, "nor is none");
}

static bool
in_time(int64_t age_s, int64_t tolerance_s, RfSignStatus expected)
{
	RfSigned	what;

	what.at_s = NOW;
	return rf_signed_in_time(&what, (NOW + age_s) * INT64_C(1000000), tolerance_s * INT64_C(1000000)) == expected;
}

static void
test_time(void)
{
	ok(in_time(0, 300, RF_SIGN_OK) && in_time(300, 300, RF_SIGN_OK), "an age up to the tolerance is good");
	ok(in_time(301, 300, RF_SIGN_STALE), "a higher one is not");
	ok(in_time(-300, 300, RF_SIGN_OK) && in_time(-301, 300, RF_SIGN_FUTURE), "the future is judged likewise");
	ok(in_time(-301, 86400, RF_SIGN_FUTURE), "and is never more than five minutes away");
	ok(in_time(-11, 10, RF_SIGN_FUTURE), "nor more than the tolerance");
}

int
main(void)
{
	RfScheme	scheme;

	test_stripe();
	test_sendgrid();
	test_mailgun();
	test_standard();
	test_none();
	test_time();
	for (int i = 0; i < RF_SCHEMES; i++)
	{
		const char *name = rf_scheme_text((RfScheme) i);

		ok(rf_scheme_parse(name, strlen(name), &scheme) && (int) scheme == i && rf_scheme_tolerance_s(scheme) > 0,
		   "%s is a scheme with a tolerance", name);
	}
	ok(!rf_scheme_parse("strip", 5, &scheme) && !rf_scheme_parse("", 0, &scheme), "anything else is none");
	for (int i = 0; i <= (int) RF_SIGN_MISMATCH; i++)
		ok(rf_sign_status_text((RfSignStatus) i)[0] != '\0', "status %d has its words", i);
	ok(ERR_peek_error() == 0, "nothing is left in OpenSSL's queue");
	return done_testing();
}

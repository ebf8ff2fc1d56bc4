/* Checks of a mail: what passes, and which field each refusal names. */
#include <stdio.h>
#include <stdlib.h>

#include "mail.h"
#include "provider/email.h"
#include "tap.h"

/* Expected: "field: problem", or "" when the mail is good. */
static void
check(const RfEmail *email, const char *expected)
{
	RfFieldError error;
	char		got[RF_FIELD_MAX + RF_PROBLEM_MAX + 2] = "";

	if (!rf_email_check(email, &error))
		snprintf(got, sizeof(got), "%s: %s", error.field, error.problem);
	is_text(got, expected, expected[0] != '\0' ? expected : "a good mail passes");
}

#define CHECK_WITH(member, value, expected) \
	do { \
		RfEmail		mail = plain_mail(); \
		mail.member = value; \
		check(&mail, expected); \
	} while (0)

static void
test_addresses(void)
{
	char		name[300];

	CHECK_WITH(from_addr, span("ann@example.com"), "");
	CHECK_WITH(from_addr, span(NULL), "from_addr: is empty");
	CHECK_WITH(from_addr, span("a@example.com, b@example.com"), "from_addr: holds more than one address");
	CHECK_WITH(from_addr, span("A\xff <a@example.com>"), "from_addr: is not valid UTF-8");
	CHECK_WITH(to_addr, span("  "), "to_addr: is empty");
	CHECK_WITH(to_addr, span("b@example.org\r\nBcc: c@example.org"), "to_addr: holds a control character");
	CHECK_WITH(to_addr, span("bob"), "to_addr: is not one e-mail address");
	CHECK_WITH(to_addr, span("b\xc3\xb6" "b@example.org"), "to_addr: holds a non-ASCII character in the address");
	CHECK_WITH(to_addr, span("B\xc3\xb6" "b <bob@example.org>"), "");
	CHECK_WITH(reply_to, span("Desk <desk@example.com>"), "");
	CHECK_WITH(reply_to, span(""), "reply_to: is empty");
	CHECK_WITH(reply_to, span("a@example.com;b@example.com"), "reply_to: holds more than one address");

	memset(name, 'n', 256);
	strcpy(name + 255, " <a@example.com>");
	CHECK_WITH(from_addr, span(name), "");
	memset(name, 'n', 256);
	strcpy(name + 256, " <a@example.com>");
	CHECK_WITH(from_addr, span(name), "from_addr: holds a name that is too long");
}

static void
test_recipients(void)
{
	RfEmail		email = plain_mail();
	RfText		cc[3] = {span("c1@example.org"), span("C2 <c2@example.org>"), span("c3@example.org")};
	RfText		bcc[2] = {span("b1@example.org"), span("b2@example.org")};
	RfText	   *many = calloc(1000, sizeof(RfText));
	char	   *texts = calloc(1000, 32);

	email.cc = cc;
	email.ncc = 3;
	email.bcc = bcc;
	email.nbcc = 2;
	check(&email, "");
	cc[1] = span("nobody");
	check(&email, "cc[2]: is not one e-mail address");
	cc[1] = span("c2@example.org, c4@example.org");
	check(&email, "cc[2]: holds more than one address");
	cc[1] = span("\"Bob\" <BOB@example.org>");
	check(&email, "cc[2]: is a recipient already");
	cc[1] = span("c2@example.org");
	bcc[0] = span("C3@EXAMPLE.ORG");
	check(&email, "bcc[1]: is a recipient already");
	bcc[0] = span(NULL);
	check(&email, "bcc[1]: is empty");
	bcc[0] = span("b2@example.org");
	check(&email, "bcc[2]: is a recipient already");

	for (int i = 0; i < 1000; i++)
	{
		snprintf(texts + i * 32, 32, "r%d@example.org", i);
		many[i] = span(texts + i * 32);
	}
	email = plain_mail();
	email.cc = many;
	email.ncc = 500;
	email.bcc = many + 500;
	email.nbcc = 499;
	check(&email, "");
	email.nbcc = 500;
	check(&email, "bcc: holds too many recipients");
	email.ncc = SIZE_MAX;
	check(&email, "cc: holds too many recipients");
	free(many);
	free(texts);
}

static void
test_subject_and_bodies(void)
{
	char		subject[1000];
	RfEmail		email;

	CHECK_WITH(subject, span(NULL), "subject: is empty");
	CHECK_WITH(subject, span(" \xe2\x82\xac "), "");
	CHECK_WITH(subject, span("   "), "subject: is empty");
	CHECK_WITH(subject, span("a\r\nBcc: b@example.com"), "subject: holds a control character");
	CHECK_WITH(subject, span("caf\xe9"), "subject: is not valid UTF-8");
	memset(subject, 's', sizeof(subject));
	subject[998] = '\0';
	CHECK_WITH(subject, span(subject), "");
	subject[998] = 's';
	subject[999] = '\0';
	CHECK_WITH(subject, span(subject), "subject: is too long");

	CHECK_WITH(body_html, span("line\r\n\tline \x01"), "");
	CHECK_WITH(body_html, span("caf\xe9"), "body_html: is not valid UTF-8");
	CHECK_WITH(body_text, span("caf\xe9"), "body_text: is not valid UTF-8");
	CHECK_WITH(body_html, span(NULL), "body_html: is empty");
	CHECK_WITH(body_html, span(""), "body_html: is empty");
	email = plain_mail();
	email.body_html.data = "a\0b";
	email.body_html.len = 3;
	check(&email, "body_html: holds a NUL byte");
	email.body_html = span(NULL);
	email.body_text = span("");
	check(&email, "body_text: is empty");
	email.body_text = span("text");
	check(&email, "");
	email.body_html = span("");
	check(&email, "");
}

static void
check_arg(const char *name, const char *value, const char *expected)
{
	RfPair		args[2] = {pair("campaign", "q3"), pair(name, value)};
	RfEmail		email = plain_mail();

	email.custom_args = args;
	email.ncustom_args = 2;
	check(&email, expected);
}

static void
test_custom_args(void)
{
	char	   *value = calloc(1, 11000);
	size_t		room;

	check_arg("lead", "42", "");
	check_arg("lead", "", "");
	check_arg("", "42", "custom_args: holds an empty name");
	check_arg("a\nb", "42", "custom_args: holds a control character");
	check_arg("lead", "4\n2", "custom_args: holds a control character");
	check_arg("lead", "caf\xe9", "custom_args: is not valid UTF-8");
	check_arg("campaign", "q4", "custom_args: holds twice the name \"campaign\"");
	check_arg("Campaign", "q4", "");
	check_arg("rf_job", "1", "custom_args: holds the reserved name \"rf_job\"");
	check_arg("RF_x", "1", "custom_args: holds the reserved name \"RF_x\"");
	check_arg("event", "1", "custom_args: holds the reserved name \"event\"");
	check_arg("EMAIL", "1", "custom_args: holds the reserved name \"EMAIL\"");
	check_arg("smtp-id", "1", "custom_args: holds the reserved name \"smtp-id\"");
	check_arg("sg_message_id", "1", "custom_args: holds the reserved name \"sg_message_id\"");
	check_arg("events", "1", "");

	/* {"campaign":"q3","lead":"...","rf_job":"(64)"} has to be under 10000. */
	room = 9999 - strlen("{\"campaign\":\"q3\",\"lead\":\"\",\"rf_job\":\"\"}") - 64;
	memset(value, 'v', room);
	check_arg("lead", value, "");
	value[room] = 'v';
	check_arg("lead", value, "custom_args: is too large");
	memset(value, '\0', 11000);
	memset(value, '"', 5000);
	check_arg("lead", value, "custom_args: is too large");
	free(value);
}

static void
check_header(const char *name, const char *value, const char *expected)
{
	RfPair		headers[2] = {pair("X-Campaign", "q3"), pair(name, value)};
	RfEmail		email = plain_mail();

	email.headers = headers;
	email.nheaders = 2;
	check(&email, expected);
}

static void
test_headers(void)
{
	static const char *const reserved[] = {
		"To", "from", "SUBJECT", "Reply-To", "cc", "Bcc", "Date", "Message-ID", "Return-Path",
		"Sender", "Received", "DKIM-Signature", "MIME-Version", "Content-Type",
		"content-transfer-encoding", "X-SG-ID", "x-sg-eid", "X-SMTPAPI", "X-Mailgun-Variables",
	};
	char		expected[100];
	char	   *value = calloc(1, 9000);

	check_header("List-Unsubscribe", "<https://example.com/u>", "");
	check_header("X-Empty", "", "");
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
	{
		snprintf(expected, sizeof(expected), "headers: holds the reserved header \"%s\"", reserved[i]);
		check_header(reserved[i], "x", expected);
	}
	check_header("", "x", "headers: holds a name that is no header name");
	check_header("X Y", "x", "headers: holds a name that is no header name \"X Y\"");
	check_header("X-A: b\r\nX-B", "x", "headers: holds a name that is no header name");
	check_header("a@example.com", "x", "headers: holds a name that is no header name");
	check_header("X-A", "b\r\nBcc: c@example.com", "headers: holds a control character");
	check_header("X-A", "caf\xe9", "headers: is not valid UTF-8");
	check_header("x-campaign", "q4", "headers: holds twice the name \"x-campaign\"");
	memset(value, 'v', RF_HEADERS_MAX_BYTES - strlen("X-Campaignq3X-A"));
	check_header("X-A", value, "");
	check_header("X-AB", value, "headers: is too large");
	free(value);
}

static void
test_tags(void)
{
	RfText		tags[11];
	char		long_tag[130];
	RfEmail		email = plain_mail();
	static const char *const names[11] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"};

	for (int i = 0; i < 11; i++)
		tags[i] = span(names[i]);
	email.tags = tags;
	email.ntags = 10;
	check(&email, "");
	email.ntags = 11;
	check(&email, "tags: holds too many tags");
	email.ntags = 3;
	tags[2] = span("a");
	check(&email, "tags[3]: is there a second time");
	tags[2] = span(" ");
	check(&email, "tags[3]: is empty");
	tags[2] = span("x\ty");
	check(&email, "tags[3]: holds a control character");
	memset(long_tag, 't', sizeof(long_tag));
	long_tag[129] = '\0';
	tags[2] = span(long_tag);
	check(&email, "tags[3]: is too long");
	long_tag[128] = '\0';
	tags[2] = span(long_tag);
	check(&email, "");
}

static void
test_options(void)
{
	CHECK_WITH(provider_options, span("{}"), "");
	CHECK_WITH(provider_options, span("{\"sendgrid\": {\"ip_pool_name\": \"cold\", \"send_at\": 1700000000,"
									  "\"asm\": {\"group_id\": 5}}, \"mailgun\": {\"o:tracking\": false,"
									  "\"o:require-tls\": \"yes\", \"o:sending-ip\": \"192.0.2.1\"}}"), "");
	CHECK_WITH(provider_options, span("[]"), "provider_options: is not a JSON object");
	CHECK_WITH(provider_options, span("{\"sendgrid\": {}"), "provider_options: is not a JSON object");
	CHECK_WITH(provider_options, span("{} {}"), "provider_options: is not a JSON object");
	CHECK_WITH(provider_options, span("{\"sendgrid\": {}, \"sendgrid\": {}}"), "provider_options: is not a JSON object");
	CHECK_WITH(provider_options, span("{\"resend\": {}}"), "provider_options: names an unknown provider \"resend\"");
	CHECK_WITH(provider_options, span("{\"sendgrid\": []}"),
			   "provider_options: does not hold an object for provider \"sendgrid\"");
	CHECK_WITH(provider_options, span("{\"sendgrid\": {\"from\": {}}}"),
			   "provider_options: holds the unknown option \"from\"");
	CHECK_WITH(provider_options, span("{\"mailgun\": {\"to\": \"x@example.com\"}}"),
			   "provider_options: holds the unknown option \"to\"");
	CHECK_WITH(provider_options, span("{\"mailgun\": {\"template\": \"t\"}}"),
			   "provider_options: holds the unknown option \"template\"");
	CHECK_WITH(provider_options, span("{\"sendgrid\": {\"send_at\": \"soon\"}}"),
			   "provider_options: holds a value of the wrong kind for option \"send_at\"");
	CHECK_WITH(provider_options, span("{\"sendgrid\": {\"asm\": 5}}"),
			   "provider_options: holds a value of the wrong kind for option \"asm\"");
	CHECK_WITH(provider_options, span("{\"mailgun\": {\"o:tracking\": \"maybe\"}}"),
			   "provider_options: holds a value of the wrong kind for option \"o:tracking\"");
	CHECK_WITH(provider_options, span("{\"mailgun\": {\"o:archive-to\": \"a\\nb\"}}"),
			   "provider_options: holds a value of the wrong kind for option \"o:archive-to\"");
}

int
main(void)
{
	RfFieldError error;
	RfEmail		email = plain_mail();

	test_addresses();
	test_recipients();
	test_subject_and_bodies();
	test_custom_args();
	test_headers();
	test_tags();
	test_options();

	email.to_addr = span("a@example.com, b@example.com");
	rf_email_check(&email, &error);
	ok(error.hint[0] != '\0' && strchr(error.hint, '@') == NULL, "a hint helps and shows no address");
	email.to_addr = span("b@example.com");
	email.provider_options = span("{\"nobody\": {}}");
	rf_email_check(&email, &error);
	is_text(error.hint, "Providers: sendgrid, mailgun", "the hint lists the providers");
	email.provider_options = span("{\"sendgrid\": {\"x\": 1}}");
	rf_email_check(&email, &error);
	is_text(error.hint, "Options: asm, batch_id, ip_pool_name, mail_settings, send_at, tracking_settings",
			"the hint lists the options");
	return done_testing();
}

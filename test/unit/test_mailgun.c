/* Mailgun: the fields it gets, their size, and what each answer means. */
#include <stdlib.h>

#include "answers.h"
#include "codec/text.h"
#include "mail.h"
#include "provider/provider.h"

static const RfAccountConfig account = {NULL, NULL, "mg.example.com", "key-1", false, NULL};

static const RfProvider *
mailgun(void)
{
	return rf_provider_find("mailgun");
}

/* All fields as lines "name=value". */
static void
is_form(const RfAccountConfig *with, const RfEmail *email,
		const char *expected, const char *what)
{
	RfRequest	request = {0};
	RfBuffer	got = {0};
	size_t		bytes = 0;
	uint64_t	size = mailgun()->mail_size(email);

	rf_buffer_add(&got, "", 0);
	if (!mailgun()->build_email(with, email, &request))
		rf_buffer_add_text(&got, "not built");
	for (size_t i = 0; i < request.nfields; i++)
	{
		rf_buffer_add_text(&got, request.fields[i].name);
		rf_buffer_add_text(&got, "=");
		rf_buffer_add(&got, request.fields[i].value, request.fields[i].value_len);
		rf_buffer_add_text(&got, "\n");
		bytes += strlen(request.fields[i].name) + request.fields[i].value_len;
	}
	is_text(got.data, expected, what);
	ok(size >= bytes && size < bytes + 400 + email->provider_options.len,
	   "its size is foretold: %llu for %zu", (unsigned long long) size, bytes);
	rf_buffer_free(&got);
	rf_request_free(&request);
}

static bool
builds_for_domain(const char *domain)
{
	RfAccountConfig other = account;
	RfEmail		email = plain_mail();
	RfRequest	request = {0};
	bool		built;

	other.domain = domain;
	built = mailgun()->build_email(&other, &email, &request);
	rf_request_free(&request);
	return built;
}

static void
test_request(void)
{
	static const char *const bad[] = {
		NULL, "", "a/b", "a?b", "a#b", "..", ".", "a..b", "%2e", "a b", "a\r\nb", "\xc3\xa9.example", "a@b",
	};
	RfEmail		email = plain_mail();
	RfRequest	request = {0};
	RfAccountConfig other = account;

	ok(mailgun()->build_email(&account, &email, &request), "a plain mail is built");
	is_text(request.url, "https://api.mailgun.net/v3/mg.example.com/messages", "for the US host");
	is_text(request.basic_user, "api", "the user is api");
	is_text(request.basic_password, "key-1", "the password is the key");
	ok(request.body == NULL, "a form has no body of its own");
	rf_request_free(&request);
	other.region = "eu";
	mailgun()->build_email(&other, &email, &request);
	is_text(request.url, "https://api.eu.mailgun.net/v3/mg.example.com/messages", "the EU has its host");
	rf_request_free(&request);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!builds_for_domain(bad[i]), "a domain that is none is refused (%zu)", i);
	email.from_addr = span("nobody");
	ok(!mailgun()->build_email(&account, &email, &request), "an unchecked address is refused");
	rf_request_free(&request);
}

static void
test_fields(void)
{
	RfEmail		email = plain_mail();
	RfAccountConfig sandbox = account;
	RfRequest	request = {0};
	RfText		cc[2] = {span("\"Lee, \\\"Cy\\\" \\\\\" <cy@example.org>"), span("ed@example.org")};
	RfText		bcc[1] = {span("di@example.org")};
	RfText		tags[2] = {span("cold"), span("q3")};
	RfPair		args[1] = {pair("lead", "42")};
	RfPair		headers[2] = {pair("X-Batch", "7"), pair("X-Empty", NULL)};

	is_form(&account, &email,
			"from=\"Ann\" <ann@example.com>\nto=bob@example.org\nsubject=Hello\nhtml=<p>Hello</p>\n"
			"o:suppress-headers=X-Mailgun-Variables,X-Mailgun-Tag\n",
			"the form of a plain mail");
	email.reply_to = span("Desk <desk@example.com>");
	email.body_text = span("Hi\r\n.");
	email.cc = cc;
	email.ncc = 2;
	email.bcc = bcc;
	email.nbcc = 1;
	email.tags = tags;
	email.ntags = 2;
	email.custom_args = args;
	email.ncustom_args = 1;
	email.headers = headers;
	email.nheaders = 2;
	email.rf_job = span("0011.42");
	email.provider_options = span("{\"sendgrid\":{\"send_at\":5},\"mailgun\":{\"o:tracking\":false,"
								  "\"o:dkim\":true,\"o:require-tls\":\"no\",\"o:sending-ip\":\"192.0.2.1\"}}");
	sandbox.sandbox = true;
	is_form(&sandbox, &email,
			"from=\"Ann\" <ann@example.com>\nto=bob@example.org\n"
			"cc=\"Lee, \\\"Cy\\\" \\\\\" <cy@example.org>\ncc=ed@example.org\nbcc=di@example.org\n"
			"subject=Hello\ntext=Hi\r\n.\nhtml=<p>Hello</p>\n"
			"h:Reply-To=\"Desk\" <desk@example.com>\nh:X-Batch=7\nh:X-Empty=\n"
			"o:tag=cold\no:tag=q3\nv:lead=42\nv:rf_job=0011.42\n"
			"o:suppress-headers=X-Mailgun-Variables,X-Mailgun-Tag\no:testmode=yes\n"
			"o:tracking=no\no:dkim=yes\no:require-tls=no\no:sending-ip=192.0.2.1\n",
			"the form of a mail with everything");
	email.provider_options = span("{\"mailgun\":{\"to\":\"x@example.com\"}}");
	ok(!mailgun()->build_email(&account, &email, &request),
	   "an option that was never checked gets nowhere");
	ok(mailgun()->takes_option("o:tracking") && !mailgun()->takes_option("h:To"), "the table is closed");
}

static void
test_size(void)
{
	RfEmail		email = plain_mail();
	char	   *value = malloc(9000);
	RfPair		args[1];
	RfPair		headers[1];

	memset(value, 'v', 9000);
	value[8000] = '\0';
	args[0] = pair("a", value);
	headers[0] = pair("X-B", value);
	email.custom_args = args;
	email.ncustom_args = 1;
	email.headers = headers;
	email.nheaders = 1;
	ok(mailgun()->mail_size(&email) < mailgun()->max_mail_bytes && mailgun()->mail_fits(&email),
	   "16 kB of variables and headers fit");
	args[0] = pair("abcdefghijklmnopqrstuvwxyz", value);
	value[8000] = 'v';
	value[8999] = '\0';
	args[0].value = span(value);
	ok(mailgun()->mail_size(&email) > mailgun()->max_mail_bytes && !mailgun()->mail_fits(&email),
	   "more are over the limit, whatever the bodies");
	free(value);
}

static void
test_classes(void)
{
	const char *mg = "mailgun";

	is_answer(mg, 200, NULL, "{\"id\":\"<a@mg.example.com>\",\"message\":\"Queued. Thank you.\"}", "ok yes");
	is_answer(mg, 200, NULL, "Mailgun Magnificent API", "malformed no wide");
	is_answer(mg, 200, NULL, "Mailgun Magnif", "malformed yes");
	is_answer(mg, 200, NULL, "{\"id\":\"<a@mg.exam", "malformed yes");
	is_answer(mg, 200, NULL, "{\"id\":17}", "malformed yes");
	is_answer(mg, 200, NULL, "{\"id\":\"\"}", "malformed yes");
	is_answer(mg, 200, NULL, "[]", "malformed yes");
	is_answer(mg, 200, NULL, NULL, "malformed yes");
	is_answer(mg, 202, NULL, "{\"id\":\"<a@b>\"}", "ok yes");
	is_answer(mg, 307, NULL, "", "config no wide");
	is_answer(mg, 400, NULL, "{\"message\":\"to parameter is not a valid address\"}", "permanent no");
	is_answer(mg, 401, NULL, "Forbidden", "credential no wide");
	is_answer(mg, 402, NULL, "", "quota no wide");
	is_answer(mg, 403, NULL, "{\"message\":\"Sandbox subdomains are for test purposes only.\"}", "config no");
	is_answer(mg, 403, NULL, "{\"message\":\"Domain x is not allowed to send: disabled\"}", "config no wide");
	is_answer(mg, 404, NULL, "{\"message\":\"Domain not found: x\"}", "config no wide");
	is_answer(mg, 405, NULL, "", "config no wide");
	is_answer(mg, 408, NULL, "", "ambiguous perhaps");
	is_answer(mg, 413, NULL, "", "permanent no");
	is_answer(mg, 429, NULL, "", "throttle no wide");
	is_answer(mg, 500, NULL, "{\"message\":\"Internal Server Error\"}", "ambiguous perhaps");
	is_answer(mg, 502, "Retry-After: 5", "", "ambiguous perhaps");
	is_answer(mg, 503, "Retry-After: 5", "", "throttle no wide");
	is_answer(mg, 503, NULL, "", "ambiguous perhaps");
}

static void
test_details(void)
{
	RfOutcome	outcome;

	outcome = answer("mailgun", 200, NULL, "{\"id\":\"<1.A@mg.example.com>\"}");
	is_text(outcome.message_id, "1.A@mg.example.com", "events have the id without brackets");
	is_text(outcome.raw_message_id, "<1.A@mg.example.com>", "the id is kept as given");
	outcome = answer("mailgun", 200, NULL, "{\"id\":\"1.A@mg.example.com\"}");
	is_text(outcome.message_id, "1.A@mg.example.com", "an id without brackets is whole");
	outcome = answer("mailgun", 200, NULL, "{\"id\":\"<a\\u0007b>\"}");
	ok(outcome.class == RF_OUTCOME_OK && outcome.message_id[0] == '\0', "an id with a control is not kept");

	outcome = answer("mailgun", 401, NULL, "Forbidden");
	is_text(outcome.reason, "Forbidden", "bare text is a reason");
	outcome = answer("mailgun", 400, NULL, "{\"message\":\"'bob@example.org' is not valid\"}");
	is_text(outcome.reason, "<address> is not valid", "a reason shows no address");
	outcome = answer("mailgun", 200, NULL, "{\"no\":1}");
	is_text(outcome.reason, "HTTP status 200", "an answer without words has its status");

	outcome = answer("mailgun", 429, "X-RateLimit-Reset: 1700000060.123",
					 "{\"message\":\"limit exceeded, try again after 120 seconds\"}");
	is_int(outcome.retry_after_s, 120, "the text asks for more than the header");
	outcome = answer("mailgun", 429, "X-RateLimit-Reset: 1700000160.123",
					 "{\"message\":\"limit exceeded, try again after 120 seconds\"}");
	is_int(outcome.retry_after_s, 161, "the header asks for more than the text");
	outcome = answer("mailgun", 429, "Retry-After: 300", "try again after 120 seconds");
	is_int(outcome.retry_after_s, 300, "Retry-After is looked at too");
	outcome = answer("mailgun", 429, NULL, "{\"message\":\"slow down\"}");
	is_int(outcome.retry_after_s, -1, "nothing understood is nothing asked for");
}

int
main(void)
{
	test_request();
	test_fields();
	test_size();
	test_classes();
	test_details();
	return done_testing();
}

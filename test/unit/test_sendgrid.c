/* SendGrid: the request it gets, its size, and what each answer means. */
#include <jansson.h>
#include <stdlib.h>

#include "answers.h"
#include "mail.h"
#include "provider/provider.h"

static const RfAccountConfig account = {NULL, NULL, NULL, "SG.key", false, NULL};

static const RfProvider *
sendgrid(void)
{
	return rf_provider_find("sendgrid");
}

static RfEmail
full_mail(void)
{
	static RfText cc[1];
	static RfText bcc[1];
	static RfText tags[2];
	static RfPair args[1];
	static RfPair headers[1];
	RfEmail		email = plain_mail();

	cc[0] = span("\"Lee; Cy, Jr.\" <cy@example.org>");
	bcc[0] = span("di@example.org");
	tags[0] = span("cold");
	tags[1] = span("q3");
	args[0] = pair("lead", "4\"2");
	headers[0] = pair("X-Batch", "7");
	email.from_addr = span("\"Lee, Ann\" <ann@example.com>");
	email.reply_to = span("Desk <desk@example.com>");
	email.body_text = span("Hello\n\t\x01 \"caf\xc3\xa9\" \\");
	email.cc = cc;
	email.ncc = 1;
	email.bcc = bcc;
	email.nbcc = 1;
	email.tags = tags;
	email.ntags = 2;
	email.custom_args = args;
	email.ncustom_args = 1;
	email.headers = headers;
	email.nheaders = 1;
	email.rf_job = span("00112233445566778899.42");
	return email;
}

/* As this version of jansson prints it: they differ in numbers. */
static char *
print_sorted(const char *data, size_t len)
{
	json_t	   *root = json_loadb(data, len, 0, NULL);
	char	   *printed = root != NULL ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(root);
	return printed;
}

static void
is_body(const RfAccountConfig *with, const RfEmail *email,
		const char *expected, const char *what)
{
	RfRequest	request = {0};
	bool		built = sendgrid()->build_email(with, email, &request);
	char	   *got = built ? print_sorted(request.body, request.body_len) : NULL;
	char	   *wanted = print_sorted(expected, strlen(expected));
	uint64_t	size = sendgrid()->mail_size(email);

	is_text(got, wanted, what);
	ok(size >= request.body_len && size < request.body_len + 700 + email->provider_options.len * 8,
	   "its size is foretold: %llu for %zu", (unsigned long long) size, request.body_len);
	free(got);
	free(wanted);
	rf_request_free(&request);
}

static void
test_request(void)
{
	RfEmail		email = plain_mail();
	RfRequest	request = {0};
	RfAccountConfig other = account;

	ok(sendgrid()->build_email(&account, &email, &request), "a plain mail is built");
	is_text(request.url, "https://api.sendgrid.com/v3/mail/send", "for the US host");
	is_int((int64_t) request.nheaders, 3, "with three headers");
	is_text(request.headers[0], "Authorization: Bearer SG.key", "the key");
	is_text(request.headers[1], "Content-Type: application/json", "the type");
	is_text(request.headers[2], "Accept: application/json", "and what is accepted");
	ok(request.nfields == 0 && request.basic_user == NULL, "and nothing of a form");
	rf_request_free(&request);

	other.region = "eu";
	sendgrid()->build_email(&other, &email, &request);
	is_text(request.url, "https://api.eu.sendgrid.com/v3/mail/send", "the EU has its host");
	rf_request_free(&request);
	other.base_url = "http://127.0.0.1:8080";
	sendgrid()->build_email(&other, &email, &request);
	is_text(request.url, "http://127.0.0.1:8080/v3/mail/send", "a base URL wins over the region");
	rf_request_free(&request);

	other.secret = "bad\r\nkey";
	ok(!sendgrid()->build_email(&other, &email, &request), "a key with a line break is refused");
	rf_request_free(&request);
	email.to_addr = span("nobody");
	ok(!sendgrid()->build_email(&account, &email, &request), "an unchecked address is refused");
	rf_request_free(&request);
	email = plain_mail();
	email.subject = span("caf\xe9");
	ok(!sendgrid()->build_email(&account, &email, &request), "text that is no UTF-8 is refused");
	rf_request_free(&request);
}

/* The limit is asked of what the mail may take at most first: that must not decide. */
static void
test_fits(void)
{
	const size_t most = sendgrid()->max_mail_bytes;
	RfEmail		email = plain_mail();
	char	   *body = malloc(most);

	ok(body != NULL, "room for a large mail");
	ok(sendgrid()->mail_fits(&email), "a small mail fits");
	memset(body, 'a', most);
	email.body_html.data = body;
	email.body_html.len = most - 10000;
	ok(sendgrid()->mail_fits(&email), "so does one that only escapes would make too large");
	email.body_html.len = most;
	ok(!sendgrid()->mail_fits(&email), "one that is too large as it is does not");
	memset(body, '\x01', most);
	email.body_html.len = most / 6 - 10000;
	ok(sendgrid()->mail_fits(&email), "nothing but escapes fit, too");
	email.body_html.len = most / 6;
	ok(!sendgrid()->mail_fits(&email), "until they are too many");
	free(body);
}

static void
test_bodies(void)
{
	RfEmail		email = plain_mail();
	RfAccountConfig sandbox = account;
	RfRequest	request = {0};

	is_body(&account, &email,
			"{\"content\":[{\"type\":\"text/html\",\"value\":\"<p>Hello</p>\"}],\"custom_args\":{},"
			"\"from\":{\"email\":\"ann@example.com\",\"name\":\"Ann\"},"
			"\"personalizations\":[{\"to\":[{\"email\":\"bob@example.org\"}]}],\"subject\":\"Hello\"}",
			"the body of a plain mail");
	email = full_mail();
	is_body(&account, &email,
			"{\"categories\":[\"cold\",\"q3\"],"
			"\"content\":[{\"type\":\"text/plain\",\"value\":\"Hello\\n\\t\\u0001 \\\"caf\xc3\xa9\\\" \\\\\"},"
			"{\"type\":\"text/html\",\"value\":\"<p>Hello</p>\"}],"
			"\"custom_args\":{\"lead\":\"4\\\"2\",\"rf_job\":\"00112233445566778899.42\"},"
			"\"from\":{\"email\":\"ann@example.com\",\"name\":\"Lee, Ann\"},\"headers\":{\"X-Batch\":\"7\"},"
			"\"personalizations\":[{\"bcc\":[{\"email\":\"di@example.org\"}],"
			"\"cc\":[{\"email\":\"cy@example.org\",\"name\":\"Lee  Cy  Jr.\"}],"
			"\"to\":[{\"email\":\"bob@example.org\"}]}],"
			"\"reply_to\":{\"email\":\"desk@example.com\",\"name\":\"Desk\"},\"subject\":\"Hello\"}",
			"the body of a mail with everything");

	email = plain_mail();
	email.body_html = span(NULL);
	email.body_text = span("t");
	email.provider_options = span("{\"mailgun\":{\"o:dkim\":true},\"sendgrid\":{\"send_at\":5,"
								  "\"mail_settings\":{\"footer\":{\"enable\":true},\"sandbox_mode\":{\"enable\":false}},"
								  "\"tracking_settings\":{\"x\":[0.1,0.1,1e300]}}}");
	sandbox.sandbox = true;
	is_body(&sandbox, &email,
			"{\"content\":[{\"type\":\"text/plain\",\"value\":\"t\"}],\"custom_args\":{},"
			"\"from\":{\"email\":\"ann@example.com\",\"name\":\"Ann\"},"
			"\"mail_settings\":{\"footer\":{\"enable\":true},\"sandbox_mode\":{\"enable\":true}},"
			"\"personalizations\":[{\"to\":[{\"email\":\"bob@example.org\"}]}],\"send_at\":5,"
			"\"subject\":\"Hello\",\"tracking_settings\":{\"x\":[0.1,0.1,1e300]}}",
			"options are merged, the account's sandbox wins");
	email.provider_options = span("{\"sendgrid\":{\"personalizations\":[]}}");
	ok(!sendgrid()->build_email(&account, &email, &request),
	   "an option that was never checked gets nowhere");
	ok(sendgrid()->takes_option("asm") && !sendgrid()->takes_option("from"), "the table is closed");
}

static void
test_classes(void)
{
	const char *sg = "sendgrid";

	is_answer(sg, 202, "X-Message-Id: a.b", "", "ok yes");
	is_answer(sg, 202, NULL, NULL, "ok yes");
	is_answer(sg, 200, NULL, "", "ok yes");
	is_answer(sg, 204, NULL, "", "malformed yes");
	is_answer(sg, 302, "Location: https://x/", "", "config no wide");
	is_answer(sg, 400, NULL, "{\"errors\":[{\"message\":\"bad\"}]}", "permanent no");
	is_answer(sg, 401, NULL, "{\"errors\":[{\"message\":\"Maximum credits exceeded\"}]}", "quota no wide");
	is_answer(sg, 401, NULL, "{\"errors\":[{\"message\":\"authenticated user is NOT authorized to send mail\"}]}",
			  "config no wide");
	is_answer(sg, 401, NULL, "{\"errors\":[{\"message\":\"The grant is invalid\"}]}", "credential no wide");
	is_answer(sg, 401, NULL, "<html>", "credential no wide");
	is_answer(sg, 402, NULL, "", "quota no wide");
	is_answer(sg, 403, NULL, "{\"errors\":[{\"message\":\"not a verified Sender Identity\"}]}", "config no");
	is_answer(sg, 403, NULL, "{\"errors\":[{\"message\":\"Blocked: too many bad requests\"}]}", "throttle no wide");
	is_answer(sg, 404, NULL, "", "config no wide");
	is_answer(sg, 405, NULL, "", "config no wide");
	is_answer(sg, 406, NULL, "", "permanent no");
	is_answer(sg, 408, NULL, "", "ambiguous perhaps");
	is_answer(sg, 413, NULL, "<html>", "permanent no");
	is_answer(sg, 415, NULL, "", "permanent no");
	is_answer(sg, 429, NULL, "", "throttle no wide");
	is_answer(sg, 451, NULL, "", "config no wide");
	is_answer(sg, 500, NULL, "{\"errors\":[{\"message\":\"x\"}]}", "ambiguous perhaps");
	is_answer(sg, 503, NULL, "", "ambiguous perhaps");
	is_answer(sg, 503, "Retry-After: 7", "", "throttle no wide");
	is_answer(sg, 503, "Retry-After: -7", "", "ambiguous perhaps");
	is_answer(sg, 500, "Retry-After: 7", "", "ambiguous perhaps");
	is_answer(sg, 101, NULL, "", "ambiguous perhaps");
	is_answer(sg, 999, NULL, "", "ambiguous perhaps");
	/* Cut, deep, or absurd bodies: the status decides. */
	is_answer(sg, 401, NULL, "{\"errors\":[{\"message\":\"Maximum cred", "credential no wide");
	is_answer(sg, 400, NULL, "{\"errors\":1e131072}", "permanent no");
	is_answer(sg, 400, NULL, "{\"errors\":{\"message\":\"x\"}}", "permanent no");
}

static void
test_details(void)
{
	char		header[400];
	RfOutcome	outcome;

	outcome = answer("sendgrid", 202, "X-Message-Id: 14c5d75ce93.dfd.64b469", "");
	is_text(outcome.message_id, "14c5d75ce93", "events join on what stands before the first dot");
	is_text(outcome.raw_message_id, "14c5d75ce93.dfd.64b469", "the id is kept as given");
	outcome = answer("sendgrid", 202, "X-Message-Id: nodot", "");
	is_text(outcome.message_id, "nodot", "an id without a dot is whole");
	is_text(outcome.reason, "", "a mail that was taken needs no reason");
	memset(header, 'i', sizeof(header));
	memcpy(header, "X-Message-Id: ", 14);
	header[399] = '\0';
	outcome = answer("sendgrid", 202, header, "");
	ok(outcome.class == RF_OUTCOME_OK && outcome.raw_message_id[0] == '\0', "an id that does not fit is not kept");
	outcome = answer("sendgrid", 202, "X-Message-Id: a b", "");
	is_text(outcome.raw_message_id, "", "nor one with a space");

	outcome = answer("sendgrid", 400, NULL,
					 "{\"errors\":[{\"message\":\"Bad address bob@example.org\",\"field\":\"to.0\"}]}");
	is_text(outcome.reason, "to.0: Bad address <address>", "the reason has the field, and no address");
	is_int(outcome.retry_after_s, -1, "and no wait was asked for");
	outcome = answer("sendgrid", 413, NULL, "<html><title>413 Request Entity Too Large");
	is_text(outcome.reason, "HTTP status 413", "markup is no reason");
	outcome = answer("sendgrid", 400, NULL, "  Bad Request\n");
	is_text(outcome.reason, "Bad Request", "plain text is");
	outcome = answer("sendgrid", 429, "X-RateLimit-Reset: 1700000060", "{\"errors\":[{\"message\":\"too many requests\"}]}");
	is_int(outcome.retry_after_s, 60, "the wait of a rate limit");
	outcome = answer("sendgrid", 429, "Retry-After: garbage", "");
	is_int(outcome.retry_after_s, -1, "a wait nobody understands");
	outcome = answer("sendgrid", 503, "Retry-After: 7", "");
	is_int(outcome.retry_after_s, 7, "the wait of a 503");
}

int
main(void)
{
	test_request();
	test_fits();
	test_bodies();
	test_classes();
	test_details();
	return done_testing();
}

/* Which mode holds, what that lets happen, and mail to somebody else. */
#include <stdlib.h>
#include <string.h>

#include "core/mode.h"
#include "provider/redirect.h"
#include "tap.h"

static const RfMode modes[] = {RF_MODE_LIVE, RF_MODE_SANDBOX, RF_MODE_CAPTURE, RF_MODE_OFF};

static void
test_stricter(void)
{
	for (int a = 0; a < 4; a++)
	{
		for (int b = 0; b < 4; b++)
			ok(rf_mode_stricter(modes[a], modes[b]) == modes[a > b ? a : b], "of %s and %s the stricter holds",
			   rf_mode_text(modes[a]), rf_mode_text(modes[b]));
	}
}

static void
test_decide(void)
{
	is_int(rf_mode_decide(RF_MODE_LIVE, false), RF_MODE_SENDS, "live sends");
	is_int(rf_mode_decide(RF_MODE_LIVE, true), RF_MODE_SENDS, "also where it could test");
	is_int(rf_mode_decide(RF_MODE_SANDBOX, true), RF_MODE_TESTS, "sandbox tests");
	is_int(rf_mode_decide(RF_MODE_SANDBOX, false), RF_MODE_REFUSES, "or does nothing");
	is_int(rf_mode_decide(RF_MODE_CAPTURE, true), RF_MODE_KEEPS, "capture keeps");
	is_int(rf_mode_decide(RF_MODE_OFF, true), RF_MODE_WAITS, "off waits");
	is_int(rf_mode_decide((RfMode) 4, true), RF_MODE_WAITS, "what is no mode sends nothing");
}

static void
test_new_job(void)
{
	is_int(rf_mode_of_new_job(RF_MODE_LIVE, RF_MODE_CAPTURE), RF_MODE_CAPTURE, "a job has the server's mode");
	is_int(rf_mode_of_new_job(RF_MODE_CAPTURE, RF_MODE_SANDBOX), RF_MODE_CAPTURE, "or a stricter one of its session");
	is_int(rf_mode_of_new_job(RF_MODE_SANDBOX, RF_MODE_CAPTURE), RF_MODE_CAPTURE, "and no looser one");
	is_int(rf_mode_of_new_job(RF_MODE_LIVE, RF_MODE_OFF), RF_MODE_LIVE, "a server that is off only makes it wait");
	is_int(rf_mode_of_new_job(RF_MODE_SANDBOX, RF_MODE_OFF), RF_MODE_SANDBOX, "with what its session chose");
}

static void
test_texts(void)
{
	for (int i = 0; i < 4; i++)
		is_int(rf_mode_of_text(rf_mode_text(modes[i])), modes[i], "a mode has a name");
	is_int(rf_mode_of_text(NULL), RF_MODE_LIVE, "none is live");
}

static RfText
text(const char *string)
{
	RfText		out = {string, strlen(string)};

	return out;
}

static void
test_redirect(void)
{
	RfText		cc[] = {text("\"C\" <c@example.net>")};
	RfText		bcc[] = {text("b@example.net")};
	RfPair		own = {text("X-Own"), text("1")};
	RfPair		headers[2];
	RfBuffer	original = {0};
	RfEmail		email;

	memset(&email, 0, sizeof(email));
	email.to_addr = text("\"\xc3\x84nne\" <a@example.net>");
	email.cc = cc;
	email.ncc = 1;
	email.bcc = bcc;
	email.nbcc = 1;
	email.headers = &own;
	email.nheaders = 1;
	ok(rf_email_redirect(&email, "staging@example.org", headers, &original), "a mail is redirected");
	is_text(email.to_addr.data, "staging@example.org", "to one address");
	ok(email.ncc == 0 && email.nbcc == 0, "alone");
	ok(email.nheaders == 2, "with one header more");
	ok(email.headers[0].name.data == own.name.data, "beside its own");
	is_text(original.data, "a@example.net, c@example.net, b@example.net", "which says whom it was for");
	ok(email.headers[1].value.data == original.data, "in that header");
	rf_buffer_free(&original);
}

static void
test_many(void)
{
	RfText		cc[999];
	RfPair		headers[1];
	RfBuffer	original = {0};
	RfEmail		email;

	memset(&email, 0, sizeof(email));
	email.to_addr = text("a@example.net");
	for (int i = 0; i < 999; i++)
		cc[i] = text("somebody@example.net");
	email.cc = cc;
	email.ncc = 999;
	ok(rf_email_redirect(&email, "staging@example.org", headers, &original), "a mail to a thousand, too");
	ok(original.len <= RF_ORIGINAL_TO_MAX_BYTES, "its header stays a line");
	ok(strstr(original.data, " more") != NULL, "that says how many it leaves out");
	rf_buffer_free(&original);
}

int
main(void)
{
	test_stricter();
	test_decide();
	test_new_job();
	test_texts();
	test_redirect();
	test_many();
	return done_testing();
}

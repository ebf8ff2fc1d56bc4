/*-------------------------------------------------------------------------
 *
 * sendgrid.c
 *	  Adapter for SendGrid's v3 mail/send.
 *
 * One mail is one request with one personalization.  202 means queued, not
 * delivered; events carry the id of X-Message-Id with a suffix after the first
 * dot, so the part before it is what they are joined on.  There is no
 * idempotency key: whatever is not a documented refusal may have been taken.
 *
 * IDENTIFICATION
 *	  src/provider/sendgrid.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "codec/text.h"
#include "provider/answer.h"
#include "provider/options.h"
#include "provider/sendgrid_body.h"

#include "provider/adapters.h"

#define MAX_MAIL_BYTES	30000000

static bool build_email(const RfAccountConfig *account, const RfEmail *email,
						RfRequest *request);
static bool set_target(const RfAccountConfig *account, RfRequest *request);
static bool add_bearer(RfRequest *request, const char *secret);
static void read_email_response(const RfResponse *response, int64_t now_s,
								RfOutcome *outcome);
static void read_success(const RfResponse *response, RfOutcome *outcome);
static void read_refusal(int status, const char *message, RfOutcome *outcome);
static bool mail_fits(const RfEmail *email);
static bool takes_option(const char *name);

static const RfOption options[] = {
	{"asm", RF_OPTION_OBJECT},
	{"batch_id", RF_OPTION_TEXT},
	{"ip_pool_name", RF_OPTION_TEXT},
	{"mail_settings", RF_OPTION_OBJECT},
	{"send_at", RF_OPTION_INTEGER},
	{"tracking_settings", RF_OPTION_OBJECT},
	{NULL, RF_OPTION_FLAG}
};

const RfProvider rf_provider_sendgrid = {
	.name = "sendgrid",
	.sends_email = true,
	.has_test_flag = true,
	.needs_domain = false,
	.max_mail_bytes = MAX_MAIL_BYTES,
	.base_url_us = "https://api.sendgrid.com",
	.base_url_eu = "https://api.eu.sendgrid.com",
	.build_email = build_email,
	.read_email_response = read_email_response,
	.mail_size = rf_sendgrid_mail_size,
	.mail_fits = mail_fits,
	.takes_option = takes_option,
	.options = options,
};

static bool
build_email(const RfAccountConfig *account, const RfEmail *email,
			RfRequest *request)
{
	if (set_target(account, request) &&
		rf_sendgrid_build_body(account, email, request))
		return true;
	rf_request_free(request);
	return false;
}

static bool
set_target(const RfAccountConfig *account, RfRequest *request)
{
	const char *base_url = rf_provider_base_url(&rf_provider_sendgrid, account);
	RfBuffer	url = {0};
	bool		good = false;

	if (base_url == NULL || account->secret == NULL)
		return false;
	rf_buffer_add_text(&url, base_url);
	rf_buffer_add_text(&url, "/v3/mail/send");
	if (!url.failed)
		good = rf_request_set_url(request, url.data) &&
			add_bearer(request, account->secret) &&
			rf_request_add_header(request, "Content-Type",
								  "application/json") &&
			rf_request_add_header(request, "Accept", "application/json");
	rf_buffer_free(&url);
	return good;
}

static bool
add_bearer(RfRequest *request, const char *secret)
{
	RfBuffer	value = {0};
	bool		good;

	rf_buffer_add_text(&value, "Bearer ");
	rf_buffer_add_text(&value, secret);
	good = !value.failed &&
		rf_request_add_header(request, "Authorization", value.data);
	rf_buffer_free(&value);		/* wipes */
	return good;
}

static void
read_email_response(const RfResponse *response, int64_t now_s,
					RfOutcome *outcome)
{
	json_t	   *root;
	json_t	   *first;
	const char *message;

	if (response->status >= 200 && response->status < 300)
	{
		read_success(response, outcome);
		return;
	}

	root = rf_answer_json(response);
	first = json_array_get(json_object_get(root, "errors"), 0);
	message = json_string_value(json_object_get(first, "message"));
	if (!rf_answer_common(response, now_s, outcome))
		read_refusal(response->status, message, outcome);
	rf_answer_set_reason(outcome, response, message,
						 json_string_value(json_object_get(first, "field")));
	json_decref(root);
}

/* 200 is the sandbox's 202.  Any other 2xx is strange, but says "taken". */
static void
read_success(const RfResponse *response, RfOutcome *outcome)
{
	const char *id = rf_response_header(response, "X-Message-Id");
	bool		known = response->status == 200 || response->status == 202;

	rf_outcome_init(outcome, known ? RF_OUTCOME_OK : RF_OUTCOME_MALFORMED,
					response->status);
	if (id != NULL)
		rf_answer_set_message_id(outcome, id, id, strcspn(id, "."));
	if (!known)
		rf_answer_set_reason(outcome, response, NULL, NULL);
}

/*
 * 401 has three meanings and 403 two; only the message tells them apart.  Of
 * these only an unverified sender is the mail's own trouble.
 */
static void
read_refusal(int status, const char *message, RfOutcome *outcome)
{
	const char *text = message != NULL ? message : "";
	size_t		len = strlen(text);

	if (status == 401)
	{
		if (rf_text_contains_nocase(text, len, "credits exceeded"))
			rf_answer_init_wide(outcome, RF_OUTCOME_QUOTA, status);
		else if (rf_text_contains_nocase(text, len, "not authorized"))
			rf_answer_init_wide(outcome, RF_OUTCOME_CONFIG, status);
		else
			rf_answer_init_wide(outcome, RF_OUTCOME_CREDENTIAL, status);
	}
	else if (status == 402)
		rf_answer_init_wide(outcome, RF_OUTCOME_QUOTA, status);
	else if (status == 403)
	{
		if (rf_text_contains_nocase(text, len, "too many") ||
			rf_text_contains_nocase(text, len, "bad requests") ||
			rf_text_contains_nocase(text, len, "temporarily blocked"))
			rf_answer_init_wide(outcome, RF_OUTCOME_THROTTLE, status);
		else
			rf_outcome_init(outcome, RF_OUTCOME_CONFIG, status);
	}
	else if (status == 451)
		rf_answer_init_wide(outcome, RF_OUTCOME_CONFIG, status);
	else
		rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, status);
}

/* Nearly every mail does, however it is written. */
static bool
mail_fits(const RfEmail *email)
{
	return rf_sendgrid_mail_size_at_most(email) <= MAX_MAIL_BYTES ||
		rf_sendgrid_mail_size(email) <= MAX_MAIL_BYTES;
}

static bool
takes_option(const char *name)
{
	return rf_option_find(options, name) != NULL;
}

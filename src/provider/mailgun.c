/*-------------------------------------------------------------------------
 *
 * mailgun.c
 *	  Adapter for Mailgun's v3 messages.
 *
 * One mail is one multipart/form-data request; its fields are in
 * mailgun_fields.c.  A 200 counts only with a JSON id: a wrong path answers
 * 200 too, with the words "Mailgun Magnificent API", and has taken nothing.
 * The id comes in angle brackets, events have it without.
 *
 * IDENTIFICATION
 *	  src/provider/mailgun.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "codec/text.h"
#include "provider/answer.h"
#include "provider/mailgun_fields.h"
#include "provider/options.h"

#include "provider/adapters.h"

static bool build_email(const RfAccountConfig *account, const RfEmail *email,
						RfRequest *request);
static bool is_path_safe(const char *domain);
static bool set_target(const RfAccountConfig *account, RfRequest *request);
static void read_email_response(const RfResponse *response, int64_t now_s,
								RfOutcome *outcome);
static void read_success(const RfResponse *response, json_t *root,
						 RfOutcome *outcome);
static bool is_wrong_path(const RfResponse *response);
static void read_refusal(int status, const char *message, RfOutcome *outcome);
static bool mail_fits(const RfEmail *email);
static bool takes_option(const char *name);

static const RfOption options[] = {
	{"o:archive-to", RF_OPTION_TEXT},
	{"o:deliverytime", RF_OPTION_TEXT},
	{"o:dkim", RF_OPTION_FLAG},
	{"o:require-tls", RF_OPTION_FLAG},
	{"o:sending-ip", RF_OPTION_TEXT},
	{"o:sending-ip-pool", RF_OPTION_TEXT},
	{"o:skip-verification", RF_OPTION_FLAG},
	{"o:tracking", RF_OPTION_FLAG},
	{"o:tracking-clicks", RF_OPTION_FLAG},
	{"o:tracking-opens", RF_OPTION_FLAG},
	{NULL, RF_OPTION_FLAG}
};

const RfProvider rf_provider_mailgun = {
	.name = "mailgun",
	.sends_email = true,
	.has_test_flag = true,
	.needs_domain = true,
	.max_mail_bytes = RF_MAILGUN_MAX_MAIL_BYTES,
	.base_url_us = "https://api.mailgun.net",
	.base_url_eu = "https://api.eu.mailgun.net",
	.build_email = build_email,
	.read_email_response = read_email_response,
	.mail_size = rf_mailgun_mail_size,
	.mail_fits = mail_fits,
	.takes_option = takes_option,
	.options = options,
};

static bool
build_email(const RfAccountConfig *account, const RfEmail *email,
			RfRequest *request)
{
	if (set_target(account, request) &&
		rf_mailgun_add_fields(account, email, request))
		return true;
	rf_request_free(request);
	return false;
}

/* Host names only: nothing that could climb out of its place in the path. */
static bool
is_path_safe(const char *domain)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";

	return domain != NULL && domain[0] != '\0' && domain[0] != '.' &&
		strstr(domain, "..") == NULL &&
		domain[strspn(domain, allowed)] == '\0';
}

static bool
set_target(const RfAccountConfig *account, RfRequest *request)
{
	const char *base_url = rf_provider_base_url(&rf_provider_mailgun, account);
	RfBuffer	url = {0};
	bool		good;

	if (base_url == NULL || account->secret == NULL ||
		!is_path_safe(account->domain))
		return false;
	rf_buffer_add_text(&url, base_url);
	rf_buffer_add_text(&url, "/v3/");
	rf_buffer_add_text(&url, account->domain);
	rf_buffer_add_text(&url, "/messages");
	good = !url.failed &&
		rf_request_set_url(request, url.data) &&
		rf_request_set_basic(request, "api", account->secret) &&
		rf_request_add_header(request, "Accept", "application/json");
	rf_buffer_free(&url);
	return good;
}

static void
read_email_response(const RfResponse *response, int64_t now_s,
					RfOutcome *outcome)
{
	json_t	   *root = rf_answer_json(response);
	const char *message = json_string_value(json_object_get(root, "message"));

	if (response->status >= 200 && response->status < 300)
		read_success(response, root, outcome);
	else if (!rf_answer_common(response, now_s, outcome))
		read_refusal(response->status, message, outcome);
	if (outcome->class != RF_OUTCOME_OK)
		rf_answer_set_reason(outcome, response, message, NULL);
	json_decref(root);
}

static void
read_success(const RfResponse *response, json_t *root, RfOutcome *outcome)
{
	const char *id = json_string_value(json_object_get(root, "id"));
	size_t		len = id != NULL ? strlen(id) : 0;

	if (len == 0)
	{
		rf_outcome_init(outcome, RF_OUTCOME_MALFORMED, response->status);
		if (is_wrong_path(response))
		{
			outcome->taken = RF_TAKEN_NO;
			outcome->account_wide = true;
		}
		return;
	}
	rf_outcome_init(outcome, RF_OUTCOME_OK, response->status);
	if (len > 2 && id[0] == '<' && id[len - 1] == '>')
		rf_answer_set_message_id(outcome, id, id + 1, len - 2);
	else
		rf_answer_set_message_id(outcome, id, id, len);
}

/* The greeting of Mailgun's root, in full: a part of it proves nothing. */
static bool
is_wrong_path(const RfResponse *response)
{
	static const char greeting[] = "Mailgun Magnificent API";
	const char *body = response->body;
	size_t		len = response->body_len;

	while (len > 0 && (*body == ' ' || (*body >= '\t' && *body <= '\r')))
	{
		body++;
		len--;
	}
	return len >= sizeof(greeting) - 1 &&
		memcmp(body, greeting, sizeof(greeting) - 1) == 0;
}

/*
 * An account is one sending domain, so a 403 that names the domain or the
 * account meets the next mail too; others are about this mail's recipients.
 */
static void
read_refusal(int status, const char *message, RfOutcome *outcome)
{
	const char *text = message != NULL ? message : "";
	size_t		len = strlen(text);

	if (status == 401)
		rf_answer_init_wide(outcome, RF_OUTCOME_CREDENTIAL, status);
	else if (status == 402)
		rf_answer_init_wide(outcome, RF_OUTCOME_QUOTA, status);
	else if (status == 403)
	{
		rf_outcome_init(outcome, RF_OUTCOME_CONFIG, status);
		outcome->account_wide =
			rf_text_contains_nocase(text, len, "not allowed to send") ||
			rf_text_contains_nocase(text, len, "disabled") ||
			rf_text_contains_nocase(text, len, "suspended");
	}
	else
		rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, status);
}

static bool
mail_fits(const RfEmail *email)
{
	return rf_mailgun_mail_size(email) <= RF_MAILGUN_MAX_MAIL_BYTES;
}

static bool
takes_option(const char *name)
{
	return rf_option_find(options, name) != NULL;
}

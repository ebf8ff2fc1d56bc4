/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What the answers of mail providers have in common.
 *
 * Only a documented refusal proves that a mail was not taken.  Neither
 * provider has an idempotency key, and customers report mails that went out
 * after a 5xx: so every 5xx is ambiguous, but a 503 that says when to come
 * back.
 *
 * IDENTIFICATION
 *	  src/provider/answer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "codec/retry_after.h"
#include "codec/text.h"

#include "provider/answer.h"

static int64_t longest_wait(const RfResponse *response, int64_t now_s);
static bool is_id_text(const char *text, size_t len);
static bool is_plain_text(const RfResponse *response);

json_t *
rf_answer_json(const RfResponse *response)
{
	if (response->body == NULL || response->body_len == 0)
		return NULL;
	return json_loadb(response->body, response->body_len, JSON_ALLOW_NUL, NULL);
}

bool
rf_answer_common(const RfResponse *response, int64_t now_s, RfOutcome *outcome)
{
	int			status = response->status;
	int64_t		wait_s;

	if (status == 404 || status == 405 || (status >= 300 && status < 400))
	{
		rf_answer_init_wide(outcome, RF_OUTCOME_CONFIG, status);
		return true;
	}
	if (status == 429)
	{
		rf_answer_init_wide(outcome, RF_OUTCOME_THROTTLE, status);
		outcome->retry_after_s = longest_wait(response, now_s);
		return true;
	}
	if (status == 503 &&
		rf_retry_after_parse(rf_response_header(response, "Retry-After"),
							 now_s, &wait_s))
	{
		rf_answer_init_wide(outcome, RF_OUTCOME_THROTTLE, status);
		outcome->retry_after_s = wait_s;
		return true;
	}
	if (status == 408 || status < 200 || status >= 500)
	{
		rf_outcome_init(outcome, RF_OUTCOME_AMBIGUOUS, status);
		return true;
	}
	return false;
}

void
rf_answer_init_wide(RfOutcome *outcome, RfOutcomeClass class, int http_status)
{
	rf_outcome_init(outcome, class, http_status);
	outcome->account_wide = true;
}

void
rf_answer_set_reason(RfOutcome *outcome, const RfResponse *response,
					 const char *message, const char *field)
{
	RfBuffer	text = {0};

	if (message != NULL && message[0] != '\0')
	{
		if (field != NULL && field[0] != '\0')
		{
			rf_buffer_add_text(&text, field);
			rf_buffer_add_text(&text, ": ");
		}
		rf_buffer_add_text(&text, message);
	}
	else if (is_plain_text(response))
		rf_buffer_add(&text, response->body, response->body_len);

	if (!text.failed && text.len > 0)
		rf_outcome_set_reason(outcome, text.data, text.len);
	rf_buffer_free(&text);
	if (outcome->reason[0] == '\0')
		snprintf(outcome->reason, sizeof(outcome->reason), "HTTP status %d",
				 response->status);
}

void
rf_answer_set_message_id(RfOutcome *outcome, const char *raw,
						 const char *normalised, size_t normalised_len)
{
	size_t		raw_len = strlen(raw);

	if (raw_len > RF_MESSAGE_ID_MAX || !is_id_text(raw, raw_len))
		return;
	memcpy(outcome->raw_message_id, raw, raw_len + 1);
	memcpy(outcome->message_id, normalised, normalised_len);
	outcome->message_id[normalised_len] = '\0';
}

/* Of all that was understood the longest: too late costs less than too early. */
static int64_t
longest_wait(const RfResponse *response, int64_t now_s)
{
	int64_t		longest_s = -1;
	int64_t		wait_s;

	if (rf_retry_after_parse(rf_response_header(response, "Retry-After"),
							 now_s, &wait_s))
		longest_s = wait_s;
	if (rf_rate_reset_parse(rf_response_header(response, "X-RateLimit-Reset"),
							now_s, &wait_s) && wait_s > longest_s)
		longest_s = wait_s;
	if (response->body != NULL &&
		rf_try_again_parse(response->body, response->body_len, &wait_s) &&
		wait_s > longest_s)
		longest_s = wait_s;
	return longest_s;
}

static bool
is_id_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] <= 0x20 || text[i] >= 0x7f)
			return false;
	}
	return len > 0;
}

/* Words, and neither markup nor JSON that was cut? */
static bool
is_plain_text(const RfResponse *response)
{
	for (size_t i = 0; i < response->body_len; i++)
	{
		char		c = response->body[i];

		if (c == ' ' || (c >= '\t' && c <= '\r'))
			continue;
		return c != '<' && c != '{' && c != '[';
	}
	return false;
}

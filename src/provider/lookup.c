/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  What the answers of lookups have in common.
 *
 * IDENTIFICATION
 *	  src/provider/lookup.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/answer.h"

#include "provider/lookup.h"

json_t *
rf_lookup_json(const RfResponse *response)
{
	json_t	   *root;

	if (response->body == NULL || response->body_len == 0)
		return NULL;
	root = json_loadb(response->body, response->body_len, JSON_ALLOW_NUL, NULL);
	if (root == NULL)
		root = json_loadb(response->body, response->body_len,
						  JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	return root;
}

bool
rf_lookup_common(const RfResponse *response, int64_t now_s, bool effectful,
				 RfOutcome *outcome)
{
	if (!rf_answer_common(response, now_s, outcome))
		return false;
	if (!effectful && outcome->class == RF_OUTCOME_AMBIGUOUS)
		rf_outcome_init(outcome, RF_OUTCOME_TRANSIENT, response->status);
	return true;
}

void
rf_lookup_malformed(const RfResponse *response, bool effectful,
					RfOutcome *outcome)
{
	rf_outcome_init(outcome, RF_OUTCOME_MALFORMED, response->status);
	outcome->taken = effectful ? RF_TAKEN_PERHAPS : RF_TAKEN_NO;
	rf_answer_set_reason(outcome, response, "the answer is not the provider's", NULL);
}

void
rf_lookup_miss(int status, const char *reason, RfOutcome *outcome)
{
	rf_outcome_init(outcome, RF_OUTCOME_MISS, status);
	rf_outcome_set_reason(outcome, reason, strlen(reason));
}

char *
rf_lookup_text(json_t *object, const char *name, bool *failed)
{
	json_t	   *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	char	   *copy;

	if (text == NULL || text[0] == '\0' ||
		strlen(text) != json_string_length(value))
		return NULL;
	copy = strdup(text);
	if (copy == NULL)
		*failed = true;
	return copy;
}

char *
rf_lookup_number(json_t *object, const char *name, bool *failed)
{
	json_t	   *value = json_object_get(object, name);
	char		digits[32];
	char	   *copy;

	if (json_is_integer(value))
		snprintf(digits, sizeof(digits), "%lld",
				 (long long) json_integer_value(value));
	else
	{
		const char *text = json_string_value(value);
		size_t		len = text != NULL ? strlen(text) : 0;
		size_t		sign = len > 0 && text[0] == '-' ? 1 : 0;

		if (len == sign || len >= sizeof(digits) ||
			len != json_string_length(value) ||
			strspn(text + sign, "0123456789") != len - sign)
			return NULL;
		memcpy(digits, text, len + 1);
	}
	copy = strdup(digits);
	if (copy == NULL)
		*failed = true;
	return copy;
}

int64_t
rf_lookup_count(json_t *object, const char *name)
{
	json_t	   *value = json_object_get(object, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return -1;
	return json_integer_value(value);
}

bool
rf_lookup_set_url(const RfProvider *provider, const RfAccountConfig *account,
				  const char *path, RfRequest *request)
{
	const char *base_url = rf_provider_base_url(provider, account);
	RfBuffer	url = {0};
	bool		good;

	if (base_url == NULL || account->secret == NULL)
		return false;
	rf_buffer_add_text(&url, base_url);
	rf_buffer_add_text(&url, path);
	good = !url.failed && rf_request_set_url(request, url.data);
	request->answer_bytes = RF_LOOKUP_ANSWER_BYTES;
	rf_buffer_free(&url);
	return good;
}

bool
rf_lookup_set_json(RfRequest *request, RfBuffer *body)
{
	if (body->failed || body->len == 0 ||
		!rf_request_add_header(request, "Content-Type", "application/json") ||
		!rf_request_add_header(request, "Accept", "application/json"))
		return false;
	request->body = body->data;
	request->body_len = body->len;
	memset(body, 0, sizeof(*body));
	return true;
}

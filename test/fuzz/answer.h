/*-------------------------------------------------------------------------
 *
 * answer.h
 *	  Feeding a fuzzed answer to an adapter, and what must hold of any outcome.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_FUZZ_ANSWER_H
#define ROLEFERRY_FUZZ_ANSWER_H

#include "fuzz.h"
#include "provider/provider.h"

/* Input: two bytes of status, header lines, an empty line, the body. */
__attribute__((unused))
static RfResponse
take_response(Input input)
{
	RfResponse	response = {0};

	response.status = take_byte(&input) * 256;
	response.status = 1 + (response.status + take_byte(&input)) % 999;
	while (input.len > 0)
	{
		const char *end = memchr(input.data, '\n', input.len);
		size_t		len = end != NULL ? (size_t) (end - input.data) + 1 : input.len;

		rf_response_add_header(&response, input.data, len);
		input.data += len;
		input.len -= len;
		if (len == 1)
			break;
	}
	response.body = malloc(input.len + 1);
	MUST(response.body != NULL);
	if (input.len > 0)
		memcpy(response.body, input.data, input.len);
	response.body[input.len] = '\0';
	response.body_len = input.len;
	return response;
}

__attribute__((unused))
static void
read_answer(const char *provider, Input input, RfOutcome *outcome)
{
	RfResponse	response = take_response(input);

	memset(outcome, 'x', sizeof(*outcome));
	rf_provider_find(provider)->read_email_response(&response, 1700000000, outcome);
	MUST(outcome->http_status == response.status);
	rf_response_free(&response);
}

/* What no answer can bring about. */
__attribute__((unused))
static void
check_outcome(const RfOutcome *outcome)
{
	int			status = outcome->http_status;

	check_one_line(outcome->reason, sizeof(outcome->reason));
	check_one_line(outcome->message_id, sizeof(outcome->message_id));
	check_one_line(outcome->raw_message_id, sizeof(outcome->raw_message_id));
	MUST(outcome->retry_after_s >= -1 && outcome->retry_after_s <= INT32_MAX);
	MUST(rf_outcome_class_text(outcome->class)[0] != '\0');
	MUST((outcome->class == RF_OUTCOME_OK) == (outcome->reason[0] == '\0'));

	/* Only 2xx says "taken"; of 5xx only a 503 with a wait says "not taken". */
	if (status >= 300)
		MUST(outcome->taken != RF_TAKEN_YES);
	if (status >= 500 && outcome->taken == RF_TAKEN_NO)
		MUST(status == 503 && outcome->class == RF_OUTCOME_THROTTLE && outcome->retry_after_s >= 0);
	if (status >= 400 && status < 500 && status != 408)
		MUST(outcome->taken == RF_TAKEN_NO);
	if (outcome->class == RF_OUTCOME_OK)
		MUST(status >= 200 && status < 300 && outcome->taken == RF_TAKEN_YES);
	if (status < 200 || status == 408)
		MUST(outcome->class == RF_OUTCOME_AMBIGUOUS && outcome->taken == RF_TAKEN_PERHAPS);
}

#endif							/* ROLEFERRY_FUZZ_ANSWER_H */

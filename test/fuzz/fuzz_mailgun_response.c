/* Mailgun's answers: nothing a peer sends breaks the rules of outcomes. */
#include "answer.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	RfOutcome	outcome;

	read_answer("mailgun", make_input(data, size), &outcome);
	check_outcome(&outcome);

	/* A 2xx that took nothing is the greeting of a wrong path, nothing else. */
	if (outcome.http_status >= 200 && outcome.http_status < 300 &&
		outcome.taken != RF_TAKEN_YES)
		MUST(memmem(data, size, "Mailgun Magnificent API", 23) != NULL &&
			 outcome.taken == RF_TAKEN_NO && outcome.account_wide);
	MUST(strstr(outcome.raw_message_id, outcome.message_id) != NULL);
	return 0;
}

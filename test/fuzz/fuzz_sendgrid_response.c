/* SendGrid's answers: nothing a peer sends breaks the rules of outcomes. */
#include "answer.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	RfOutcome	outcome;

	read_answer("sendgrid", make_input(data, size), &outcome);
	check_outcome(&outcome);
	if (outcome.http_status >= 200 && outcome.http_status < 300)
		MUST(outcome.taken == RF_TAKEN_YES);
	MUST(strchr(outcome.message_id, '.') == NULL);
	MUST(strncmp(outcome.raw_message_id, outcome.message_id, strlen(outcome.message_id)) == 0);
	return 0;
}

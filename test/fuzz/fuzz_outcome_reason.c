/* Reasons: one clean line that fits, shows no address, and is stable. */
#include "core/outcome.h"
#include "fuzz.h"

/* Is there an '@' with something that could be an address on both sides? */
static bool
shows_address(const char *text)
{
	for (const char *at = strchr(text, '@'); at != NULL; at = strchr(at + 1, '@'))
	{
		if (at > text && strchr(" <>()[]\",;:\\", at[-1]) == NULL)
			return true;
		if (at[1] != '\0' && strchr(" <>()[]\",;:\\", at[1]) == NULL)
			return true;
	}
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	RfOutcome	outcome;
	RfOutcome	again;

	rf_outcome_init(&outcome, RF_OUTCOME_PERMANENT, 400);
	rf_outcome_set_reason(&outcome, (const char *) data, size);
	check_one_line(outcome.reason, sizeof(outcome.reason));
	MUST(!shows_address(outcome.reason));
	MUST(outcome.reason[0] != ' ');

	/* Cleaning what is clean changes nothing. */
	rf_outcome_init(&again, RF_OUTCOME_PERMANENT, 400);
	rf_outcome_set_reason(&again, outcome.reason, strlen(outcome.reason));
	MUST(strcmp(outcome.reason, again.reason) == 0);
	return 0;
}

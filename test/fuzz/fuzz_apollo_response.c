/* Apollo's answers, as those of a search and of an enrichment. */
#include "lookup.h"

static void
check_enrichment(const RfEnrichment *found, const RfOutcome *outcome, size_t nids)
{
	size_t		misses = 0;

	for (size_t i = 0; i < found->npeople; i++)
	{
		misses += found->people[i].id == NULL ? 1 : 0;
		if (found->people[i].id != NULL)
			check_person(&found->people[i]);
	}
	MUST(found->npeople == 0 || found->npeople == nids);
	MUST(found->misses == misses || found->npeople == 0);
	MUST(found->credits >= -1);
	MUST(found->request_id == NULL ||
		 strspn(found->request_id, "-0123456789") == strlen(found->request_id));
	if (outcome->taken != RF_TAKEN_YES)
		MUST(found->npeople == 0 && found->request_id == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const RfPeopleCalls *calls = rf_provider_find("apollo")->people;
	RfResponse	response = take_response(make_input(data, size));
	RfText		title = {"CTO", 3};
	RfText		ids[2] = {{"a1", 2}, {"a2", 2}};
	RfPeopleQuery query = usual_query(&title);
	RfPeoplePage page;
	RfEnrichment found;
	RfOutcome	outcome;

	memset(&outcome, 'x', sizeof(outcome));
	calls->read_search(&response, 1700000000, &query, 1 + (int) (size % 3), &page, &outcome);
	check_lookup(&outcome, &response, false);
	check_page(&page, &outcome, query.domain);
	rf_people_page_free(&page);

	memset(&outcome, 'x', sizeof(outcome));
	calls->read_enrich(&response, 1700000000, ids, 2, &found, &outcome);
	check_lookup(&outcome, &response, true);
	check_enrichment(&found, &outcome, 2);
	rf_enrichment_free(&found);
	rf_response_free(&response);
	return 0;
}

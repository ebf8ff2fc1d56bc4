/* Hunter's answers to a domain search, with and without titles. */
#include "lookup.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const RfPeopleCalls *calls = rf_provider_find("hunter")->people;
	RfResponse	response = take_response(make_input(data, size));
	RfText		title = {"CTO", 3};
	RfPeopleQuery query = usual_query(&title);
	RfPeoplePage page;
	RfOutcome	outcome;

	for (query.ntitles = 0; query.ntitles < 2; query.ntitles++)
	{
		memset(&outcome, 'x', sizeof(outcome));
		calls->read_search(&response, 1700000000, &query, 1, &page, &outcome);
		check_lookup(&outcome, &response, true);
		check_page(&page, &outcome, query.domain);
		rf_people_page_free(&page);
	}
	rf_response_free(&response);
	return 0;
}

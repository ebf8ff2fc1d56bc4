/* Hunter: its GET, its people, and its refusals the other way round. */
#include "people.h"
#include "vectors.h"

static const RfPeopleCalls *
calls(void)
{
	return rf_provider_find("hunter")->people;
}

static void
test_request(void)
{
	RfAccountConfig account;
	RfPeopleQuery query = query_for("Acme.com", 250);
	RfText		seniorities[4] = {span("vp"), span("intern"), span("c_suite"), span("manager")};
	RfRequest	request = {0};

	memset(&account, 0, sizeof(account));
	account.secret = "hu-key";
	ok(calls()->build_search(&account, &query, 2, &request), "a domain is searched");
	is_text(request.url, "https://api.hunter.io/v2/domain-search?domain=Acme.com&type=personal&limit=100&offset=100",
			"a page at a time");
	ok(request.get && request.body == NULL, "by a GET");
	ok(request.answer_bytes >= 8000000, "whose answer is not cut");
	ok(has_header(&request, "X-API-KEY: hu-key") && strstr(request.url, "key") == NULL,
	   "with the key in a header, not in the URL");
	rf_request_free(&request);
	query.seniorities = seniorities;
	query.nseniorities = 4;
	query.max_results = 5;
	ok(calls()->build_search(&account, &query, 1, &request), "with seniorities");
	is_text(request.url, "https://api.hunter.io/v2/domain-search?domain=Acme.com&type=personal&limit=5&offset=0"
			"&seniority=junior,senior,executive", "in its own words, each once");
	rf_request_free(&request);
	query.domain = span("acme.com&api_key=x");
	ok(!calls()->build_search(&account, &query, 1, &request) && request.url == NULL,
	   "nothing gets out of the domain");
	ok(calls()->build_enrich == NULL && calls()->enrich_max == 0 && calls()->search_costs,
	   "there is nothing to enrich, and searching costs");
}

static RfOutcome
search(int status, const char *body, RfPeopleQuery query, RfPeoplePage *page)
{
	RfResponse	response = response_of(status, NULL, body);
	RfOutcome	outcome;

	memset(&outcome, 'x', sizeof(outcome));
	calls()->read_search(&response, NOW, &query, 1, page, &outcome);
	rf_response_free(&response);
	return outcome;
}

static void
test_people(void)
{
	RfPeopleQuery query = query_for("acme.com", 3);
	const char *body = "{\"data\":{\"domain\":\"acme.com\",\"organization\":\"Acme\",\"emails\":["
		"{\"value\":\"ann@acme.com\",\"first_name\":\"Ann\",\"last_name\":\"Lee\",\"position\":\"Deputy cto\",\"confidence\":50,"
		"\"linkedin\":\"http://l/ann\",\"verification\":{\"status\":\"valid\"}},"
		"{\"value\":\"bob@acme.com\",\"position\":\"VP \\\"Sales\\\" EU\",\"confidence\":99,\"verification\":{\"status\":\"accept_all\"}},"
		"{\"value\":\"cy@acme.com\",\"position\":\"Director\"},{\"value\":\"de@acme.com\",\"position\":\"de facto\"},{\"value\":null}]},\"meta\":{\"results\":11}}";
	RfPeoplePage page;
	RfOutcome	outcome = search(200, body, query, &page);

	is_outcome(&outcome, "ok yes", "people of a domain");
	ok(page.npeople == 2 && page.seen == 5 && page.dropped == 3, "without other titles (a director is no CTO), and without e-mails");
	ok(page.total == 11 && page.more && page.credits == 1, "there are more, and these were one credit");
	is_text(page.people[0].name, "Ann Lee", "a name");
	is_text(page.people[0].id, "ann@acme.com", "known by the e-mail");
	is_text(page.people[0].email_status, "valid", "its status");
	ok(page.people[0].confidence > 0.699 && page.people[0].confidence < 0.701, "half sure is half way");
	ok(page.people[1].confidence == RF_CONFIDENCE_UNVERIFIED && page.people[1].name == NULL,
	   "an unsure status counts more");
	rf_people_page_free(&page);

	query.max_results = 200;
	query.ntitles = 0;
	outcome = search(200, "{\"data\":{\"domain\":\"acme.com\",\"emails\":[{\"value\":\"a@acme.com\"}]},\"meta\":{\"results\":101}}",
					 query, &page);
	ok(page.more && page.npeople == 1, "without titles all are wanted, and there are more");
	rf_people_page_free(&page);
	outcome = search(200, "{\"data\":{\"domain\":\"acme.com\",\"emails\":[]},\"meta\":{\"results\":0}}", query, &page);
	is_outcome(&outcome, "miss yes", "nobody");
	ok(page.credits == 0, "costs nothing");
	rf_people_page_free(&page);
	outcome = search(200, "{\"data\":{\"domain\":\"other.com\",\"emails\":[{\"value\":\"a@other.com\"}]}}", query, &page);
	ok(page.npeople == 0 && page.filters_ignored, "another domain's people are not taken");
	rf_people_page_free(&page);
}

static void
is_refusal(int status, const char *body, const char *expected)
{
	RfPeoplePage page;
	RfOutcome	outcome = search(status, body, query_for("acme.com", 10), &page);
	char		what[100];

	snprintf(what, sizeof(what), "%d: %s", status, expected);
	is_outcome(&outcome, expected, what);
	ok(page.npeople == 0 && page.credits == -1, "has no people");
}

static void
test_refusals(void)
{
	RfPeoplePage page;
	RfOutcome	outcome;

	is_refusal(400, "{\"errors\":[{\"id\":\"wrong_params\",\"code\":400,\"details\":\"x\"}]}", "permanent no");
	is_refusal(401, "", "credential no wide");
	is_refusal(403, "", "throttle no wide");
	is_refusal(429, "", "quota no wide");
	is_refusal(404, "", "config no wide");
	is_refusal(451, "", "permanent no");
	is_refusal(500, "", "ambiguous perhaps");
	is_refusal(202, "{}", "pending no");
	is_refusal(200, "{}", "malformed perhaps");
	is_refusal(200, "{\"data\":{\"emails\":{}}}", "malformed perhaps");
	outcome = search(401, "{\"errors\":[{\"details\":\"No user found for the API key\"}]}", query_for("acme.com", 10), &page);
	is_text(outcome.reason, "No user found for the API key", "the reason is told");
}

static void
test_vectors(void)
{
	json_t	   *vectors = load_vectors("http_responses.json");
	json_t	   *vector;
	size_t		i;
	int			found = 0;

	if (vectors == NULL)
	{
		skip("no vectors here: name their folder in RF_VECTORS");
		return;
	}
	json_array_foreach(vectors, i, vector)
	{
		RfResponse	response = vector_response(vector);
		RfPeopleQuery query = query_for("acme.com", 10);
		RfPeoplePage page;
		RfOutcome	outcome;

		if (strcmp(vector_text(vector, "provider"), "hunter") == 0)
		{
			calls()->read_search(&response, NOW, &query, 1, &page, &outcome);
			is_text(rf_outcome_class_text(outcome.class), vector_text(vector, "class"),
					vector_text(vector, "name"));
			rf_people_page_free(&page);
			found++;
		}
		rf_response_free(&response);
	}
	ok(found >= 2, "the vectors were all there");
	json_decref(vectors);
}

int
main(void)
{
	test_request();
	test_people();
	test_refusals();
	test_vectors();
	return done_testing();
}

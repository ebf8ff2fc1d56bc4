/* Apollo: requests, people, enrichment, refusals. */
#include "people.h"
#include "provider/apollo.h"
#include "vectors.h"

static const RfPeopleCalls *
calls(void)
{
	return rf_provider_find("apollo")->people;
}

static RfAccountConfig
account_of(const char *dialect)
{
	RfAccountConfig account;

	memset(&account, 0, sizeof(account));
	account.secret = "ap-\"key\"";
	account.dialect = dialect;
	return account;
}

static void
test_search_request(void)
{
	RfAccountConfig account = account_of(NULL);
	RfPeopleQuery query = query_for("Acme.com", 250);
	RfText		seniorities[1] = {span("c_suite")};
	RfText		locations[1] = {span("Berlin, Germany")};
	RfRequest	request = {0};

	query.seniorities = seniorities;
	query.nseniorities = 1;
	query.locations = locations;
	query.nlocations = 1;
	ok(calls()->build_search(&account, &query, 3, &request), "a search can be asked for");
	is_text(request.url, "https://api.apollo.io/api/v1/mixed_people/api_search", "at today's path");
	is_text(request.body,
			"{\"q_organization_domains_list\":[\"acme.com\"],"
			"\"person_titles\":[\"CTO\",\"VP \\\"Sales\\\"\"],"
			"\"person_seniorities\":[\"c_suite\"],\"person_locations\":[\"Berlin, Germany\"],"
			"\"page\":3,\"per_page\":100}", "with the documented filters, and full pages");
	ok(request.body_len == strlen(request.body), "of that length");
	ok(has_header(&request, "x-api-key: ap-\"key\"") &&
	   has_header(&request, "Content-Type: application/json"), "and the key in its header");
	ok(strstr(request.url, "ap-") == NULL && !request.get, "which is not in the URL");
	ok(request.answer_bytes >= 8000000, "and an answer is not cut");
	rf_request_free(&request);

	query.max_results = 7;
	account.base_url = "https://proxy.example:8443";
	ok(calls()->build_search(&account, &query, 1, &request), "a short search");
	is_text(request.url, "https://proxy.example:8443/api/v1/mixed_people/api_search", "goes where the account says");
	ok(strstr(request.body, "\"per_page\":7}") != NULL, "and asks for no more than is wanted");
	rf_request_free(&request);

	query.domain = span("https://acme.com/");
	ok(!calls()->build_search(&account, &query, 1, &request) && request.url == NULL, "a URL is no domain");
	query.domain = span("acme.com");
	ok(!calls()->build_search(&account, &query, 501, &request), "there are 500 pages");
	account.secret = NULL;
	ok(!calls()->build_search(&account, &query, 1, &request), "without a key nothing is built");
}

static void
test_legacy_request(void)
{
	RfAccountConfig account = account_of("legacy");
	RfPeopleQuery query = query_for("acme.com", 10);
	RfText		ids[1] = {span("a1")};
	RfRequest	request = {0};
	json_t	   *body;

	ok(calls()->build_search(&account, &query, 1, &request), "the legacy dialect is spoken");
	is_text(request.url, "https://api.apollo.io/v1/mixed_people/search", "at the old path");
	is_text(request.body,
			"{\"organization_domains\":[\"acme.com\"],"
			"\"person_titles\":[\"CTO\",\"VP \\\"Sales\\\"\"],"
			"\"page\":1,\"per_page\":10,\"api_key\":\"ap-\\\"key\\\"\"}", "with its names, and the key in the body");
	ok(!has_header(&request, "x-api-key: ap-\"key\""), "and not in a header");
	body = json_loads(request.body, 0, NULL);
	ok(body != NULL, "which is JSON");
	json_decref(body);
	rf_request_free(&request);
	ok(calls()->build_enrich(&account, ids, 1, &request) &&
	   strcmp(request.url, "https://api.apollo.io/v1/people/bulk_match") == 0, "enrichment too");
	rf_request_free(&request);
}

static void
test_enrich_request(void)
{
	RfAccountConfig account = account_of("current");
	RfText		ids[11];
	RfRequest	request = {0};

	for (size_t i = 0; i < 11; i++)
		ids[i] = span("64a7ff0cc4dfae00013df1a5");
	ok(calls()->build_enrich(&account, ids, 2, &request), "two people");
	is_text(request.url, "https://api.apollo.io/api/v1/people/bulk_match", "are matched in bulk");
	is_text(request.body,
			"{\"details\":[{\"id\":\"64a7ff0cc4dfae00013df1a5\"},{\"id\":\"64a7ff0cc4dfae00013df1a5\"}],"
			"\"reveal_personal_emails\":false,\"reveal_phone_number\":false}", "by their ids, at one credit each");
	rf_request_free(&request);
	ok(calls()->build_enrich(&account, ids, 10, &request), "ten are taken at once");
	rf_request_free(&request);
	ok(!calls()->build_enrich(&account, ids, 11, &request), "eleven are not");
	ok(!calls()->build_enrich(&account, ids, 0, &request), "nor is nobody");
}

static RfOutcome
search(int status, const char *header, const char *body, int64_t max, int page,
	   RfPeoplePage *result)
{
	RfPeopleQuery query = query_for("acme.com", max);
	RfResponse	response = response_of(status, header, body);
	RfOutcome	outcome;

	memset(&outcome, 'x', sizeof(outcome));
	calls()->read_search(&response, NOW, &query, page, result, &outcome);
	rf_response_free(&response);
	return outcome;
}

static void
test_people(void)
{
	RfPeoplePage page;
	RfOutcome	outcome;

	outcome = search(200, NULL, "{\"total_entries\":3,\"people\":["
					 "{\"id\":\"a1\",\"first_name\":\"Ann\",\"last_name_obfuscated\":\"L***e\",\"title\":\"CTO\","
					 "\"has_email\":true,\"organization\":{\"name\":\"Acme, Inc.\"}},"
					 "{\"id\":\"a2\",\"first_name\":\"Bob\",\"organization\":{\"name\":\"Other\",\"primary_domain\":\"other.example\"}},"
					 "7]}", 2, 1, &page);
	is_outcome(&outcome, "ok yes", "a page of people");
	is_int((int64_t) page.npeople, 1, "one works there");
	is_int((int64_t) page.dropped, 2, "another firm's, and what is no person, are dropped");
	ok(page.seen == 3 && page.total == 3 && page.more && !page.filters_ignored, "all is counted");
	is_text(page.people[0].id, "a1", "the id");
	is_text(page.people[0].name, "Ann", "the name, as far as it is known");
	ok(page.people[0].last_name == NULL && page.people[0].email == NULL &&
	   page.people[0].confidence == RF_CONFIDENCE_NO_EMAIL, "no more, and little confidence");
	rf_people_page_free(&page);

	outcome = search(200, NULL, "{\"pagination\":{\"total_entries\":150},\"people\":["
					 "{\"id\":\"a1\",\"name\":\"Ann Lee\",\"email\":\"ann@acme.com\",\"email_status\":\"verified\","
					 "\"linkedin_url\":\"http://l/ann\",\"organization\":{\"website_url\":\"http://WWW.Acme.com/\"}},"
					 "{\"id\":\"a2\",\"first_name\":\"Bob\",\"last_name\":\"Ray\",\"email\":\"email_not_unlocked@domain.com\","
					 "\"organization\":{\"website_url\":\"https://www.acme.com/en\"}},"
					 "{\"id\":\"a3\",\"email\":\"c@eu.acme.com\",\"email_status\":\"guessed\"}],"
					 "\"contacts\":[{\"id\":\"c1\",\"person_id\":\"a4\",\"email\":\"d@acme.com\",\"email_status\":\"bounced\"}]}",
					 200, 1, &page);
	is_outcome(&outcome, "ok yes", "the legacy answer");
	is_int((int64_t) page.npeople, 4, "has people and contacts");
	is_text(page.people[0].organization_domain, "acme.com", "a domain is the URL's host, folded");
	ok(page.people[0].confidence == RF_CONFIDENCE_EMAIL, "0.90 with an e-mail");
	ok(page.people[1].email == NULL, "a placeholder is no e-mail");
	is_text(page.people[1].name, "Bob Ray", "a name is made of its parts");
	is_text(page.people[2].email, "c@eu.acme.com", "whom nobody knows is known by the e-mail");
	ok(page.people[2].confidence == RF_CONFIDENCE_UNVERIFIED, "0.70 with a guessed one");
	is_text(page.people[3].id, "a4", "a contact has its person's id");
	ok(page.people[3].confidence == RF_CONFIDENCE_NO_EMAIL, "0.50 with one that bounced");
	is_int(page.total, 150, "its total");
	ok(page.more, "there are more");
	rf_people_page_free(&page);
}

static void
test_paging(void)
{
	RfPeoplePage page;
	RfOutcome	outcome;
	const char *one = "{\"total_entries\":250,\"people\":[{\"id\":\"a1\",\"organization\":{\"name\":\"Acme\"}}]}";

	(void) search(200, NULL, one, 250, 2, &page);
	ok(page.more, "after two of three pages there is one more");
	rf_people_page_free(&page);
	(void) search(200, NULL, one, 250, 3, &page);
	ok(!page.more, "after the third there is none");
	rf_people_page_free(&page);
	(void) search(200, NULL, one, 200, 2, &page);
	ok(page.more, "also when as many came as are wanted: some may be dropped");
	rf_people_page_free(&page);
	(void) search(200, NULL, "{\"people\":[{\"id\":\"a1\"}]}", 1000, 1, &page);
	ok(!page.more && page.total == -1, "without a total a page that is not full is the last");
	rf_people_page_free(&page);
	outcome = search(200, NULL, "{\"total_entries\":0,\"people\":[]}", 10, 1, &page);
	is_outcome(&outcome, "miss yes", "nobody is a miss, not an error");
	ok(page.npeople == 0 && !page.more && !page.filters_ignored, "without people");
	rf_people_page_free(&page);
}

static void
test_strangers(void)
{
	RfPeoplePage page;

	(void) search(200, NULL, "{\"total_entries\":232764882,\"people\":["
				  "{\"id\":\"a1\",\"organization\":{\"name\":\"Scicomm\"}},{\"id\":\"a2\",\"organization\":{\"name\":\"Acme\"}}]}",
				  10, 1, &page);
	ok(page.filters_ignored && page.npeople == 1 && page.dropped == 1,
	   "a total larger than any firm: the filter was ignored");
	rf_people_page_free(&page);
	(void) search(200, NULL, "{\"total_entries\":232764882,\"people\":[{\"id\":\"a1\"}]}", 1, 1, &page);
	ok(page.filters_ignored && page.npeople == 0 && page.dropped == 1,
	   "so nobody is believed whom nothing connects with the firm");
	rf_people_page_free(&page);
	(void) search(200, NULL, "{\"total_entries\":2,\"people\":["
				  "{\"id\":\"a1\",\"organization\":{\"name\":\"Scicomm\"}},{\"id\":\"a2\",\"organization\":{\"name\":\"Lazard\"}}]}",
				  10, 1, &page);
	ok(page.filters_ignored && page.npeople == 0 && page.dropped == 2, "so it was when many firms come and none fits");
	rf_people_page_free(&page);
	(void) search(200, NULL, "{\"total_entries\":2,\"people\":["
				  "{\"id\":\"a1\",\"organization\":{\"name\":\"Alphabet\"}},{\"id\":\"a2\",\"organization\":{\"name\":\"Alphabet\"}}]}",
				  10, 1, &page);
	ok(!page.filters_ignored && page.npeople == 2, "one firm of another name may own the domain");
	rf_people_page_free(&page);
	(void) search(200, NULL, "{\"total_entries\":3,\"people\":["
				  "{\"id\":\"a1\",\"organization\":{\"name\":\"ACME GmbH\"}},{\"id\":\"a2\",\"organization\":{\"name\":\"Lazard\"}},{\"id\":\"a3\"}]}",
				  10, 1, &page);
	ok(!page.filters_ignored && page.npeople == 2 && page.dropped == 1, "beside the right firm another one is wrong");
	rf_people_page_free(&page);
}

static void
is_search(int status, const char *header, const char *body, const char *expected)
{
	RfPeoplePage page;
	RfOutcome	outcome = search(status, header, body, 10, 1, &page);
	char		what[200];

	snprintf(what, sizeof(what), "search %d %.60s: %s", status, body != NULL ? body : "", expected);
	is_outcome(&outcome, expected, what);
	if (page.npeople > 0)
		ok(false, "a refusal has no people");
	rf_people_page_free(&page);
}

static void
test_refusals(void)
{
	RfPeoplePage page;
	RfOutcome	outcome;

	is_search(401, NULL, "Invalid API key. See https://docs.apollo.io/", "credential no wide");
	is_search(403, NULL, "{\"error\":\"no\",\"error_code\":\"API_INACCESSIBLE\"}", "config no wide");
	is_search(402, NULL, "", "quota no wide");
	is_search(422, NULL, "{\"error\":\"Invalid parameters\"}", "permanent no");
	is_search(422, NULL, "{\"error\":\"You have insufficient credits\"}", "quota no wide");
	is_search(404, NULL, "", "config no wide");
	is_search(429, NULL, "{\"message\":\"slow\"}", "throttle no wide");
	is_search(500, NULL, "", "transient no");
	is_search(503, "Retry-After: 3", "", "throttle no wide");
	is_search(408, NULL, "", "transient no");
	is_search(200, NULL, "{\"people\":\"none\"}", "malformed no");
	is_search(200, NULL, "{}", "malformed no");
	is_search(200, NULL, "<html>", "malformed no");
	is_search(200, NULL, NULL, "malformed no");

	outcome = search(429, "Retry-After: 77",
					 "{\"message\":\"{\\n \\\"message\\\": \\\"calls allowed is 600 times per hour.\\\"\\n}\"}",
					 10, 1, &page);
	is_text(outcome.reason, "calls allowed is 600 times per hour.", "a message inside a message is found");
	is_int(outcome.retry_after_s, 77, "and how long to wait");
	outcome = search(401, NULL, "Invalid API key.", 10, 1, &page);
	is_text(outcome.reason, "Invalid API key.", "bare text is a reason");
}

static RfOutcome
enrich(int status, const char *body, size_t nids, RfEnrichment *result)
{
	RfText		ids[3] = {span("a1"), span("a2"), span("a3")};
	RfResponse	response = response_of(status, NULL, body);
	RfOutcome	outcome;

	memset(&outcome, 'x', sizeof(outcome));
	calls()->read_enrich(&response, NOW, ids, nids, result, &outcome);
	rf_response_free(&response);
	return outcome;
}

static void
test_enrichment(void)
{
	RfEnrichment found;
	RfOutcome	outcome;
	RfOutcome	broken = enrich(500, "{\"error_code\":\"result_pending\"}", 2, &found);

	is_text(rf_outcome_class_text(broken.class), "ambiguous", "whatever a 500 says, what pays may have been paid");
	rf_enrichment_free(&found);

	outcome = enrich(200, "{\"status\":\"success\",\"missing_records\":1,\"credits_consumed\":2,"
					 "\"request_id\":-9039995589705121900,\"matches\":[null,"
					 "{\"id\":\"a3\",\"name\":\"Cy\",\"email\":\"cy@acme.com\"},"
					 "{\"id\":\"a1\",\"first_name\":\"Ann\",\"last_name\":\"Lee\"}]}", 3, &found);
	is_outcome(&outcome, "ok yes", "an enrichment");
	ok(found.npeople == 3 && found.misses == 1 && found.credits == 2, "is counted");
	is_text(found.people[0].name, "Ann Lee", "people are joined by id");
	ok(found.people[1].id == NULL, "who is missing is a miss");
	is_text(found.people[2].email, "cy@acme.com", "whatever the order");
	is_text(found.request_id, "-9039995589705121900", "a number past 53 bits survives");
	rf_enrichment_free(&found);

	outcome = enrich(200, "{\"request_id\":\"1039995589705121901\",\"matches\":["
					 "{\"id\":\"merged\",\"name\":\"Ann\"},{\"id\":\"a1\",\"name\":\"Not Bob\"}]}", 2, &found);
	ok(found.people[1].id == NULL && strcmp(found.people[0].name, "Not Bob") == 0,
	   "an id goes before the order");
	is_text(found.request_id, "1039995589705121901", "an id as a string is the same");
	is_int(found.credits, -1, "credits that are not said are not 0");
	rf_enrichment_free(&found);
	outcome = enrich(200, "{\"matches\":[{\"id\":\"merged\",\"name\":\"Ann\"},{\"id\":\"a2\"}]}", 2, &found);
	is_text(found.people[0].id, "a1", "a merged person keeps the id asked for");
	rf_enrichment_free(&found);
	outcome = enrich(200, "{\"request_id\":99999999999999999999,\"matches\":[{\"id\":\"a1\"}]}", 1, &found);
	is_outcome(&outcome, "ok yes", "a number past 64 bits does not lose the answer");
	ok(found.request_id == NULL, "but is not known");
	rf_enrichment_free(&found);

	outcome = enrich(200, "{\"status\":\"success\",\"credits_consumed\":0,\"matches\":[null,null]}", 2, &found);
	is_outcome(&outcome, "miss yes", "nobody matched");
	is_int((int64_t) found.misses, 2, "both are misses");
	rf_enrichment_free(&found);
	outcome = enrich(200, "{\"status\":\"failed\",\"error_code\":\"INVALID_REQUEST\",\"error_message\":\"missing details\"}", 2, &found);
	is_outcome(&outcome, "permanent no", "200 can be a refusal");
	is_text(outcome.reason, "missing details", "with its reason");
	outcome = enrich(200, "{\"matches\":[{\"id\":\"a1\"", 2, &found);
	is_outcome(&outcome, "malformed perhaps", "an answer that was cut may have cost something");
	outcome = enrich(502, "<html>", 2, &found);
	is_outcome(&outcome, "ambiguous perhaps", "so may one that never came");
	outcome = enrich(429, "{\"message\":\"x\"}", 2, &found);
	is_outcome(&outcome, "throttle no wide", "a refusal did not");
	ok(found.npeople == 0 && found.credits == -1, "and has nothing");
}

/* Search and enrichment are read as such, the rest as a refusal or not at all. */
static RfOutcome
read_vector(json_t *vector, const RfResponse *response)
{
	RfPeopleQuery query = query_for("apollo.io", 10);
	RfText		ids[3] = {
		span("64a7ff0cc4dfae00013df1a5"), span("587cf802f65125cad923a266"), span("none")
	};
	const char *endpoint = vector_text(vector, "endpoint");
	RfPeoplePage page;
	RfEnrichment found;
	RfOutcome	outcome;
	json_t	   *root;

	if (strstr(endpoint, "api_search") != NULL)
	{
		calls()->read_search(response, NOW, &query, 1, &page, &outcome);
		rf_people_page_free(&page);
	}
	else if (strstr(endpoint, "bulk_match") != NULL)
	{
		calls()->read_enrich(response, NOW, ids, 3, &found, &outcome);
		if (strcmp(vector_text(vector, "name"), "post_people_bulk_match_200_1") == 0)
			is_text(found.request_id, "1039995589705121900", "the recorded request id survives");
		rf_enrichment_free(&found);
	}
	else if (response->status == 200)
		rf_outcome_init(&outcome, RF_OUTCOME_OK, 200);	/* not ours to ask */
	else
	{
		root = json_loadb(response->body, response->body_len, 0, NULL);
		rf_apollo_read_refusal(response, root, NOW, true, &outcome);
		json_decref(root);
	}
	return outcome;
}

static void
test_vectors(void)
{
	json_t	   *vectors = load_vectors("apollo.json");
	json_t	   *vector;
	size_t		i;

	if (vectors == NULL)
	{
		skip("no vectors here: name their folder in RF_VECTORS");
		return;
	}
	json_array_foreach(vectors, i, vector)
	{
		RfResponse	response = vector_response(vector);
		RfOutcome	outcome = read_vector(vector, &response);

		is_text(rf_outcome_class_text(outcome.class), vector_text(vector, "class"),
				vector_text(vector, "name"));
		rf_response_free(&response);
	}
	ok(json_array_size(vectors) >= 20, "the vectors were all there");
	json_decref(vectors);
}

int
main(void)
{
	test_search_request();
	test_legacy_request();
	test_enrich_request();
	test_people();
	test_paging();
	test_strangers();
	test_refusals();
	test_enrichment();
	test_vectors();
	return done_testing();
}

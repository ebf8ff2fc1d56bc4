/*
 * A query from bytes: what passes the checks can be asked of every provider,
 * in JSON or a URL that nothing got out of; what does not names a field.
 */
#include "fuzz.h"
#include "provider/json.h"
#include "provider/people.h"
#include "provider/provider.h"

static void
check_request(const RfRequest *request)
{
	const char *secret = "sec_ret_42";	/* no domain has such characters */
	json_t	   *body;

	MUST(strstr(request->url, secret) == NULL && strpbrk(request->url, " \r\n\"#") == NULL);
	MUST(request->get == (request->body == NULL));
	if (request->body == NULL)
		return;
	body = json_loadb(request->body, request->body_len, JSON_REJECT_DUPLICATES, NULL);
	MUST(json_is_object(body) && json_array_size(json_object_get(body, "person_titles")) <= 2);
	json_decref(body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const dialects[] = {NULL, "legacy"};
	Input		input = make_input(data, size);
	RfAccountConfig account = {0};
	RfPeopleQuery query;
	RfText		texts[4];
	RfFieldError error;
	const RfProvider *provider;

	memset(&query, 0, sizeof(query));
	query.max_results = take_byte(&input);
	query.domain = take_text(&input);
	for (size_t i = 0; i < 4; i++)
		texts[i] = take_text(&input);
	query.titles = texts;
	query.ntitles = query.max_results % 3;
	query.seniorities = texts + 2;
	query.nseniorities = query.max_results % 2;
	query.locations = texts + 3;
	query.nlocations = query.max_results % 2;
	account.secret = "sec_ret_42";
	account.dialect = dialects[size % 2];
	if (!rf_people_check(&query, &error))
	{
		MUST(error.field[0] != '\0' && strchr(error.problem, '@') == NULL);
		check_one_line(error.problem, sizeof(error.problem));
		return 0;
	}
	for (size_t i = 0; (provider = rf_provider_at(i)) != NULL; i++)
	{
		RfRequest	request = {0};

		if (provider->people == NULL)
			continue;
		MUST(provider->people->build_search(&account, &query, 1, &request));
		check_request(&request);
		rf_request_free(&request);
	}
	return 0;
}

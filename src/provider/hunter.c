/*-------------------------------------------------------------------------
 *
 * hunter.c
 *	  Adapter for Hunter: domain search.
 *
 * One GET gives a page of a domain's people with their e-mails; there is nothing
 * to enrich.  It costs a credit for each ten found, so it is effectful.  The key
 * goes in a header.
 *
 * Its refusals are the other way round: 403 is "too fast", 429 "no credit left".
 *
 * Hunter knows three seniorities and no filter for titles or locations; titles
 * are compared here, with the words of a person's position, and locations not at
 * all.
 *
 * IDENTIFICATION
 *	  src/provider/hunter.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "provider/answer.h"
#include "provider/lookup.h"
#include "provider/people.h"

#include "provider/adapters.h"

#define PAGE_SIZE 100
#define PEOPLE_PER_CREDIT 10

static bool build_search(const RfAccountConfig *account,
						 const RfPeopleQuery *query, int page,
						 RfRequest *request);
static void add_seniorities(RfBuffer *path, const RfPeopleQuery *query);
static const char *seniority_of(RfText word);
static void read_search(const RfResponse *response, int64_t now_s,
						const RfPeopleQuery *query, int page,
						RfPeoplePage *result, RfOutcome *outcome);
static void read_refusal(const RfResponse *response, json_t *root,
						 int64_t now_s, RfOutcome *outcome);
static void classify(const RfResponse *response, int64_t now_s,
					 RfOutcome *outcome);
static bool read_people(json_t *data, json_t *list, RfPeoplePage *result);
static bool read_person(json_t *data, json_t *row, RfPerson *person);
static char *join_names(const RfPerson *person, bool *failed);
static void drop_other_titles(const RfPeopleQuery *query,
							  RfPeoplePage *result);
static bool has_title(const RfPerson *person, const RfPeopleQuery *query);
static bool has_words(const char *text, RfText words);
static bool is_in_word(char c);

static const RfPeopleCalls people = {
	.page_size = PAGE_SIZE,
	.enrich_max = 0,
	.search_costs = true,
	.people_per_credit = PEOPLE_PER_CREDIT,
	.build_search = build_search,
	.read_search = read_search,
};

static const RfDefaultLimit default_limits[] = {{"", 15, 1}, {"", 500, 60}, {NULL, 0, 0}};

const RfProvider rf_provider_hunter = {
	.name = "hunter",
	.base_url_us = "https://api.hunter.io",
	.default_limits = default_limits,
	.people = &people,
};

/* A checked domain needs no escaping. */
static bool
build_search(const RfAccountConfig *account, const RfPeopleQuery *query,
			 int page, RfRequest *request)
{
	RfBuffer	path = {0};
	char		text[100];
	size_t		rows = rf_people_page_rows(query, PAGE_SIZE);
	RfFieldError error;
	bool		good = page >= 1 && rf_people_check(query, &error);

	rf_buffer_add_text(&path, "/v2/domain-search?domain=");
	if (good)
		rf_buffer_add(&path, query->domain.data, query->domain.len);
	snprintf(text, sizeof(text), "&type=personal&limit=%zu&offset=%zu", rows,
			 (size_t) (page - 1) * rows);
	rf_buffer_add_text(&path, text);
	add_seniorities(&path, query);
	good = good && account->secret != NULL && !path.failed &&
		rf_lookup_set_url(&rf_provider_hunter, account, path.data, request) &&
		rf_request_add_header(request, "X-API-KEY", account->secret) &&
		rf_request_add_header(request, "Accept", "application/json");
	rf_buffer_free(&path);
	if (!good)
		rf_request_free(request);
	else
		request->get = true;
	return good;
}

static void
add_seniorities(RfBuffer *path, const RfPeopleQuery *query)
{
	static const char *const levels[] = {"junior", "senior", "executive"};
	bool		first = true;

	for (size_t level = 0; level < sizeof(levels) / sizeof(levels[0]); level++)
	{
		for (size_t i = 0; i < query->nseniorities; i++)
		{
			if (strcmp(seniority_of(query->seniorities[i]), levels[level]) != 0)
				continue;
			rf_buffer_add_text(path, first ? "&seniority=" : ",");
			rf_buffer_add_text(path, levels[level]);
			first = false;
			break;
		}
	}
}

static const char *
seniority_of(RfText word)
{
	static const char *const lower[] = {"entry", "intern", "senior", "manager", "head"};

	for (size_t i = 0; i < sizeof(lower) / sizeof(lower[0]); i++)
	{
		if (strlen(lower[i]) == word.len &&
			memcmp(lower[i], word.data, word.len) == 0)
			return i < 2 ? "junior" : "senior";
	}
	return "executive";
}

static void
read_search(const RfResponse *response, int64_t now_s,
			const RfPeopleQuery *query, int page, RfPeoplePage *result,
			RfOutcome *outcome)
{
	json_t	   *root = rf_lookup_json(response);
	json_t	   *data = json_object_get(root, "data");
	json_t	   *list = json_object_get(data, "emails");
	int64_t		rows = (int64_t) rf_people_page_rows(query, PAGE_SIZE);

	memset(result, 0, sizeof(*result));
	result->total = -1;
	result->credits = -1;
	if (response->status < 200 || response->status >= 300)
		read_refusal(response, root, now_s, outcome);
	else if (response->status == 202)
	{
		rf_outcome_init(outcome, RF_OUTCOME_PENDING, response->status);
		rf_answer_set_reason(outcome, response, "the answer is not ready", NULL);
	}
	else if (!json_is_array(list) || !read_people(data, list, result))
	{
		rf_people_page_free(result);
		result->total = -1;
		result->credits = -1;
		rf_lookup_malformed(response, true, outcome);
	}
	else
	{
		result->total = rf_lookup_count(json_object_get(root, "meta"), "results");
		result->credits = ((int64_t) result->seen + PEOPLE_PER_CREDIT - 1) / PEOPLE_PER_CREDIT;
		result->more = result->seen > 0 &&
			(result->total >= 0 ? result->total > rows * page :
			 result->seen >= (size_t) rows);
		if (result->seen == 0)
			rf_lookup_miss(response->status, "nobody was found", outcome);
		else
			rf_outcome_init(outcome, RF_OUTCOME_OK, response->status);
		rf_people_drop_strangers(result, query->domain);
		drop_other_titles(query, result);
	}
	json_decref(root);
}

static void
read_refusal(const RfResponse *response, json_t *root, int64_t now_s,
			 RfOutcome *outcome)
{
	json_t	   *error = json_array_get(json_object_get(root, "errors"), 0);

	classify(response, now_s, outcome);
	rf_answer_set_reason(outcome, response,
						 json_string_value(json_object_get(error, "details")), NULL);
}

static void
classify(const RfResponse *response, int64_t now_s, RfOutcome *outcome)
{
	int			status = response->status;

	if (status == 429 || status == 402)
		rf_answer_init_wide(outcome, RF_OUTCOME_QUOTA, status);
	else if (status == 403)
		rf_answer_init_wide(outcome, RF_OUTCOME_THROTTLE, status);
	else if (status == 401)
		rf_answer_init_wide(outcome, RF_OUTCOME_CREDENTIAL, status);
	else if (!rf_lookup_common(response, now_s, true, outcome))
		rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, status);
}

/* False: out of memory. */
static bool
read_people(json_t *data, json_t *list, RfPeoplePage *result)
{
	size_t		count = json_array_size(list);

	result->people = calloc(count > 0 ? count : 1, sizeof(RfPerson));
	if (result->people == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
	{
		RfPerson   *person = &result->people[result->npeople++];

		result->seen++;
		if (!read_person(data, json_array_get(list, i), person))
			return false;
		if (person->email != NULL)
			continue;
		rf_person_free(person);
		result->npeople--;
		result->dropped++;
	}
	return true;
}

/* The provider's confidence, 0 to 100, moves ours between its two ends. */
static bool
read_person(json_t *data, json_t *row, RfPerson *person)
{
	json_t	   *verification = json_object_get(row, "verification");
	int64_t		percent = rf_lookup_count(row, "confidence");
	bool		failed = false;

	person->id = rf_lookup_text(row, "value", &failed);
	person->email = rf_lookup_text(row, "value", &failed);
	person->first_name = rf_lookup_text(row, "first_name", &failed);
	person->last_name = rf_lookup_text(row, "last_name", &failed);
	person->name = join_names(person, &failed);
	person->title = rf_lookup_text(row, "position", &failed);
	person->linkedin = rf_lookup_text(row, "linkedin", &failed);
	person->email_status = rf_lookup_text(verification, "status", &failed);
	person->organization_name = rf_lookup_text(data, "organization", &failed);
	person->organization_domain = rf_lookup_text(data, "domain", &failed);
	rf_person_rate(person);
	if (person->confidence == RF_CONFIDENCE_EMAIL && percent >= 0 && percent < 100)
		person->confidence = RF_CONFIDENCE_NO_EMAIL +
			(RF_CONFIDENCE_EMAIL - RF_CONFIDENCE_NO_EMAIL) * (double) percent / 100.0;
	return !failed;
}

static char *
join_names(const RfPerson *person, bool *failed)
{
	const char *first = person->first_name != NULL ? person->first_name : "";
	const char *last = person->last_name != NULL ? person->last_name : "";
	size_t		size = strlen(first) + strlen(last) + 2;
	char	   *name;

	if (size == 2)
		return NULL;
	name = malloc(size);
	if (name == NULL)
		*failed = true;
	else
		snprintf(name, size, "%s%s%s", first,
				 first[0] != '\0' && last[0] != '\0' ? " " : "", last);
	return name;
}

static void
drop_other_titles(const RfPeopleQuery *query, RfPeoplePage *result)
{
	size_t		kept = 0;

	for (size_t i = 0; i < result->npeople; i++)
	{
		if (has_title(&result->people[i], query))
			result->people[kept++] = result->people[i];
		else
		{
			rf_person_free(&result->people[i]);
			result->dropped++;
		}
	}
	result->npeople = kept;
}

static bool
has_title(const RfPerson *person, const RfPeopleQuery *query)
{
	if (query->ntitles == 0)
		return true;
	for (size_t i = 0; i < query->ntitles && person->title != NULL; i++)
	{
		if (has_words(person->title, query->titles[i]))
			return true;
	}
	return false;
}

/* Whole words, whatever their case: a director is no CTO. */
static bool
has_words(const char *text, RfText words)
{
	size_t		len = strlen(text);

	for (size_t at = 0; at + words.len <= len; at++)
	{
		if ((at == 0 || !is_in_word(text[at - 1])) &&
			!is_in_word(text[at + words.len]) &&
			rf_text_same_nocase(text + at, words.data, words.len))
			return true;
	}
	return false;
}

/* Anything beyond ASCII is taken for a letter; the NUL at the end is none. */
static bool
is_in_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || (unsigned char) c >= 0x80;
}

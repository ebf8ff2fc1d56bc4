/*-------------------------------------------------------------------------
 *
 * apollo_people.c
 *	  Reading the people in Apollo's answers.
 *
 * Today's search gives first name, title and the organisation's name; the legacy
 * one gives everything, with a placeholder for an e-mail that was not paid for.
 * Contacts of the account's own come in a list beside the people.
 *
 * An enrichment's rows are joined by id; one that came back under another id,
 * because Apollo had merged two records, is taken by its place.
 *
 * IDENTIFICATION
 *	  src/provider/apollo_people.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "provider/apollo.h"
#include "provider/answer.h"
#include "provider/lookup.h"

/* What the legacy search shows instead of an e-mail that was not paid for. */
#define PLACEHOLDER "email_not_unlocked@"

static void read_page(const RfResponse *response, json_t *root,
					  const RfPeopleQuery *query, int page,
					  RfPeoplePage *result, RfOutcome *outcome);
static bool add_people(json_t *list, RfPeoplePage *page);
static bool has_more(const RfPeoplePage *page, const RfPeopleQuery *query,
					 int number);
static bool read_person(json_t *row, RfPerson *person);
static char *read_name(json_t *row, const RfPerson *person, bool *failed);
static char *read_domain(json_t *organization, bool *failed);
static char *host_of(const char *url);
static void read_matches(const RfResponse *response, json_t *root,
						 const RfText *ids, size_t nids,
						 RfEnrichment *result, RfOutcome *outcome);
static bool place_matches(json_t *matches, const RfText *ids, bool by_id,
						  RfEnrichment *result);
static size_t find_id(const char *id, const RfText *ids, size_t nids);

void
rf_apollo_read_search(const RfResponse *response, int64_t now_s,
					  const RfPeopleQuery *query, int page,
					  RfPeoplePage *result, RfOutcome *outcome)
{
	json_t	   *root = rf_lookup_json(response);

	memset(result, 0, sizeof(*result));
	result->total = -1;
	result->credits = 0;
	if (response->status >= 200 && response->status < 300)
		read_page(response, root, query, page, result, outcome);
	else
		rf_apollo_read_refusal(response, root, now_s, false, outcome);
	json_decref(root);
}

static void
read_page(const RfResponse *response, json_t *root, const RfPeopleQuery *query,
		  int page, RfPeoplePage *result, RfOutcome *outcome)
{
	json_t	   *list = json_object_get(root, "people");

	if (!json_is_array(list) || !add_people(list, result) ||
		!add_people(json_object_get(root, "contacts"), result))
	{
		rf_people_page_free(result);
		result->total = -1;
		rf_lookup_malformed(response, false, outcome);
		return;
	}
	result->total = rf_lookup_count(root, "total_entries");
	if (result->total < 0)
		result->total = rf_lookup_count(json_object_get(root, "pagination"),
										"total_entries");
	result->more = has_more(result, query, page);
	if (result->seen == 0)
	{
		rf_lookup_miss(response->status, "nobody was found", outcome);
		return;
	}
	rf_outcome_init(outcome, RF_OUTCOME_OK, response->status);
	rf_people_drop_strangers(result, query->domain);
}

/* False: out of memory.  A row that is no object is seen and dropped. */
static bool
add_people(json_t *list, RfPeoplePage *page)
{
	size_t		count = json_array_size(list);
	RfPerson   *people;

	if (count == 0)
		return true;
	people = realloc(page->people, (page->npeople + count) * sizeof(RfPerson));
	if (people == NULL)
		return false;
	page->people = people;
	for (size_t i = 0; i < count; i++)
	{
		json_t	   *row = json_array_get(list, i);

		page->seen++;
		if (!json_is_object(row))
		{
			page->dropped++;
			continue;
		}
		if (!read_person(row, &people[page->npeople++]))
			return false;
	}
	return true;
}

static bool
has_more(const RfPeoplePage *page, const RfPeopleQuery *query, int number)
{
	int64_t		rows = (int64_t) rf_people_page_rows(query, RF_APOLLO_PAGE_SIZE);

	if (page->seen == 0 || number >= RF_APOLLO_MAX_PAGES)
		return false;
	if (page->total >= 0)
		return page->total > rows * number;
	return page->seen >= (size_t) rows;
}

/* False: out of memory; *person is to be freed all the same. */
static bool
read_person(json_t *row, RfPerson *person)
{
	json_t	   *organization = json_object_get(row, "organization");
	bool		failed = false;

	memset(person, 0, sizeof(*person));
	person->id = rf_lookup_text(row, "person_id", &failed);
	if (person->id == NULL)
		person->id = rf_lookup_text(row, "id", &failed);
	person->first_name = rf_lookup_text(row, "first_name", &failed);
	person->last_name = rf_lookup_text(row, "last_name", &failed);
	person->name = read_name(row, person, &failed);
	person->title = rf_lookup_text(row, "title", &failed);
	person->email = rf_lookup_text(row, "email", &failed);
	person->email_status = rf_lookup_text(row, "email_status", &failed);
	person->linkedin = rf_lookup_text(row, "linkedin_url", &failed);
	person->organization_name = rf_lookup_text(organization, "name", &failed);
	if (person->organization_name == NULL)
		person->organization_name = rf_lookup_text(row, "organization_name", &failed);
	person->organization_domain = read_domain(organization, &failed);

	if (person->email != NULL &&
		(strncmp(person->email, PLACEHOLDER, strlen(PLACEHOLDER)) == 0 ||
		 strchr(person->email, '@') == NULL))
	{
		free(person->email);
		person->email = NULL;
	}
	rf_person_rate(person);
	return !failed;
}

/* The name as given, else first and last name, else the first alone. */
static char *
read_name(json_t *row, const RfPerson *person, bool *failed)
{
	RfBuffer	name = {0};
	char	   *copy = rf_lookup_text(row, "name", failed);

	if (copy != NULL || person->first_name == NULL)
		return copy;
	rf_buffer_add_text(&name, person->first_name);
	if (person->last_name != NULL)
	{
		rf_buffer_add_text(&name, " ");
		rf_buffer_add_text(&name, person->last_name);
	}
	*failed |= name.failed;
	copy = name.failed ? NULL : strdup(name.data);
	*failed |= copy == NULL;
	rf_buffer_free(&name);
	return copy;
}

static char *
read_domain(json_t *organization, bool *failed)
{
	static const char *const names[] = {"primary_domain", "domain", "website_url"};
	char	   *domain = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && domain == NULL; i++)
	{
		char	   *text = rf_lookup_text(organization, names[i], failed);

		if (text == NULL)
			continue;
		domain = host_of(text);
		*failed |= domain == NULL;
		free(text);
		if (domain != NULL && domain[0] == '\0')
		{
			free(domain);
			domain = NULL;
		}
	}
	return domain;
}

/* Of a URL or a bare name: the host without "www.", in lower case. */
static char *
host_of(const char *url)
{
	const char *start = strstr(url, "://");
	size_t		len;
	char	   *host;

	start = start != NULL ? start + 3 : url;
	if (strlen(start) > 4 && rf_text_same_nocase(start, "www.", 4))
		start += 4;
	len = strcspn(start, "/?#:");
	host = strndup(start, len);
	for (size_t i = 0; host != NULL && i < len; i++)
	{
		if (host[i] >= 'A' && host[i] <= 'Z')
			host[i] = (char) (host[i] + 'a' - 'A');
	}
	return host;
}

void
rf_apollo_read_enrich(const RfResponse *response, int64_t now_s,
					  const RfText *ids, size_t nids, RfEnrichment *result,
					  RfOutcome *outcome)
{
	json_t	   *root = rf_lookup_json(response);

	memset(result, 0, sizeof(*result));
	result->credits = -1;
	if (response->status >= 200 && response->status < 300)
		read_matches(response, root, ids, nids, result, outcome);
	else
		rf_apollo_read_refusal(response, root, now_s, true, outcome);
	json_decref(root);
}

/* Status "failed" with nothing matched is a refusal, whatever HTTP says. */
static void
read_matches(const RfResponse *response, json_t *root, const RfText *ids,
			 size_t nids, RfEnrichment *result, RfOutcome *outcome)
{
	json_t	   *matches = json_object_get(root, "matches");
	const char *status = json_string_value(json_object_get(root, "status"));
	bool		failed = false;

	if (status != NULL && strcmp(status, "failed") == 0 &&
		json_array_size(matches) == 0)
	{
		rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, response->status);
		rf_answer_set_reason(outcome, response,
							 json_string_value(json_object_get(root, "error_message")), NULL);
		return;
	}
	result->people = calloc(nids > 0 ? nids : 1, sizeof(RfPerson));
	if (result->people != NULL)
		result->npeople = nids;
	result->credits = rf_lookup_count(root, "credits_consumed");
	result->request_id = rf_lookup_number(root, "request_id", &failed);
	if (result->people == NULL || !json_is_array(matches) || failed ||
		!place_matches(matches, ids, true, result) ||
		!place_matches(matches, ids, false, result))
	{
		rf_enrichment_free(result);
		result->credits = -1;
		rf_lookup_malformed(response, true, outcome);
		return;
	}
	for (size_t i = 0; i < nids; i++)
		result->misses += result->people[i].id == NULL ? 1 : 0;
	if (result->misses == nids)
		rf_lookup_miss(response->status, "nobody was matched", outcome);
	else
		rf_outcome_init(outcome, RF_OUTCOME_OK, response->status);
}

/*
 * The id asked for is the one kept, so that callers can join on it.  Called
 * twice: what has its id takes its place before anything is placed by order.
 */
static bool
place_matches(json_t *matches, const RfText *ids, bool by_id,
			  RfEnrichment *result)
{
	for (size_t i = 0; i < json_array_size(matches); i++)
	{
		json_t	   *match = json_array_get(matches, i);
		const char *id = json_string_value(json_object_get(match, "id"));
		size_t		place = SIZE_MAX;
		RfPerson   *person;

		if (id != NULL)
			place = find_id(id, ids, result->npeople);
		if (!by_id)
			place = id != NULL && place == SIZE_MAX &&
				json_array_size(matches) == result->npeople ? i : SIZE_MAX;
		if (place == SIZE_MAX || result->people[place].id != NULL)
			continue;
		person = &result->people[place];
		if (!read_person(match, person))
			return false;
		free(person->id);
		person->id = strndup(ids[place].data, ids[place].len);
		if (person->id == NULL)
			return false;
	}
	return true;
}

static size_t
find_id(const char *id, const RfText *ids, size_t nids)
{
	size_t		len = strlen(id);

	for (size_t i = 0; i < nids; i++)
	{
		if (ids[i].len == len && memcmp(ids[i].data, id, len) == 0)
			return i;
	}
	return SIZE_MAX;
}

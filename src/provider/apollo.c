/*-------------------------------------------------------------------------
 *
 * apollo.c
 *	  Adapter for Apollo: search of people, and their enrichment.
 *
 * A search is free and names no e-mail, no last name and no profile; these cost
 * a credit each, by person id and ten at once.  Filters that Apollo does not know
 * are ignored without a word, so their names are written here and nowhere else.
 *
 * The account option dialect 'legacy' speaks as Apollo did before: another path,
 * "organization_domains", and the key in the body.
 *
 * What an answer says is read in apollo_people.c.
 *
 * IDENTIFICATION
 *	  src/provider/apollo.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "codec/json_text.h"
#include "codec/text.h"
#include "provider/answer.h"
#include "provider/apollo.h"
#include "provider/lookup.h"

#include "provider/adapters.h"

static bool build_search(const RfAccountConfig *account,
						 const RfPeopleQuery *query, int page,
						 RfRequest *request);
static bool build_enrich(const RfAccountConfig *account, const RfText *ids,
						 size_t nids, RfRequest *request);
static bool is_legacy(const RfAccountConfig *account);
static bool finish(const RfAccountConfig *account, const char *path,
				   RfBuffer *body, RfRequest *request);
static void add_number(RfBuffer *body, const char *name, size_t number);
static RfText lower_domain(RfText domain, char buf[256]);
static const char *find_message(json_t *root, json_t **inner);
static bool is_about_credits(const char *message);
static void classify(const RfResponse *response, json_t *root, int64_t now_s,
					 bool effectful, const char *message, RfOutcome *outcome);

static const RfPeopleCalls people = {
	.page_size = RF_APOLLO_PAGE_SIZE,
	.enrich_max = RF_APOLLO_ENRICH_MAX,
	.search_costs = false,
	.build_search = build_search,
	.read_search = rf_apollo_read_search,
	.build_enrich = build_enrich,
	.read_enrich = rf_apollo_read_enrich,
};

/*
 * The first design's limit.  What a plan really has is learnt from the headers
 * of answers, or written into rate_limit.
 */
static const RfDefaultLimit default_limits[] = {{"", 100, 3600}, {NULL, 0, 0}};

const RfProvider rf_provider_apollo = {
	.name = "apollo",
	.has_legacy_dialect = true,
	.base_url_us = "https://api.apollo.io",
	.default_limits = default_limits,
	.people = &people,
};

static bool
build_search(const RfAccountConfig *account, const RfPeopleQuery *query,
			 int page, RfRequest *request)
{
	bool		legacy = is_legacy(account);
	char		buf[256];
	RfText		domain = lower_domain(query->domain, buf);
	RfBuffer	body = {0};
	RfFieldError error;

	if (page < 1 || page > RF_APOLLO_MAX_PAGES || !rf_people_check(query, &error))
		return false;
	rf_buffer_add_text(&body, "{");
	rf_json_text_list(&body,
					  legacy ? "organization_domains" : "q_organization_domains_list",
					  &domain, 1);
	rf_json_text_list(&body, "person_titles", query->titles, query->ntitles);
	rf_json_text_list(&body, "person_seniorities", query->seniorities,
					  query->nseniorities);
	rf_json_text_list(&body, "person_locations", query->locations,
					  query->nlocations);
	add_number(&body, "page", (size_t) page);
	add_number(&body, "per_page",
			   rf_people_page_rows(query, RF_APOLLO_PAGE_SIZE));
	return finish(account,
				  legacy ? "/v1/mixed_people/search" : "/api/v1/mixed_people/api_search",
				  &body, request);
}

/* Nothing that costs more than a credit a person is asked for. */
static bool
build_enrich(const RfAccountConfig *account, const RfText *ids, size_t nids,
			 RfRequest *request)
{
	RfBuffer	body = {0};

	if (nids == 0 || nids > RF_APOLLO_ENRICH_MAX)
		return false;
	rf_buffer_add_text(&body, "{\"details\":[");
	for (size_t i = 0; i < nids; i++)
	{
		rf_buffer_add_text(&body, i == 0 ? "{" : ",{");
		rf_json_text_member(&body, "id", ids[i]);
		rf_buffer_add_text(&body, "}");
	}
	rf_buffer_add_text(&body,
					   "],\"reveal_personal_emails\":false,\"reveal_phone_number\":false");
	return finish(account,
				  is_legacy(account) ? "/v1/people/bulk_match" : "/api/v1/people/bulk_match",
				  &body, request);
}

static bool
is_legacy(const RfAccountConfig *account)
{
	return account->dialect != NULL && strcmp(account->dialect, "legacy") == 0;
}

/* Closes the body and adds the key, wherever this dialect wants it. */
static bool
finish(const RfAccountConfig *account, const char *path, RfBuffer *body,
	   RfRequest *request)
{
	bool		good = account->secret != NULL;

	if (good && is_legacy(account))
		rf_json_text_member(body, "api_key", rf_text_of(account->secret));
	else if (good)
		good = rf_request_add_header(request, "x-api-key", account->secret);
	rf_buffer_add_text(body, "}");
	good = good &&
		rf_lookup_set_url(&rf_provider_apollo, account, path, request) &&
		rf_lookup_set_json(request, body);
	rf_buffer_free(body);
	if (!good)
		rf_request_free(request);
	return good;
}

static void
add_number(RfBuffer *body, const char *name, size_t number)
{
	char		text[64];

	snprintf(text, sizeof(text), ",\"%s\":%zu", name, number);
	rf_buffer_add_text(body, text);
}

/* Empty when it does not fit, which a checked one does. */
static RfText
lower_domain(RfText domain, char buf[256])
{
	RfText		result = {buf, 0};

	if (domain.len > 255)
		return result;
	for (size_t i = 0; i < domain.len; i++)
	{
		char		c = domain.data[i];

		buf[i] = c >= 'A' && c <= 'Z' ? (char) (c + 'a' - 'A') : c;
	}
	result.len = domain.len;
	return result;
}

void
rf_apollo_read_refusal(const RfResponse *response, json_t *root, int64_t now_s,
					   bool effectful, RfOutcome *outcome)
{
	json_t	   *inner = NULL;
	const char *message = find_message(root, &inner);

	classify(response, root, now_s, effectful, message, outcome);
	rf_answer_set_reason(outcome, response, message, NULL);
	json_decref(inner);
}

static void
classify(const RfResponse *response, json_t *root, int64_t now_s,
		 bool effectful, const char *message, RfOutcome *outcome)
{
	int			status = response->status;
	const char *code = json_string_value(json_object_get(root, "error_code"));

	/* Words of refusals: they make no 5xx one, after which it may be paid. */
	if (status >= 500)
		code = NULL;
	if (code != NULL && strcmp(code, "result_pending") == 0)
	{
		rf_outcome_init(outcome, RF_OUTCOME_PENDING, status);
		outcome->retry_after_s = rf_lookup_count(root, "retry_after_seconds");
		if (outcome->retry_after_s > INT32_MAX)
			outcome->retry_after_s = INT32_MAX;
	}
	else if (code != NULL && (strcmp(code, "request_id_unknown") == 0 ||
							  strcmp(code, "request_id_expired") == 0))
		rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, status);
	else if (rf_lookup_common(response, now_s, effectful, outcome))
		return;
	else if (status == 402 || is_about_credits(message))
		rf_answer_init_wide(outcome, RF_OUTCOME_QUOTA, status);
	else if (status == 401)
		rf_answer_init_wide(outcome, RF_OUTCOME_CREDENTIAL, status);
	else if (status == 403)
		rf_answer_init_wide(outcome, RF_OUTCOME_CONFIG, status);
	else
		rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, status);
}

/* Sometimes the message is a JSON text with the message in it; *inner owns it. */
static const char *
find_message(json_t *root, json_t **inner)
{
	static const char *const names[] = {"message", "error", "error_message"};
	const char *message = NULL;
	const char *deeper;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && message == NULL; i++)
		message = json_string_value(json_object_get(root, names[i]));
	if (message == NULL || message[strspn(message, " \t\r\n")] != '{')
		return message;
	*inner = json_loads(message, 0, NULL);
	deeper = json_string_value(json_object_get(*inner, "message"));
	return deeper != NULL ? deeper : message;
}

static bool
is_about_credits(const char *message)
{
	size_t		len = message != NULL ? strlen(message) : 0;

	return rf_text_contains_nocase(message, len, "insufficient credit") ||
		rf_text_contains_nocase(message, len, "not enough credit") ||
		rf_text_contains_nocase(message, len, "out of credit");
}

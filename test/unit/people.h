/*-------------------------------------------------------------------------
 *
 * people.h
 *	  Queries and answers for the tests of lookups.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TEST_PEOPLE_H
#define ROLEFERRY_TEST_PEOPLE_H

#include <stdlib.h>

#include "mail.h"
#include "provider/people.h"
#include "provider/provider.h"
#include "tap.h"

#define NOW INT64_C(1700000000)

static RfText test_titles[2];

__attribute__((unused))
static RfPeopleQuery
query_for(const char *domain, int64_t max_results)
{
	RfPeopleQuery query;

	memset(&query, 0, sizeof(query));
	test_titles[0] = span("CTO");
	test_titles[1] = span("VP \"Sales\"");
	query.domain = span(domain);
	query.titles = test_titles;
	query.ntitles = 2;
	query.max_results = max_results;
	return query;
}

/* One header line at most, or NULL. */
__attribute__((unused))
static RfResponse
response_of(int status, const char *header, const char *body)
{
	RfResponse	response;

	memset(&response, 0, sizeof(response));
	response.status = status;
	if (header != NULL)
		rf_response_add_header(&response, header, strlen(header));
	response.body = body != NULL ? strdup(body) : NULL;
	response.body_len = body != NULL ? strlen(body) : 0;
	return response;
}

/* "class taken wide", as in answers.h. */
__attribute__((unused))
static void
is_outcome(const RfOutcome *outcome, const char *expected, const char *what)
{
	static const char *const taken[] = {"no", "yes", "perhaps"};
	char		got[100];

	snprintf(got, sizeof(got), "%s %s%s", rf_outcome_class_text(outcome->class),
			 taken[outcome->taken], outcome->account_wide ? " wide" : "");
	is_text(got, expected, what);
	if ((outcome->class == RF_OUTCOME_OK) != (outcome->reason[0] == '\0'))
		ok(false, "there is a reason unless all is well");
}

__attribute__((unused))
static bool
has_header(const RfRequest *request, const char *line)
{
	for (size_t i = 0; i < request->nheaders; i++)
	{
		if (strcmp(request->headers[i], line) == 0)
			return true;
	}
	return false;
}

#endif							/* ROLEFERRY_TEST_PEOPLE_H */

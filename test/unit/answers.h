/*-------------------------------------------------------------------------
 *
 * answers.h
 *	  Responses to test with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TEST_ANSWERS_H
#define ROLEFERRY_TEST_ANSWERS_H

#include <stdio.h>
#include <string.h>

#include "provider/provider.h"
#include "tap.h"

#define NOW INT64_C(1700000000)

/* One header line at most, or NULL; the outcome's class, taken and width as text. */
__attribute__((unused))
static RfOutcome
answer(const char *provider, int status, const char *header, const char *body)
{
	RfResponse	response = {0};
	RfOutcome	outcome;

	memset(&outcome, 'x', sizeof(outcome));
	response.status = status;
	if (header != NULL)
		rf_response_add_header(&response, header, strlen(header));
	response.body = body != NULL ? strdup(body) : NULL;
	response.body_len = body != NULL ? strlen(body) : 0;
	rf_provider_find(provider)->read_email_response(&response, NOW, &outcome);
	rf_response_free(&response);
	return outcome;
}

__attribute__((unused))
static void
is_answer(const char *provider, int status, const char *header,
		  const char *body, const char *expected)
{
	static const char *const taken[] = {"no", "yes", "perhaps"};
	RfOutcome	outcome = answer(provider, status, header, body);
	char		got[200];
	char		what[300];

	snprintf(got, sizeof(got), "%s %s%s", rf_outcome_class_text(outcome.class),
			 taken[outcome.taken], outcome.account_wide ? " wide" : "");
	snprintf(what, sizeof(what), "%d %.100s%s%.100s: %s", status,
			 header != NULL ? header : "", header != NULL ? " " : "",
			 body != NULL ? body : "", expected);
	is_text(got, expected, what);
	if (outcome.http_status != status)
		ok(false, "the status is recorded");
}

#endif							/* ROLEFERRY_TEST_ANSWERS_H */

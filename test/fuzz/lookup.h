/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  What must hold of the outcome of any lookup, and of what it found.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_FUZZ_LOOKUP_H
#define ROLEFERRY_FUZZ_LOOKUP_H

#include "answer.h"
#include "provider/people.h"
#include "provider/verify.h"

/*
 * What costs nothing is never ambiguous; what may have cost something is never
 * called undone but by a refusal.
 */
__attribute__((unused))
static void
check_lookup(const RfOutcome *outcome, const RfResponse *response, bool effectful)
{
	int			status = response->status;

	check_one_line(outcome->reason, sizeof(outcome->reason));
	MUST(outcome->http_status == status);
	MUST(outcome->retry_after_s >= -1 && outcome->retry_after_s <= INT32_MAX);
	MUST(rf_outcome_class_text(outcome->class)[0] != '\0');
	MUST((outcome->class == RF_OUTCOME_OK) == (outcome->reason[0] == '\0'));
	if (!effectful)
		MUST(outcome->taken != RF_TAKEN_PERHAPS && outcome->class != RF_OUTCOME_AMBIGUOUS);
	if (outcome->taken == RF_TAKEN_YES)
		MUST(status >= 200 && status < 300 &&
			 (outcome->class == RF_OUTCOME_OK || outcome->class == RF_OUTCOME_MISS));
	if (effectful && status >= 500 && outcome->taken == RF_TAKEN_NO)
		MUST(status == 503 && outcome->class == RF_OUTCOME_THROTTLE);
	if (effectful && outcome->class == RF_OUTCOME_MALFORMED)
		MUST(outcome->taken == RF_TAKEN_PERHAPS);
}

__attribute__((unused))
static void
check_text(const char *text)
{
	MUST(text == NULL || (text[0] != '\0' && rf_text_is_utf8(text, strlen(text))));
}

__attribute__((unused))
static void
check_person(const RfPerson *person)
{
	check_text(person->id);
	check_text(person->name);
	check_text(person->first_name);
	check_text(person->last_name);
	check_text(person->title);
	check_text(person->email);
	check_text(person->email_status);
	check_text(person->linkedin);
	check_text(person->organization_name);
	check_text(person->organization_domain);
	MUST(person->confidence >= RF_CONFIDENCE_NO_EMAIL && person->confidence <= RF_CONFIDENCE_EMAIL);
	MUST(person->email != NULL || person->confidence == RF_CONFIDENCE_NO_EMAIL);
}

__attribute__((unused))
static void
check_page(const RfPeoplePage *page, const RfOutcome *outcome, RfText domain)
{
	for (size_t i = 0; i < page->npeople; i++)
	{
		check_person(&page->people[i]);
		MUST(rf_person_works_at(&page->people[i], domain) != RF_WORKS_ELSEWHERE);
	}
	MUST(page->npeople + page->dropped == page->seen);
	MUST(page->total >= -1 && page->credits >= -1);
	if (outcome->class != RF_OUTCOME_OK)
		MUST(page->npeople == 0 && !page->more);
}

/* A query that passes the checks. */
__attribute__((unused))
static RfPeopleQuery
usual_query(const RfText *titles)
{
	RfPeopleQuery query;

	memset(&query, 0, sizeof(query));
	query.domain.data = "acme.com";
	query.domain.len = 8;
	query.titles = titles;
	query.ntitles = 1;
	query.max_results = 250;
	return query;
}

#endif							/* ROLEFERRY_FUZZ_LOOKUP_H */

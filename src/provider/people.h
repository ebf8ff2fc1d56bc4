/*-------------------------------------------------------------------------
 *
 * people.h
 *	  Searching people, and paying for what a search leaves out.
 *
 * The vocabulary of every provider that knows people, and its calls.  All text
 * that goes in is UTF-8 and belongs to the caller; what comes out is malloc'd
 * and owned by its struct.
 *
 * The order of calls: rf_people_check(), then pages 1, 2, ... by build_search()
 * and read_search() while `more`, unless filters_ignored, until there are enough
 * people; then, where enrich_max
 * is not 0, build_enrich() and read_enrich() for the ids, so many at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_PEOPLE_H
#define ROLEFERRY_PEOPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/request.h"
#include "core/outcome.h"
#include "provider/email.h"

/* Apollo shows 500 pages of 100 people, whatever the total. */
#define RF_PEOPLE_MAX_RESULTS	50000

#define RF_PEOPLE_LIST_MAX		100 /* titles, seniorities, locations: each */
#define RF_PEOPLE_TEXT_MAX		200 /* bytes of one of them */

/*
 * How far a person's data are to be trusted.  0.90 with an e-mail and 0.50
 * without are the first design's; what lies between is ours: an address that
 * the provider itself could not confirm is worth half the way.
 */
#define RF_CONFIDENCE_EMAIL			0.90
#define RF_CONFIDENCE_UNVERIFIED	0.70
#define RF_CONFIDENCE_NO_EMAIL		0.50

typedef struct RfPeopleQuery
{
	RfText		domain;			/* bare: acme.com */
	const RfText *titles;
	size_t		ntitles;
	const RfText *seniorities;
	size_t		nseniorities;
	const RfText *locations;
	size_t		nlocations;
	int64_t		max_results;
} RfPeopleQuery;

/* Members that are not known are NULL. */
typedef struct RfPerson
{
	char	   *id;				/* the provider's; Hunter has none and its
								 * e-mail stands here */
	char	   *name;
	char	   *first_name;
	char	   *last_name;
	char	   *title;
	char	   *email;			/* never a placeholder */
	char	   *email_status;	/* the provider's word */
	char	   *linkedin;
	char	   *organization_name;
	char	   *organization_domain;	/* bare, lower case */
	double		confidence;		/* RF_CONFIDENCE_...; Hunter: in between */
} RfPerson;

typedef struct RfPeoplePage
{
	RfPerson   *people;			/* without the dropped ones */
	size_t		npeople;
	size_t		seen;			/* rows the provider gave, dropped included */
	size_t		dropped;		/* of another organisation, or not asked for */
	bool		filters_ignored;	/* nothing of the page fits: the provider
									 * did not look at the domain.  An error,
									 * not "nobody" */
	int64_t		total;			/* of all pages; -1: not said */
	bool		more;			/* another page may have people, however many
								 * are wanted: some were dropped perhaps */
	int64_t		credits;		/* what the page cost; -1: not said */
} RfPeoplePage;

/* One answer of an enrichment. */
typedef struct RfEnrichment
{
	RfPerson   *people;			/* one per id asked, in that order; one whose
								 * id is NULL is a miss */
	size_t		npeople;
	size_t		misses;
	int64_t		credits;		/* consumed; -1: not said */
	char	   *request_id;		/* decimal, signed 64 bits; NULL: none */
} RfEnrichment;

struct RfAccountConfig;

/*
 * What a provider of people can do.  build_...: false, request empty: out of
 * memory, or something that was not checked.  read_...: *result is always set
 * and to be freed, empty unless the class is ok or miss.
 */
typedef struct RfPeopleCalls
{
	size_t		page_size;		/* people on a full page */
	size_t		enrich_max;		/* ids in one enrichment; 0: the search gives
								 * everything there is */
	bool		search_costs;	/* a search is effectful: it costs credits */
	size_t		people_per_credit;	/* then: a page costs one for so many */

	bool		(*build_search) (const struct RfAccountConfig *account,
								 const RfPeopleQuery *query, int page,
								 RfRequest *request);
	void		(*read_search) (const RfResponse *response, int64_t now_s,
								const RfPeopleQuery *query, int page,
								RfPeoplePage *result, RfOutcome *outcome);

	/*
	 * Effectful, always.  A search that costs nothing may be tried again when
	 * the HTTP engine calls its transfer ambiguous.
	 */
	bool		(*build_enrich) (const struct RfAccountConfig *account,
								 const RfText *ids, size_t nids,
								 RfRequest *request);
	void		(*read_enrich) (const RfResponse *response, int64_t now_s,
								const RfText *ids, size_t nids,
								RfEnrichment *result, RfOutcome *outcome);
} RfPeopleCalls;

/*
 * Everything that can be known to be wrong with a query: an empty domain or
 * one with a path, "www." or '@', neither titles nor seniorities, an unknown
 * seniority, list and text sizes, max_results from 1 to RF_PEOPLE_MAX_RESULTS.
 */
extern bool rf_people_check(const RfPeopleQuery *query, RfFieldError *error);

/* Rows to ask for on each page: the same on all, or the offsets would shift. */
extern size_t rf_people_page_rows(const RfPeopleQuery *query, size_t page_size);

typedef enum RfWorksAt
{
	RF_WORKS_THERE,
	RF_WORKS_ELSEWHERE,			/* the organisation's domain is another */
	RF_WORKS_UNKNOWN
} RfWorksAt;

/* By the organisation's domain, else the e-mail's, else the name. */
extern RfWorksAt rf_person_works_at(const RfPerson *person, RfText domain);

/*
 * Drops those who work elsewhere.  Of those nobody knows about: where anybody
 * of the page is known to be right, the ones with another organisation's name
 * go; where nobody is, all stay if they share one name ("Alphabet" for
 * google.com), and all go if they do not.
 */
extern void rf_people_drop_strangers(RfPeoplePage *page, RfText domain);

/* Sets confidence from email and email_status. */
extern void rf_person_rate(RfPerson *person);

/*
 * What was paid for goes before what a search shows; the id stays.  The texts
 * are still known's.
 */
extern void rf_person_overlay(RfPerson *person, const RfPerson *known);

/* Free the contents, not the struct. */
extern void rf_person_free(RfPerson *person);
extern void rf_people_page_free(RfPeoplePage *page);
extern void rf_enrichment_free(RfEnrichment *enrichment);

#endif							/* ROLEFERRY_PEOPLE_H */

/*-------------------------------------------------------------------------
 *
 * enrich.h
 *	  What a search leaves out of people, from the cache or paid for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_API_ENRICH_H
#define ROLEFERRY_API_ENRICH_H

#include "provider/people.h"
#include "provider/provider.h"

/* Somebody a search has found. */
typedef struct RfFoundPerson
{
	RfPerson	person;			/* palloc'd texts */
	const char *source;
	int64		fetched_at;		/* TimestampTz; 0: just now */
} RfFoundPerson;

/* Its texts are palloc'd. */
extern void rf_enrich_copy(const RfPerson *person, RfPerson *copy);

/*
 * Fills in what is known or can be had by that account: at most max_credits of
 * them are paid for, 0 is none.  Waits until then; raises where the
 * account does not answer, nobody can know whether it did, or time is over.
 */
extern void rf_enrich_people(RfFoundPerson *people, int npeople, const char *account,
							 const RfProvider *provider, int max_credits,
							 int64 deadline_us);

#endif							/* ROLEFERRY_API_ENRICH_H */

/*-------------------------------------------------------------------------
 *
 * search.h
 *	  One search of people: from the cache, from one of several accounts, or
 *	  from what the cache still remembers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_API_SEARCH_H
#define ROLEFERRY_API_SEARCH_H

#include "nodes/execnodes.h"

#include "api/question.h"
#include "outbox/search_job.h"

typedef struct RfSearch
{
	RfPeopleQuery query;		/* checked */
	List	   *accounts;		/* of RfSearchAccount, in order */
	int64		deadline_us;	/* monotonic */
	bool		wait;			/* for an account to open, until then */
	bool		enrich;
	int			max_credits;	/* that it may cost */
} RfSearch;

/*
 * Puts the people found into the result (rows of roleferry.person).  Raises
 * where no account answers and nothing is remembered: never nobody instead.
 */
extern void rf_search_run(const RfSearch *search, ReturnSetInfo *result);

#endif							/* ROLEFERRY_API_SEARCH_H */

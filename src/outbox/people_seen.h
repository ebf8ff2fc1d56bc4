/*-------------------------------------------------------------------------
 *
 * people_seen.h
 *	  Who was found already by a search.
 *
 * Pages of different times overlap when somebody came in between.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_PEOPLE_SEEN_H
#define ROLEFERRY_PEOPLE_SEEN_H

#include "provider/people.h"
#include "utils/hsearch.h"
#include "utils/palloc.h"

#define RF_SEEN_ID_MAX 64

/* Zeroed: nobody. */
typedef struct RfSeen
{
	bool		any;
	char		first[RF_SEEN_ID_MAX];	/* the id of the first */
	HTAB	   *ids;			/* of all, from the second on */
} RfSeen;

/*
 * Is it somebody else than those before?  Who has no id, or one that is too
 * long, is.  The ids are kept in the context.
 */
extern bool rf_seen_is_new(RfSeen *seen, const RfPerson *person, MemoryContext context);

extern void rf_seen_clear(RfSeen *seen);

#endif							/* ROLEFERRY_PEOPLE_SEEN_H */

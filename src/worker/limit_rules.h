/*-------------------------------------------------------------------------
 *
 * limit_rules.h
 *	  The view rate_rule as the dispatcher has it in hand.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_LIMIT_RULES_H
#define ROLEFERRY_LIMIT_RULES_H

#include "outbox/rate.h"
#include "shmem/limit.h"
#include "shmem/shared.h"

typedef struct RfLimitRule
{
	int64		id;
	Oid			server;
	RfRateBy	by;
	const char *endpoint;		/* NULL: all that the account is asked for */
	bool		whole;			/* each request of the account takes the same
								 * of it */
	RfLimitTerms terms;
	RfLimit    *limit;			/* its window, unless by key; NULL: no memory */
	int64		closed_until_us;	/* what it knew was lost */
} RfLimitRule;

/*
 * Read the rules again if they or the accounts changed, and fill windows that
 * are new from rate_use.  In a transaction.
 */
extern void rf_limit_rules_refresh(RfDispatcherSlot *slot);

/* Has any account a limit? */
extern bool rf_limit_rules_exist(void);

/*
 * False: they could not be read.  Limits and pauses may be missing then, so
 * nothing is asked that no claim has admitted.
 */
extern bool rf_limit_rules_are_known(void);

#endif							/* ROLEFERRY_LIMIT_RULES_H */

/*-------------------------------------------------------------------------
 *
 * retries.h
 *	  How jobs that ask a provider are tried again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RETRIES_H
#define ROLEFERRY_RETRIES_H

#include "core/backoff.h"
#include "outbox/claim.h"

typedef struct RfRetry
{
	RfBackoffPolicy backoff;
	int			max_attempts;	/* of failures that count */
} RfRetry;

/* Read the table again.  In a transaction, connected to SPI. */
extern void rf_retries_refresh(void);

/* After an outcome of this class. */
extern RfRetry rf_retries_of(const RfClaimedJob *job, RfOutcomeClass class);

#endif							/* ROLEFERRY_RETRIES_H */

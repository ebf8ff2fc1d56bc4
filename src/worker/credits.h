/*-------------------------------------------------------------------------
 *
 * credits.h
 *	  What requests cost, and accounts that have no credit left.
 *
 * Who makes a request that costs something sets flight->cost before its limits
 * are asked, and flight->spent when the answer says what it did cost; this file
 * does the rest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CREDITS_H
#define ROLEFERRY_CREDITS_H

#include "worker/flight.h"

/*
 * The request has ended, with this outcome: its tokens come back, what it cost
 * is noted, and "no credit left" stops its account.  Before the gate is told:
 * the outcome says when there is credit again, if the provider did.
 */
extern void rf_credits_end(RfFlight *flight, RfOutcome *outcome);

/* Write down what was noted: in a transaction, then say whether it committed. */
extern void rf_credits_write(void);
extern void rf_credits_written(bool committed);

/* The same in a transaction of its own, if anything was noted: each turn. */
extern void rf_credits_flush(void);

/* Do what the table account_stop says.  In a transaction. */
extern void rf_credits_refresh(void);

/* How long "no credit left" stops an account; INT64_MAX: until it is resumed. */
extern int64 rf_credits_stop_us(const RfOutcome *outcome);

#endif							/* ROLEFERRY_CREDITS_H */

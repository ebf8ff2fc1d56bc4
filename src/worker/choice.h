/*-------------------------------------------------------------------------
 *
 * choice.h
 *	  Which of its accounts a job goes out by now.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CHOICE_H
#define ROLEFERRY_CHOICE_H

#include "worker/flight.h"

#define RF_NO_ACCOUNT	(-1)
#define RF_MIN_PAUSE_US INT64CONST(1000000) /* no refusal is asked again
											 * sooner */

/*
 * Position of the first of its accounts that is open.  RF_NO_ACCOUNT: none;
 * *never says that waiting would not help, because none is left that could
 * take it.
 */
extern int	rf_choice_account(RfFlight *flight, RfHttpEngine *engine,
							  bool *never);

/* Why none ever will; palloc'd or constant. */
extern const char *rf_choice_why_never(const RfFlight *flight);

/* Is one open that has not refused it? */
extern bool rf_choice_has_another(RfFlight *flight, RfHttpEngine *engine);

/* When to look again while all of them are closed. */
extern TimestampTz rf_choice_next_opening(RfFlight *flight);

#endif							/* ROLEFERRY_CHOICE_H */

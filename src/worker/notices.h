/*-------------------------------------------------------------------------
 *
 * notices.h
 *	  Lines in the log for changes of state that matter.
 *
 * One line for each, with what a program would want to know in its DETAIL, as
 * key=value; so many a minute of one kind, and then how many there were.  None
 * has a secret or an address in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WORKER_NOTICES_H
#define ROLEFERRY_WORKER_NOTICES_H

#include "worker/flight.h"

struct RfDispatcher;

/* In the transaction that settles jobs: what their recipients are called. */
extern void rf_notices_prepare(struct RfDispatcher *d);

/* It has committed: jobs that ended badly. */
extern void rf_notices_settled(struct RfDispatcher *d);

/* An account's gate has changed; pause_us: for how long, where it is paused. */
extern void rf_notices_gate(RfRosterEntry *entry, const RfGateView *view,
							const RfOutcome *outcome, int64 pause_us);

/* May another line be written about this account? */
extern bool rf_notices_admit(RfRosterEntry *entry);

/* Once a turn: what was withheld is told when it is time. */
extern void rf_notices_flush(void);

#endif							/* ROLEFERRY_WORKER_NOTICES_H */

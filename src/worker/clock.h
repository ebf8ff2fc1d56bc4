/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  Noticing that the clock was set, and what follows from it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WORKER_CLOCK_H
#define ROLEFERRY_WORKER_CLOCK_H

#include "worker/state.h"

/* Once a turn. */
extern void rf_clock_follow(RfDispatcher *d);

/* False: the clock was set, and rows are not dated by it yet; claim nothing. */
extern bool rf_clock_is_followed(void);

/* When there is more to do; INT64_MAX: there is not. */
extern int64 rf_clock_due_us(RfDispatcher *d);

/* False: it was set forward a while ago, maybe by mistake; throw nothing away. */
extern bool rf_clock_is_trusted(void);

#endif							/* ROLEFERRY_WORKER_CLOCK_H */

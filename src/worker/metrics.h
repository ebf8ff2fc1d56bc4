/*-------------------------------------------------------------------------
 *
 * metrics.h
 *	  What the dispatcher counts, and tells a DogStatsD agent.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_METRICS_H
#define ROLEFERRY_METRICS_H

#include "worker/flight.h"

struct RfDispatcher;

/* At start and after a reload. */
extern void rf_metrics_configure(void);

/* A transfer is over and was understood. */
extern void rf_metrics_transfer(const RfFlight *flight, const RfOutcome *outcome);

/* A job's fate is decided. */
extern void rf_metrics_job(const RfClaimedJob *job, const RfSettlement *settlement);

/* A circuit has changed. */
extern void rf_metrics_circuit(Oid server, const char *to);

/* Once a turn: send what has come together, if it is time.  Never blocks. */
extern void rf_metrics_flush(struct RfDispatcher *d);

/* When it must be called though nothing happens; INT64_MAX: never. */
extern int64 rf_metrics_due_us(void);

/* Send what there is: the process ends. */
extern void rf_metrics_leave(void);

#endif							/* ROLEFERRY_METRICS_H */

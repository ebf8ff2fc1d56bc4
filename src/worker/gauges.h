/*-------------------------------------------------------------------------
 *
 * gauges.h
 *	  What a DogStatsD agent is told of shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WORKER_GAUGES_H
#define ROLEFERRY_WORKER_GAUGES_H

#include "core/dogstatsd.h"

struct RfDispatcher;

/* What was counted before this is told to nobody. */
extern void rf_gauges_begin(void);

/* What was counted since the last time, by whatever process. */
extern void rf_gauges_write_counts(RfStatsd *statsd);

/* How things are now. */
extern void rf_gauges_write(RfStatsd *statsd, struct RfDispatcher *d);

#endif							/* ROLEFERRY_WORKER_GAUGES_H */

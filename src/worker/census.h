/*-------------------------------------------------------------------------
 *
 * census.h
 *	  What waits in each queue, for the statistics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WORKER_CENSUS_H
#define ROLEFERRY_WORKER_CENSUS_H

#include "worker/state.h"

/* At the end of a sweep, in its transaction; at most once a second. */
extern void rf_census_take(RfDispatcher *d);

#endif							/* ROLEFERRY_WORKER_CENSUS_H */

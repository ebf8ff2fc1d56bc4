/*-------------------------------------------------------------------------
 *
 * limit_area.h
 *	  What limit.c knows about the memory of rate windows.
 *
 * All functions but the first expect the lock to be held.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_LIMIT_AREA_H
#define ROLEFERRY_LIMIT_AREA_H

#include "storage/lwlock.h"

#include "shmem/limit.h"

/* Of this process: windows it has looked up since are not dropped. */
extern uint64 rf_limit_stamp;

extern LWLock *rf_limit_area_lock(void);

extern RfRateWindow *rf_limit_window(RfLimit *limit);
extern RfLimit *rf_limit_area_find(const RfLimitKey *key);

/* NULL: there is no room. */
extern RfLimit *rf_limit_area_make(const RfLimitKey *key, const RfLimitTerms *terms);
extern RfLimit *rf_limit_area_resize(RfLimit *limit, const RfLimitTerms *terms);
extern void rf_limit_area_drop(RfLimit *limit);

/* The next window from this unit on; returns where to go on, or -1. */
extern int32 rf_limit_area_next(int32 unit, RfLimit **limit);

/* Walks all windows; the one at hand may be dropped. */
#define foreach_limit(limit) \
	for (int32 unit_ = rf_limit_area_next(0, &(limit)); unit_ >= 0; \
		 unit_ = rf_limit_area_next(unit_, &(limit)))

#endif							/* ROLEFERRY_LIMIT_AREA_H */

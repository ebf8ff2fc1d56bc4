/*-------------------------------------------------------------------------
 *
 * staff.h
 *	  An executor as its dispatcher sees it: for staff.c and staff_watch.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_STAFF_H
#define ROLEFERRY_STAFF_H

#include "postmaster/bgworker.h"

#include "datatype/timestamp.h"
#include "shmem/executor.h"
#include "worker/queues.h"

/* Of a job that an executor has: what settling it takes. */
typedef struct RfHeldJob
{
	int64		id;
	int64		lane;
	int			priority;
	int64		order_lane;		/* of its order_key; 0: none */
	int			failures;
	int			attempts;
	int			max_attempts;
	TimestampTz run_at;
	RfQueueEntry *queue;		/* it counts there */
} RfHeldJob;

typedef struct RfStaffed
{
	RfExecutorSlot *slot;
	BackgroundWorkerHandle *handle;
	int			pool;
	bool		asked_to_leave;
	uint32		seen;			/* tickets whose end we know */
	uint32		begun;			/* as last seen, and since when */
	int64		begun_us;
	RfHeldJob	held[RF_EXECUTOR_TICKETS];
} RfStaffed;

extern RfStaffed *rf_staff[RF_EXECUTOR_SLOTS];
extern int	rf_nstaff;

/* It has been at one job for long. */
extern bool rf_staff_is_slow(RfStaffed *e, int64 now_us);

/* If a pool could use one more than there may be: another's leaves. */
extern void rf_staff_make_room(void);

#endif							/* ROLEFERRY_STAFF_H */

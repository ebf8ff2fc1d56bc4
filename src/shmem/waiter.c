/*-------------------------------------------------------------------------
 *
 * waiter.c
 *	  Sessions that wait for the end of a job.
 *
 * A place is a job's id, its database and the process that waits.  Who waits
 * takes a place before it looks, and who ends jobs looks at the places after
 * its commit: one of them sees the other.
 *
 * IDENTIFICATION
 *	  src/shmem/waiter.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"

#include "compat.h"
#include "shmem/shared.h"
#include "shmem/waiter.h"

static RfWaiter *mine = NULL;

static void leave(int code, Datum arg);

bool
rf_waiter_begin(int64 job_id)
{
	static bool registered = false;

	if (rf_shared == NULL || mine != NULL)
		return false;
	if (!registered)
		before_shmem_exit(leave, (Datum) 0);
	registered = true;

	SpinLockAcquire(&rf_shared->waiters_lock);
	for (int i = 0; i < RF_MAX_WAITERS; i++)
	{
		RfWaiter   *waiter = &rf_shared->waiters[i];

		if (waiter->database != InvalidOid)
			continue;
		waiter->job_id = job_id;
		waiter->proc_number = rf_my_proc_number();
		waiter->database = MyDatabaseId;
		mine = waiter;
		break;
	}
	SpinLockRelease(&rf_shared->waiters_lock);
	if (mine != NULL)
		(void) pg_atomic_fetch_add_u32(&rf_shared->nwaiters, 1);
	return mine != NULL;
}

void
rf_waiter_end(void)
{
	if (mine == NULL)
		return;
	SpinLockAcquire(&rf_shared->waiters_lock);
	mine->database = InvalidOid;
	SpinLockRelease(&rf_shared->waiters_lock);
	(void) pg_atomic_fetch_sub_u32(&rf_shared->nwaiters, 1);
	mine = NULL;
}

bool
rf_waiter_is_told(void)
{
	return mine != NULL;
}

bool
rf_waiters_exist(void)
{
	return pg_atomic_read_u32(&rf_shared->nwaiters) > 0;
}

void
rf_waiters_tell(int64 job_id)
{
	int			told[RF_MAX_WAITERS];
	int			ntold = 0;

	SpinLockAcquire(&rf_shared->waiters_lock);
	for (int i = 0; i < RF_MAX_WAITERS; i++)
	{
		const RfWaiter *waiter = &rf_shared->waiters[i];

		if (waiter->database == MyDatabaseId && waiter->job_id == job_id)
			told[ntold++] = waiter->proc_number;
	}
	SpinLockRelease(&rf_shared->waiters_lock);
	for (int i = 0; i < ntold; i++)
		SetLatch(rf_proc_latch(told[i]));
}

/* Exit callback. */
static void
leave(int code, Datum arg)
{
	rf_waiter_end();
}

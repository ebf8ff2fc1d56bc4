/*-------------------------------------------------------------------------
 *
 * evict.c
 *	  Asking the dispatcher out of a database that a session wants alone.
 *
 * One slot for each asking session, under RfShared.lock.  The exit callback
 * of the session empties it, whatever way the session ends.
 *
 * IDENTIFICATION
 *	  src/shmem/evict.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"

#include "compat.h"
#include "shmem/evict.h"
#include "shmem/gate.h"
#include "shmem/shared.h"

/* More than the grace: settling takes a moment. */
#define WAIT_MS		3000
#define LOOK_MS		10

static RfEvictSlot *mine = NULL;

static RfEvictSlot *take_slot(Oid database, int grace_ms);
static void leave(int code, Datum arg);
static bool wait_until_gone(Oid database);

bool
rf_evict_begin(Oid database, int grace_ms)
{
	static bool registered = false;

	if (rf_shared == NULL || mine != NULL)
		return false;
	if (!registered)
	{
		before_shmem_exit(leave, (Datum) 0);
		registered = true;
	}
	mine = take_slot(database, grace_ms);
	return mine != NULL && wait_until_gone(database);
}

void
rf_evict_end(void)
{
	if (mine == NULL)
		return;
	LWLockAcquire(rf_shared->lock, LW_EXCLUSIVE);
	mine->last_database = mine->database;
	mine->ended_us = rf_gate_now_us();
	mine->database = InvalidOid;
	LWLockRelease(rf_shared->lock);
	mine = NULL;
}

bool
rf_evict_asked(Oid database)
{
	/* Read without the lock: a turn later is soon enough. */
	for (int i = 0; i < RF_MAX_EVICTIONS; i++)
		if (rf_shared->evictions[i].database == database)
			return true;
	return false;
}

bool
rf_evict_asked_since(Oid database, int64 since_us)
{
	bool		asked = rf_evict_asked(database);

	LWLockAcquire(rf_shared->lock, LW_SHARED);
	for (int i = 0; i < RF_MAX_EVICTIONS; i++)
		asked |= rf_shared->evictions[i].last_database == database &&
			rf_shared->evictions[i].ended_us >= since_us;
	LWLockRelease(rf_shared->lock);
	return asked;
}

int
rf_evict_grace_ms(Oid database)
{
	int			grace_ms = RF_EVICT_GRACE_MS;

	LWLockAcquire(rf_shared->lock, LW_SHARED);
	for (int i = 0; i < RF_MAX_EVICTIONS; i++)
		if (rf_shared->evictions[i].database == database)
			grace_ms = Min(grace_ms, rf_shared->evictions[i].grace_ms);
	LWLockRelease(rf_shared->lock);
	return grace_ms;
}

static RfEvictSlot *
take_slot(Oid database, int grace_ms)
{
	RfEvictSlot *taken = NULL;

	LWLockAcquire(rf_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < RF_MAX_EVICTIONS && taken == NULL; i++)
	{
		if (rf_shared->evictions[i].database == InvalidOid)
		{
			taken = &rf_shared->evictions[i];
			taken->grace_ms = grace_ms;
			taken->database = database;
		}
	}
	LWLockRelease(rf_shared->lock);
	return taken;
}

static void
leave(int code, Datum arg)
{
	rf_evict_end();
}

/*
 * Its slot is empty a moment before the process has left the database, and to
 * DROP DATABASE WITH (FORCE) it would be a superuser's session until then,
 * which only a superuser may end.
 */
static bool
wait_until_gone(Oid database)
{
	int			pid = 0;

	for (int waited = 0; waited < WAIT_MS; waited += LOOK_MS)
	{
		RfDispatcherSlot *slot = rf_shared_find_dispatcher(database);

		if (slot != NULL)
		{
			pid = slot->pid ? slot->pid : pid;
			SetLatch(rf_proc_latch(slot->proc_number));
		}
		else if (pid == 0 || BackendPidGetProc(pid) == NULL)
			return true;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_MS, rf_wait_event_new("RoleferryEvict"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/*-------------------------------------------------------------------------
 *
 * staff.c
 *	  The executors of this database: started on demand, given jobs, ended.
 *
 * An executor that has been at one job for long takes no more, and those that
 * wait behind it are taken back.
 *
 * IDENTIFICATION
 *	  src/worker/staff.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "core/backoff.h"
#include "settings.h"
#include "shmem/executor.h"
#include "worker/executor.h"
#include "worker/launcher.h"
#include "worker/pool.h"
#include "worker/staff.h"
#include "worker/state.h"

#define SLOW_US			INT64CONST(500000)	/* at one job: takes no more */
#define NO_WORKER_US	INT64CONST(1000000) /* no worker slot: again then */
#define COMPLAIN_US		INT64CONST(60000000)
#define STOP_MS			2000	/* for a process to end */

RfStaffed  *rf_staff[RF_EXECUTOR_SLOTS];
int			rf_nstaff = 0;
static int64 no_worker_until_us = 0;
static int64 complained_us = 0;
static int	wanting_pool = -1;	/* could use one more than there may be */

static int	in_hand(const RfStaffed *e);
static RfStaffed *choose(int pool, int prefetch);
static RfStaffed *start(RfDispatcher *d, int pool, Oid role);

bool
rf_staff_give(RfDispatcher *d, int pool, Oid role, const RfClaimedJob *job,
			  RfQueueEntry *queue)
{
	bool		batch = rf_pool_is_batch(pool);
	RfStaffed  *e = choose(pool, batch ? RF_PREFETCH_BATCH : RF_PREFETCH);
	RfHeldJob  *held;

	if (e == NULL || (in_hand(e) > (batch ? RF_EXECUTOR_BATCH / 2 : 0) && rf_nstaff < rf_max_executors))
	{
		RfStaffed  *another = start(d, pool, role);

		e = another ? another : e;
	}
	else if (in_hand(e) > 0)
	{
		wanting_pool = pool;
	}
	if (e == NULL)
		return false;
	held = &e->held[pg_atomic_read_u32(&e->slot->given) % RF_EXECUTOR_TICKETS];
	held->id = job->id;
	held->lane = job->lane;
	held->priority = job->priority;
	held->order_lane = job->order_lane;
	held->failures = job->failures;
	held->attempts = job->attempts;
	held->max_attempts = rf_pool_max_attempts(job);
	held->run_at = job->run_at;
	held->queue = queue;
	if (!rf_executor_give(e->slot, job->id, batch))
		return false;
	rf_executor_wake(e->slot);
	return true;
}

int
rf_staff_room(int pool, int prefetch)
{
	int64		now_us = rf_gate_now_us();
	int			room = 0;

	for (int i = 0; i < rf_nstaff; i++)
	{
		RfStaffed  *e = rf_staff[i];

		if (e->pool != pool || e->asked_to_leave)
			continue;
		if (!rf_staff_is_slow(e, now_us))
			room += Max(prefetch - in_hand(e), 0);
	}
	if (now_us >= no_worker_until_us)
		room += Max(rf_max_executors - rf_nstaff, 0) * prefetch;
	if (room == 0)
		wanting_pool = pool;
	return room;
}

bool
rf_staff_has_room(void)
{
	if (rf_nstaff < rf_max_executors)
		return true;
	for (int i = 0; i < rf_nstaff; i++)
		if (in_hand(rf_staff[i]) < RF_PREFETCH)
			return true;
	return false;
}

int
rf_staff_in_hand(void)
{
	int			count = 0;

	for (int i = 0; i < rf_nstaff; i++)
		count += in_hand(rf_staff[i]);
	return count;
}

int
rf_staff_ids(int64 *ids)
{
	int			count = 0;

	for (int i = 0; i < rf_nstaff; i++)
	{
		RfExecutorSlot *slot = rf_staff[i]->slot;
		uint32		given = pg_atomic_read_u32(&slot->given);

		/* What waits again, or was taken back, is with nobody. */
		for (uint32 n = pg_atomic_read_u32(&slot->ended); n != given; n++)
			if (rf_executor_ticket(slot, n)->end != RF_TICKET_TAKEN_BACK)
				ids[count++] = rf_staff[i]->held[n % RF_EXECUTOR_TICKETS].id;
	}
	return count;
}

int64
rf_staff_look_at_us(void)
{
	for (int i = 0; i < rf_nstaff; i++)
		if (in_hand(rf_staff[i]) > 1 || pg_atomic_read_u32(&rf_staff[i]->slot->state) == RF_EXECUTOR_STARTING)
			return rf_gate_now_us() + SLOW_US / 2;
	return INT64_MAX;
}

void
rf_staff_dismiss(void)
{
	for (int i = 0; i < rf_nstaff; i++)
	{
		rf_staff[i]->asked_to_leave = true;
		pg_atomic_write_u32(&rf_staff[i]->slot->leave, 1);
		pg_memory_barrier();
		rf_executor_wake(rf_staff[i]->slot);
	}
}

bool
rf_staff_is_gone(void)
{
	return rf_nstaff == 0;
}

/* End them, and wait until they are out of the database, but not for ever. */
void
rf_staff_stop(RfDispatcher *d)
{
	int64		until_us = rf_gate_now_us() + STOP_MS * INT64CONST(1000);

	for (int i = 0; i < rf_nstaff; i++)
		TerminateBackgroundWorker(rf_staff[i]->handle);
	while (rf_nstaff > 0 && rf_gate_now_us() < until_us)
	{
		rf_staff_turn(d);
		if (rf_nstaff == 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20,
						 rf_wait_event_new("RoleferryStaff"));
		ResetLatch(MyLatch);
	}
}

/* Given and not known to have ended. */
static int
in_hand(const RfStaffed *e)
{
	return (int) (pg_atomic_read_u32(&e->slot->given) - e->seen);
}

bool
rf_staff_is_slow(RfStaffed *e, int64 now_us)
{
	uint32		begun = pg_atomic_read_u32(&e->slot->begun);

	if (begun != e->begun || begun == pg_atomic_read_u32(&e->slot->ended))
	{
		e->begun = begun;
		e->begun_us = now_us;
	}
	return now_us - e->begun_us >= SLOW_US;
}

/* The one with the least to do, if it may have more. */
static RfStaffed *
choose(int pool, int prefetch)
{
	int64		now_us = rf_gate_now_us();
	RfStaffed  *best = NULL;

	for (int i = 0; i < rf_nstaff; i++)
	{
		RfStaffed  *e = rf_staff[i];

		if (e->pool != pool || e->asked_to_leave || in_hand(e) >= prefetch || rf_staff_is_slow(e, now_us))
			continue;
		if (best == NULL || in_hand(e) < in_hand(best))
			best = e;
	}
	return best;
}

/* NULL: there may be no more of them, or no worker slot is free. */
static RfStaffed *
start(RfDispatcher *d, int pool, Oid role)
{
	int64		now_us = rf_gate_now_us();
	RfExecutorSlot *slot;
	BackgroundWorkerHandle *handle;
	MemoryContext old;
	RfStaffed  *e;

	if (rf_nstaff >= rf_max_executors || rf_nstaff >= RF_EXECUTOR_SLOTS || now_us < no_worker_until_us)
		return NULL;
	slot = rf_executor_take_slot(d->incarnation, role);
	if (slot == NULL)
		return NULL;
	old = MemoryContextSwitchTo(TopMemoryContext);
	if (!rf_executor_register(slot, rf_pool_role(pool), &handle))
	{
		MemoryContextSwitchTo(old);
		rf_executor_free_slot(slot);
		no_worker_until_us = now_us + NO_WORKER_US;
		if (rf_nstaff == 0 && (complained_us == 0 || now_us - complained_us >= COMPLAIN_US))
		{
			complained_us = now_us;
			ereport(LOG,
					(errmsg("SQL tasks wait: no background worker slot is free for an executor"),
					 errhint("Raise max_worker_processes.")));
		}
		return NULL;
	}
	e = palloc0(sizeof(RfStaffed));
	MemoryContextSwitchTo(old);
	e->slot = slot;
	e->handle = handle;
	e->pool = pool;
	e->begun_us = now_us;
	rf_staff[rf_nstaff++] = e;
	return e;
}

/*
 * A pool wants another executor than it has: one of another role leaves, if it
 * is idle, or if the pool has none at all.
 */
void
rf_staff_make_room(void)
{
	RfStaffed  *victim = NULL;
	bool		has_none = true;

	int			wanting = wanting_pool;

	wanting_pool = -1;
	if (wanting < 0 || rf_nstaff < rf_max_executors)
		return;
	for (int i = 0; i < rf_nstaff; i++)
	{
		if (rf_staff[i]->asked_to_leave)
			return;				/* somebody is about to */
		if (rf_staff[i]->pool == wanting)
			has_none = false;
		else if (victim == NULL || in_hand(rf_staff[i]) < in_hand(victim))
			victim = rf_staff[i];
	}
	if (victim == NULL || (in_hand(victim) > 0 && !has_none))
		return;
	victim->asked_to_leave = true;
	pg_atomic_write_u32(&victim->slot->leave, 1);
	pg_memory_barrier();
	rf_executor_wake(victim->slot);
}

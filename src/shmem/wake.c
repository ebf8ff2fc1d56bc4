/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  Telling the dispatcher, at commit, where new jobs stand.
 *
 * A transaction collects the strands (lane and priority) it put jobs into,
 * with the smallest run_at of each.  One transaction callback per backend,
 * registered once, posts them after the commit is visible to others and sets
 * the dispatcher's latch, unless somebody did since it last looked.  The
 * callback only copies and sets a latch: an error there would be a PANIC.
 *
 * Notes of a rolled-back subtransaction stay: they cost the dispatcher one
 * look.  PREPARE forgets them; such jobs are found by the dispatcher's sweep
 * after COMMIT PREPARED.
 *
 * IDENTIFICATION
 *	  src/shmem/wake.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"

#include "compat.h"
#include "shmem/wake.h"

#define MAX_NOTES 16			/* strands one transaction tells apart */

static RfWakeHint notes[MAX_NOTES];
static int	nnotes = 0;
static bool noted_everything = false;
static bool noted_rules = false;

static void ensure_callback(void);
static void at_transaction_end(XactEvent event, void *arg);
static void post_notes(RfDispatcherSlot *slot);
static bool merge_hint(RfWakeHint *hints, int *nhints, int max,
					   const RfWakeHint *hint);

void
rf_wake_note(int64 lane, int priority, int64 run_at)
{
	RfWakeHint	hint;

	ensure_callback();
	hint.lane = lane;
	hint.run_at = run_at;
	hint.priority = priority;
	if (!merge_hint(notes, &nnotes, MAX_NOTES, &hint))
		noted_everything = true;
}

void
rf_wake_note_everything(void)
{
	ensure_callback();
	noted_everything = true;
}

void
rf_wake_note_rules(void)
{
	rf_wake_note_everything();
	noted_rules = true;
}

void
rf_wake_now(void)
{
	RfDispatcherSlot *slot = rf_shared_find_dispatcher(MyDatabaseId);
	int			proc_number;

	if (slot == NULL)
		return;
	proc_number = slot->proc_number;
	SpinLockAcquire(&slot->hints_lock);
	slot->look_everywhere = true;
	SpinLockRelease(&slot->hints_lock);
	pg_atomic_write_u32(&slot->wake, 1);
	SetLatch(rf_proc_latch(proc_number));
}

int
rf_wake_take(RfDispatcherSlot *slot, RfWakeHint *hints, bool *look_everywhere)
{
	int			nhints;

	/*
	 * Lower the flag first: whoever posts after that sets our latch again, so
	 * nothing posted can be overlooked.
	 */
	pg_atomic_exchange_u32(&slot->wake, 0);

	SpinLockAcquire(&slot->hints_lock);
	nhints = slot->nhints;
	memcpy(hints, slot->hints, sizeof(RfWakeHint) * nhints);
	*look_everywhere = slot->look_everywhere;
	slot->nhints = 0;
	slot->look_everywhere = false;
	SpinLockRelease(&slot->hints_lock);
	return nhints;
}

bool
rf_wake_pending(RfDispatcherSlot *slot)
{
	return pg_atomic_read_u32(&slot->wake) != 0;
}

bool
rf_wake_everywhere(RfDispatcherSlot *slot)
{
	/* Read without the lock: who sets it sets our latch after that. */
	return slot->look_everywhere;
}

static void
ensure_callback(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	registered = true;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	RfDispatcherSlot *slot;

	if (nnotes == 0 && !noted_everything)
		return;

	switch (event)
	{
		case XACT_EVENT_COMMIT:
			slot = rf_shared ? rf_shared_find_dispatcher(MyDatabaseId) : NULL;
			if (slot != NULL)
				post_notes(slot);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			break;
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			return;				/* the transaction goes on */
	}
	nnotes = 0;
	noted_everything = false;
	noted_rules = false;
}

static void
post_notes(RfDispatcherSlot *slot)
{
	int			proc_number = slot->proc_number;

	if (noted_rules)
		pg_atomic_write_u32(&slot->rules, RF_RULES_CHANGED);
	SpinLockAcquire(&slot->hints_lock);
	if (noted_everything)
		slot->look_everywhere = true;
	for (int i = 0; i < nnotes && !slot->look_everywhere; i++)
	{
		if (!merge_hint(slot->hints, &slot->nhints, RF_MAX_WAKE_HINTS, &notes[i]))
			slot->look_everywhere = true;
	}
	SpinLockRelease(&slot->hints_lock);

	/* A dispatcher that takes no hints has its flag up: see dispatcher.c. */
	if (pg_atomic_exchange_u32(&slot->wake, 1) == 0 || noted_everything)
		SetLatch(rf_proc_latch(proc_number));
}

/* False: no room. */
static bool
merge_hint(RfWakeHint *hints, int *nhints, int max, const RfWakeHint *hint)
{
	for (int i = 0; i < *nhints; i++)
	{
		if (hints[i].lane == hint->lane && hints[i].priority == hint->priority)
		{
			hints[i].run_at = Min(hints[i].run_at, hint->run_at);
			return true;
		}
	}
	if (*nhints == max)
		return false;
	hints[(*nhints)++] = *hint;
	return true;
}

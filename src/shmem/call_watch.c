/*-------------------------------------------------------------------------
 *
 * call_watch.c
 *	  Calls whose answer is watched for before the session sleeps.
 *
 * To fall asleep and to be woken costs both sides more than a short call.  So a
 * session looks for a moment whether its answer comes, while there are cores
 * for it, and as long as that pays: with a provider that takes longer it hardly
 * ever does, and is tried once in a while only.
 *
 * IDENTIFICATION
 *	  src/shmem/call_watch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sched.h>

#include "miscadmin.h"
#include "storage/latch.h"

#include "core/watch.h"
#include "shmem/call_slot.h"
#include "shmem/cores.h"
#include "shmem/gate.h"

#define WATCH_US	120

static RfWatch watch = {0};

static bool comes_soon(const RfCallSlot *slot);

/*
 * In vain or not, the caller looks at the slot and at what came meanwhile
 * himself; his latch is as it was, or set.
 */
void
rf_call_watch(const RfCallSlot *slot)
{
	if (rf_watch_has_cores((int) pg_atomic_read_u32(&rf_call_table->used), rf_cores()) &&
		rf_watch_wants(&watch))
		rf_watch_learn(&watch, comes_soon(slot));
}

/* Whoever else wants the core gets it.  Nothing in here raises. */
static bool
comes_soon(const RfCallSlot *slot)
{
	int64		until_us = rf_gate_now_us() + WATCH_US;

	do
	{
		RfCallState state = rf_call_state(slot);

		if (state == RF_CALL_DONE || state == RF_CALL_DEAD)
			return true;
		if (InterruptPending)
			return false;
		sched_yield();
	} while (rf_gate_now_us() < until_us);
	return false;
}

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

#include "shmem/call_slot.h"
#include "shmem/cores.h"
#include "shmem/gate.h"

#define WATCH_US	120
#define HOPE_MAX	8			/* times in vain before it is given up */
#define SELDOM		64			/* then it is tried at one wait of so many */

static int	hope = HOPE_MAX;
static unsigned waits = 0;

static bool comes_soon(const RfCallSlot *slot);

/*
 * In vain or not, the caller looks at the slot and at what came meanwhile
 * himself; his latch is as it was, or set.
 */
void
rf_call_watch(const RfCallSlot *slot)
{
	if ((int) pg_atomic_read_u32(&rf_call_table->used) > rf_cores() / 2 ||
		(hope == 0 && ++waits % SELDOM != 0))
		return;
	hope = comes_soon(slot) ? HOPE_MAX : Max(hope - 1, 0);
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

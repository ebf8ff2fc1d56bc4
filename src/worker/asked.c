/*-------------------------------------------------------------------------
 *
 * asked.c
 *	  Questions in hand, and who waits for their answers.
 *
 * Who asks what is being asked already waits for the same answer: one request
 * for all of them.  The request belongs to the dispatcher, so no session that
 * gives up or dies takes it away from the others.
 *
 * IDENTIFICATION
 *	  src/worker/asked.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "shmem/call.h"
#include "worker/state.h"

void
rf_asked_add(RfDispatcher *d, RfFlight *flight)
{
	dlist_push_tail(&d->asked, &flight->asked);
}

/* False: nobody asks that now. */
bool
rf_asked_join(RfDispatcher *d, RfCallSlot *slot, const void *bytes, Size len)
{
	dlist_iter	iter;

	dlist_foreach(iter, &d->asked)
	{
		RfFlight   *flight = dlist_container(RfFlight, asked, iter.cur);
		MemoryContext old;

		if (flight->aborted || flight->question_len != len ||
			memcmp(flight->question_bytes, bytes, len) != 0)
			continue;
		old = MemoryContextSwitchTo(flight->context);
		flight->followers = lappend(flight->followers, slot);
		MemoryContextSwitchTo(old);
		return true;
	}
	return false;
}

/* Has everybody stopped waiting?  Those who have are let go. */
bool
rf_asked_is_abandoned(RfFlight *flight)
{
	ListCell   *lc;

	foreach(lc, flight->followers)
	{
		if (rf_call_let_go(lfirst(lc)))
			flight->followers = foreach_delete_current(flight->followers, lc);
	}
	if (!rf_call_is_abandoned(flight->asker))
		return false;
	if (flight->followers == NIL)
		return true;
	(void) rf_call_let_go(flight->asker);
	flight->asker = linitial(flight->followers);
	flight->followers = list_delete_first(flight->followers);
	return false;
}

void
rf_asked_answer(RfFlight *flight, const void *answer, Size len)
{
	ListCell   *lc;

	rf_call_answer(flight->asker, answer, len);
	foreach(lc, flight->followers)
		rf_call_answer(lfirst(lc), answer, len);
	flight->followers = NIL;
}

/* From rf_fleet_free(). */
void
rf_asked_remove(RfFlight *flight)
{
	dlist_delete(&flight->asked);
}

/*-------------------------------------------------------------------------
 *
 * call.c
 *	  Calls that a session hands to its dispatcher and waits for: the slots,
 *	  and the dispatcher's half.  The session's half is call_wait.c.
 *
 * The table is scanned whole by the dispatcher, after a counter told it that
 * something is there.  Slots carry the dispatcher's incarnation: what was
 * handed to another one is not ours.  Each use of a slot has a number, which
 * stands in the same word as its state: a look at a slot that was freed and
 * used anew in the meantime changes nothing.
 *
 * IDENTIFICATION
 *	  src/shmem/call.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "compat.h"
#include "settings.h"
#include "shmem/call_slot.h"

RfCallTable *rf_call_table = NULL;

static void *read_request(RfCallSlot *slot);
static void write_answer(RfCallSlot *slot, const void *answer, Size len);
static void free_abandoned(RfCallSlot *slot);

Size
rf_call_shared_size(void)
{
	return add_size(offsetof(RfCallTable, slots),
					mul_size(rf_max_calls, sizeof(RfCallSlot)));
}

void
rf_call_shared_create(void)
{
	bool		found;

	rf_call_table = ShmemInitStruct("roleferry calls", rf_call_shared_size(), &found);
	if (found)
		return;
	rf_call_table->nslots = rf_max_calls;
	ConditionVariableInit(&rf_call_table->freed);
	pg_atomic_init_u32(&rf_call_table->used, 0);
	for (int i = 0; i < rf_max_calls; i++)
	{
		RfCallSlot *slot = &rf_call_table->slots[i];

		memset(slot, 0, offsetof(RfCallSlot, buffer));
		pg_atomic_init_u32(&slot->word, RF_CALL_FREE);
		pg_atomic_init_u64(&slot->job_id, 0);
	}
}

RfCallState
rf_call_state(const RfCallSlot *slot)
{
	return rf_call_state_of(pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &slot->word)));
}

bool
rf_call_change(RfCallSlot *slot, RfCallState from, RfCallState to)
{
	uint32		word = pg_atomic_read_u32(&slot->word);

	return rf_call_state_of(word) == from && rf_call_change_word(slot, word, to);
}

bool
rf_call_change_word(RfCallSlot *slot, uint32 word, RfCallState to)
{
	RfCallState from = rf_call_state_of(word);
	uint32		use = word >> RF_CALL_STATE_BITS;

	if (to == RF_CALL_FILL)
		use++;
	if (!pg_atomic_compare_exchange_u32(&slot->word, &word,
										(use << RF_CALL_STATE_BITS) | (uint32) to))
		return false;
	if (from == RF_CALL_FREE)
		(void) pg_atomic_fetch_add_u32(&rf_call_table->used, 1);
	else if (to == RF_CALL_FREE)
		(void) pg_atomic_fetch_sub_u32(&rf_call_table->used, 1);
	return true;
}

void
rf_call_free(RfCallSlot *slot)
{
	(void) rf_call_change(slot, rf_call_state(slot), RF_CALL_FREE);
	ConditionVariableSignal(&rf_call_table->freed);
}

/* An answer that nobody fetched keeps its segment pinned. */
void
rf_call_drop_answer(RfCallSlot *slot)
{
	if (slot->answer_segment != DSM_HANDLE_INVALID)
		dsm_unpin_segment(slot->answer_segment);
	slot->answer_segment = DSM_HANDLE_INVALID;
}

RfCallSlot *
rf_call_take(uint64 incarnation, RfCallSort sort, RfCallKind *kind,
			 void **request, Size *len)
{
	for (int i = 0; i < rf_call_table->nslots; i++)
	{
		RfCallSlot *slot = &rf_call_table->slots[i];
		uint32		word = pg_atomic_read_u32(&slot->word);

		if (rf_call_state_of(word) != RF_CALL_READY)
			continue;
		pg_read_barrier();
		if (slot->incarnation != incarnation ||
			(slot->kind == RF_CALL_SEND_EMAIL) != (sort == RF_CALL_JOBS) ||
			!rf_call_change_word(slot, word, RF_CALL_RUN))
			continue;			/* another's, or taken back in this moment */
		slot->taken = true;
		*kind = slot->kind;
		*len = slot->len;
		*request = read_request(slot);
		return slot;
	}
	return NULL;
}

void
rf_call_taken(RfCallSlot *slot)
{
	rf_call_free(slot);
}

void
rf_call_recorded(RfCallSlot *slot, int64 job_id)
{
	pg_atomic_write_u64(&slot->job_id, (uint64) job_id);
}

bool
rf_call_is_abandoned(const RfCallSlot *slot)
{
	return rf_call_state(slot) == RF_CALL_ABANDONED;
}

bool
rf_call_let_go(RfCallSlot *slot)
{
	if (!rf_call_is_abandoned(slot))
		return false;
	free_abandoned(slot);
	return true;
}

void
rf_call_answer(RfCallSlot *slot, const void *answer, Size len)
{
	int			caller = slot->caller;

	write_answer(slot, answer, len);

	/* A barrier on both sides: what was written is seen with the state. */
	if (rf_call_change(slot, RF_CALL_RUN, RF_CALL_DONE))
		SetLatch(rf_proc_latch(caller));
	else
		free_abandoned(slot);
}

void
rf_call_leave_all(uint64 incarnation)
{
	for (int i = 0; i < rf_call_table->nslots; i++)
	{
		RfCallSlot *slot = &rf_call_table->slots[i];
		uint32		word = pg_atomic_read_u32(&slot->word);
		RfCallState state = rf_call_state_of(word);
		int			caller;

		pg_read_barrier();
		caller = slot->caller;
		if ((state != RF_CALL_READY && state != RF_CALL_RUN && state != RF_CALL_ABANDONED) ||
			slot->incarnation != incarnation)
			continue;
		if (slot->kind == RF_CALL_KEEP)
			(void) rf_call_change_word(slot, word, RF_CALL_FREE);
		else if (state != RF_CALL_ABANDONED && rf_call_change_word(slot, word, RF_CALL_DEAD))
			SetLatch(rf_proc_latch(caller));
		else if (rf_call_state(slot) == RF_CALL_ABANDONED)
			free_abandoned(slot);
	}
}

/* NULL: the segment cannot be attached, or is gone with its session. */
static void *
read_request(RfCallSlot *slot)
{
	MemoryContext context = CurrentMemoryContext;
	void	   *volatile copy = NULL;

	if (slot->request_segment == DSM_HANDLE_INVALID)
	{
		copy = palloc(Max(slot->len, 1));
		memcpy(copy, slot->buffer, slot->len);
		return copy;
	}

	PG_TRY();
	{
		dsm_segment *segment = dsm_attach(slot->request_segment);

		if (segment != NULL)
		{
			copy = MemoryContextAllocHuge(context, slot->len);
			memcpy(copy, dsm_segment_address(segment), slot->len);
			dsm_detach(segment);
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		copy = NULL;
	}
	PG_END_TRY();
	return copy;
}

static void
write_answer(RfCallSlot *slot, const void *answer, Size len)
{
	MemoryContext context = CurrentMemoryContext;

	slot->len = len;
	slot->answer_segment = DSM_HANDLE_INVALID;
	slot->answer_lost = false;
	if (len <= RF_CALL_BUFFER)
	{
		memcpy(slot->buffer, answer, len);
		return;
	}

	PG_TRY();
	{
		dsm_segment *segment = dsm_create(len, 0);

		memcpy(dsm_segment_address(segment), answer, len);
		dsm_pin_segment(segment);
		slot->answer_segment = dsm_segment_handle(segment);
		dsm_detach(segment);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		slot->answer_lost = true;
	}
	PG_END_TRY();
}

static void
free_abandoned(RfCallSlot *slot)
{
	rf_call_drop_answer(slot);
	rf_call_free(slot);
}

/*-------------------------------------------------------------------------
 *
 * call_slot.h
 *	  The slots of call.h, as the two files that know them see them.
 *
 * Included by src/shmem/call.c and call_wait.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CALL_SLOT_H
#define ROLEFERRY_CALL_SLOT_H

#include "storage/condition_variable.h"
#include "storage/dsm.h"

#include "shmem/call.h"

typedef enum RfCallState
{
	RF_CALL_FREE,
	RF_CALL_FILL,
	RF_CALL_READY,
	RF_CALL_RUN,
	RF_CALL_DONE,
	RF_CALL_ABANDONED,
	RF_CALL_DEAD
} RfCallState;

struct RfCallSlot
{
	/*
	 * RfCallState, and above it a number that each use of the slot has its
	 * own of
	 */
	pg_atomic_uint32 word;
	pg_atomic_uint64 job_id;	/* 0 until the job is on disk */

	/* the rest belongs to the state's owner: see call.h */
	RfCallKind	kind;
	uint64		incarnation;	/* of the dispatcher it was handed to */
	int			caller;			/* proc number, for its latch */
	dsm_handle	request_segment;	/* DSM_HANDLE_INVALID: in the buffer */
	dsm_handle	answer_segment; /* pinned until fetched */
	bool		taken;			/* the dispatcher has begun with it */
	bool		answer_lost;	/* there was no room for it */
	Size		len;			/* of the request, then of the answer */
	char		buffer[RF_CALL_BUFFER];
};

typedef struct RfCallTable
{
	ConditionVariable freed;	/* somebody waits for a slot */
	pg_atomic_uint32 used;		/* slots that are not free */
	int			nslots;
	RfCallSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} RfCallTable;

#define RF_CALL_STATE_BITS	4
#define rf_call_state_of(word) ((RfCallState) ((word) & ((1 << RF_CALL_STATE_BITS) - 1)))

extern RfCallTable *rf_call_table;

/* The state now. */
extern RfCallState rf_call_state(const RfCallSlot *slot);

/*
 * From one state to another; false: it was not in that one.  For who owns the
 * slot, or knows that nobody but him can free it.
 */
extern bool rf_call_change(RfCallSlot *slot, RfCallState from, RfCallState to);

/* The same from a word that was read: false when the slot was used anew, too. */
extern bool rf_call_change_word(RfCallSlot *slot, uint32 word, RfCallState to);

/* By who waits: look for a moment whether the answer comes. */
extern void rf_call_watch(const RfCallSlot *slot);

/* By the slot's owner. */
extern void rf_call_free(RfCallSlot *slot);
extern void rf_call_drop_answer(RfCallSlot *slot);

#endif							/* ROLEFERRY_CALL_SLOT_H */

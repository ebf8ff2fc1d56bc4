/*-------------------------------------------------------------------------
 *
 * call.h
 *	  Calls that a session hands to its dispatcher and waits for.
 *
 * A call is bytes in and bytes out; what they mean is the callers' business.
 * Up to RF_CALL_BUFFER of them travel in the slot itself, more in a segment of
 * dynamic shared memory that lives as long as the handing over.
 *
 *	FREE -> FILL -> READY -> RUN -> DONE -> FREE
 *					  |		  |
 *					  |		  +-> ABANDONED	the session gave up: the dispatcher frees
 *					  |		  +-> DEAD		the dispatcher ended: the session frees
 *					  +-> FREE				taken back: the dispatcher never saw it
 *
 * Every change of state is one compare-and-swap, and each state has one owner
 * who may touch the rest: the session in FILL, DONE and DEAD, the dispatcher
 * in RUN and ABANDONED, nobody in READY.  RUN means that the call is being
 * carried out: until then a session that gives up leaves no trace.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CALL_H
#define ROLEFERRY_CALL_H

#include "port/atomics.h"

#define RF_CALL_BUFFER	(64 * 1024)

typedef enum RfCallKind
{
	RF_CALL_SEND_EMAIL,			/* becomes a job */
	RF_CALL_QUESTION,			/* a question to a provider */
	RF_CALL_ACTIVITY,			/* a question to the dispatcher: what is under
								 * way */
	RF_CALL_EXPLAIN,			/* another: what would become of a job? */
	RF_CALL_KEEP,				/* something to remember: nobody waits */
	RF_CALL_ECHO				/* a question to ourselves: builds with
								 * RF_FAULTS only */
} RfCallKind;

/* Whom rf_call_take() looks for. */
typedef enum RfCallSort
{
	RF_CALL_JOBS,
	RF_CALL_QUESTIONS
} RfCallSort;

typedef struct RfCallSlot RfCallSlot;

/* How a wait ended. */
typedef enum RfCallEnd
{
	RF_CALL_ANSWERED,
	RF_CALL_NOT_TAKEN,			/* time is over, and nobody will ever see it */
	RF_CALL_STILL_RUNNING,		/* time is over; what it asked for goes on */
	RF_CALL_DISPATCHER_GONE		/* it ended before it answered */
} RfCallEnd;

typedef struct RfCallResult
{
	RfCallEnd	end;
	bool		was_taken;		/* the dispatcher had begun with it */
	int64		job_id;			/* durably recorded by the dispatcher; or 0 */
	void	   *answer;			/* palloc'd, when answered; a zero behind it */
	Size		answer_len;
} RfCallResult;

/* Called by shared.c. */
extern Size rf_call_shared_size(void);
extern void rf_call_shared_create(void);

/*
 * In a session: hand over and wait.  Raises 55000 when no dispatcher serves
 * this database, 54000 when no slot is free within a second, and whatever ends
 * a statement (cancel, timeout, a client that is gone); the context of such an
 * error says whether the call had been taken, and which job it became.
 */
extern void rf_call_perform(RfCallKind kind, const void *request, Size len,
							int64 timeout_us, RfCallResult *result);

/*
 * In a session that waits: sleep until its latch is set or the time has come.
 * Raises whatever ends a statement.
 */
extern void rf_call_nap(int64 until_us);

/*
 * In a session: hand over and go on.  False: no slot is free, it is more than
 * a slot holds, or no dispatcher serves this database; nothing is lost but
 * that.
 */
extern bool rf_call_leave(RfCallKind kind, const void *request, Size len);

/*
 * In the dispatcher: take the next call that was handed to this incarnation,
 * or NULL.  The request is palloc'd; NULL when it could not be read (answer
 * all the same).
 */
extern RfCallSlot *rf_call_take(uint64 incarnation, RfCallSort sort,
								RfCallKind *kind, void **request, Size *len);

/* Let go of one that nobody waits for. */
extern void rf_call_taken(RfCallSlot *slot);

/* The job is on disk from now on. */
extern void rf_call_recorded(RfCallSlot *slot, int64 job_id);

/* Has its session stopped waiting?  Then the slot is let go. */
extern bool rf_call_let_go(RfCallSlot *slot);

/* The same, without letting go. */
extern bool rf_call_is_abandoned(const RfCallSlot *slot);

/* Hand back and let go of the slot.  Never raises. */
extern void rf_call_answer(RfCallSlot *slot, const void *answer, Size len);

/* From the dispatcher's exit callback: who still waits is told. */
extern void rf_call_leave_all(uint64 incarnation);

#endif							/* ROLEFERRY_CALL_H */

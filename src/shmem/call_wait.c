/*-------------------------------------------------------------------------
 *
 * call_wait.c
 *	  Calls that a session hands to its dispatcher and waits for: the
 *	  session's half.
 *
 * One call at a time: a session waits for it and does nothing else.  It waits
 * on its own latch, so whatever ends a statement ends the wait at once, and
 * looks once a second whether the dispatcher it handed the call to is alive.
 *
 * An ERROR gives the call up in the catch block; a FATAL skips that, so an
 * exit callback does the same.
 *
 * IDENTIFICATION
 *	  src/shmem/call_wait.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

/* Only the socket is of interest: it needs no Kerberos headers installed. */
#undef ENABLE_GSS
#include "libpq/libpq-be.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "errors.h"
#include "shmem/call_slot.h"
#include "shmem/fault.h"
#include "shmem/shared.h"

#define LOOK_US			INT64CONST(1000000) /* is the dispatcher alive? */
#define SLOT_WAIT_US	INT64CONST(1000000) /* for a slot */

static RfCallSlot *mine = NULL; /* in hand */

static RfDispatcherSlot *require_dispatcher(uint64 *incarnation);
static RfDispatcherSlot *find_dispatcher(uint64 *incarnation);
static RfCallSlot *take_slot(void);
static RfCallSlot *try_slots(void);
static void fill(RfCallSlot *slot, RfCallKind kind, const void *request, Size len,
				 dsm_segment **segment);
static void publish(RfCallSlot *slot, RfDispatcherSlot *dispatcher);
static bool wait_for_answer(RfCallSlot *slot, int64 deadline_us);
static bool withdraw(RfCallResult *result);
static void wake_dispatcher(void);
static void give_up(void);
static void fetch_answer(RfCallSlot *slot, RfCallResult *result);
static void rethrow_with_fate(MemoryContext context, const RfCallResult *result);
static void leave(int code, Datum arg);

void
rf_call_perform(RfCallKind kind, const void *request, Size len,
				int64 timeout_us, RfCallResult *result)
{
	static bool registered = false;
	MemoryContext context = CurrentMemoryContext;
	uint64		incarnation;
	RfDispatcherSlot *dispatcher = require_dispatcher(&incarnation);
	int64		deadline_us = rf_gate_now_us() + timeout_us;
	dsm_segment *segment = NULL;
	bool		gone = false;

	if (!registered)
		before_shmem_exit(leave, (Datum) 0);
	registered = true;
	memset(result, 0, sizeof(*result));

	mine = take_slot();
	mine->incarnation = incarnation;
	PG_TRY();
	{
		fill(mine, kind, request, len, &segment);
		publish(mine, dispatcher);
		rf_call_watch(mine);
		gone = !wait_for_answer(mine, deadline_us);
		if (!withdraw(result))
			fetch_answer(mine, result);
		give_up();
	}
	PG_CATCH();
	{
		(void) withdraw(result);
		give_up();
		rethrow_with_fate(context, result);
	}
	PG_END_TRY();
	if (gone && result->end == RF_CALL_NOT_TAKEN)
		result->end = RF_CALL_DISPATCHER_GONE;
	if (segment != NULL)
		dsm_detach(segment);
}

/*
 * A dispatcher that ends frees what it was handed; one that has ended already
 * never sees it, and then nobody but us can.
 */
bool
rf_call_leave(RfCallKind kind, const void *request, Size len)
{
	uint64		incarnation;
	RfDispatcherSlot *dispatcher = find_dispatcher(&incarnation);
	RfCallSlot *slot = dispatcher != NULL && len <= RF_CALL_BUFFER ? try_slots() : NULL;
	uint32		word;

	if (slot == NULL)
		return false;
	slot->incarnation = incarnation;
	fill(slot, kind, request, len, NULL);
	word = pg_atomic_read_u32(&slot->word) - RF_CALL_FILL + RF_CALL_READY;
	publish(slot, dispatcher);
	if (!rf_shared_incarnation_alive(MyDatabaseId, incarnation))
		return !rf_call_change_word(slot, word, RF_CALL_FREE);
	return true;
}

static RfDispatcherSlot *
require_dispatcher(uint64 *incarnation)
{
	RfDispatcherSlot *dispatcher = find_dispatcher(incarnation);

	if (dispatcher == NULL)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("no dispatcher serves database \"%s\"",
						get_database_name(MyDatabaseId)),
				 errdetail("Nothing was recorded, nothing is sent."),
				 errhint("Is it listed in roleferry.databases?  Otherwise the server's log says why its dispatcher does not run.")));
	return dispatcher;
}

/*
 * The slot of one that leaves may be another database's a moment later, and a
 * call with that one's incarnation would be recorded and sent there: so whose
 * it is is asked once more when the incarnation is known.
 */
static RfDispatcherSlot *
find_dispatcher(uint64 *incarnation)
{
	RfDispatcherSlot *dispatcher = rf_shared_find_dispatcher(MyDatabaseId);

	if (dispatcher == NULL)
		return NULL;
	RF_FAULT("call_dispatcher");
	*incarnation = dispatcher->incarnation;
	pg_read_barrier();
	return *incarnation != 0 && dispatcher->database == MyDatabaseId ? dispatcher : NULL;
}

/* Once all are in use, wait for one, but not for long. */
static RfCallSlot *
take_slot(void)
{
	int64		deadline_us = rf_gate_now_us() + SLOT_WAIT_US;
	RfCallSlot *slot = try_slots();

	if (slot != NULL)
		return slot;
	ConditionVariablePrepareToSleep(&rf_call_table->freed);
	while ((slot = try_slots()) == NULL)
	{
		int64		left_us = deadline_us - rf_gate_now_us();

		if (left_us <= 0)
			break;
		(void) ConditionVariableTimedSleep(&rf_call_table->freed, (long) (left_us / 1000) + 1,
										   rf_wait_event_new("RoleferryCallSlot"));
	}
	ConditionVariableCancelSleep();
	if (slot == NULL)
		ereport(ERROR,
				(errcode(RF_ERRCODE_LIMIT),
				 errmsg("all %d call slots are in use", rf_call_table->nslots),
				 errdetail("Nothing was recorded, nothing is sent."),
				 errhint("Raise roleferry.max_calls, or let fewer sessions wait at once: enqueue_email() needs no slot.")));
	return slot;
}

/* Each backend begins elsewhere, so that they do not fight for the first. */
static RfCallSlot *
try_slots(void)
{
	int			nslots = rf_call_table->nslots;

	for (int i = 0; i < nslots; i++)
	{
		RfCallSlot *slot = &rf_call_table->slots[(MyProcPid + i) % nslots];
		uint32		word = pg_atomic_read_u32(&slot->word);

		if (rf_call_state_of(word) == RF_CALL_FREE &&
			rf_call_change_word(slot, word, RF_CALL_FILL))
			return slot;
	}
	return NULL;
}

static void
fill(RfCallSlot *slot, RfCallKind kind, const void *request, Size len,
	 dsm_segment **segment)
{
	slot->kind = kind;
	slot->caller = rf_my_proc_number();
	slot->len = len;
	slot->request_segment = DSM_HANDLE_INVALID;
	slot->answer_segment = DSM_HANDLE_INVALID;
	slot->answer_lost = false;
	slot->taken = false;
	pg_atomic_write_u64(&slot->job_id, 0);
	if (len <= RF_CALL_BUFFER)
		memcpy(slot->buffer, request, len);
	else
	{
		*segment = dsm_create(len, 0);
		memcpy(dsm_segment_address(*segment), request, len);
		slot->request_segment = dsm_segment_handle(*segment);
	}
}

static void
publish(RfCallSlot *slot, RfDispatcherSlot *dispatcher)
{
	int			proc_number = dispatcher->proc_number;

	(void) rf_call_change(slot, RF_CALL_FILL, RF_CALL_READY);
	pg_atomic_exchange_u32(slot->kind == RF_CALL_SEND_EMAIL ?
						   &dispatcher->calls : &dispatcher->questions, 1);
	SetLatch(rf_proc_latch(proc_number));
}

/* Returns when there is nothing more to wait for; false: the dispatcher is gone. */
static bool
wait_for_answer(RfCallSlot *slot, int64 deadline_us)
{
	int64		look_us = rf_gate_now_us() + LOOK_US;

	for (;;)
	{
		int64		now_us = rf_gate_now_us();
		RfCallState state = rf_call_state(slot);

		if (state == RF_CALL_DONE || state == RF_CALL_DEAD || now_us >= deadline_us)
			return true;
		if (now_us >= look_us)
		{
			/* It marks its calls when it ends: this one came too late. */
			if (!rf_shared_incarnation_alive(MyDatabaseId, slot->incarnation))
				return false;
			look_us = now_us + LOOK_US;
		}
		rf_call_nap(Min(deadline_us, look_us));
	}
}

void
rf_call_nap(int64 until_us)
{
	static WaitEventSet *set = NULL;
	static uint32 wait_event = 0;
	long		timeout = (long) Max((until_us - rf_gate_now_us() + 999) / 1000, 0);
	WaitEvent	events[3];
	int			nevents;

	if (set == NULL)
	{
		set = rf_create_wait_event_set(3);
		AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		if (MyProcPort != NULL && WaitEventSetCanReportClosed())
			AddWaitEventToSet(set, WL_SOCKET_CLOSED, MyProcPort->sock, NULL, NULL);
		wait_event = rf_wait_event_new("RoleferryCall");
	}

	nevents = WaitEventSetWait(set, timeout, events, lengthof(events), wait_event);
	for (int i = 0; i < nevents; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (events[i].events & WL_SOCKET_CLOSED)
		{
			ClientConnectionLost = true;
			InterruptPending = true;
		}
	}
	CHECK_FOR_INTERRUPTS();
}

/*
 * Wait no longer, and say how the call stands.  False: its answer is there.
 * The dispatcher may answer or end at any moment, and nothing but that.
 */
static bool
withdraw(RfCallResult *result)
{
	RfCallSlot *slot = mine;

	result->end = RF_CALL_NOT_TAKEN;
	if (slot == NULL)
		return true;
	if (rf_call_change(slot, RF_CALL_READY, RF_CALL_FILL) ||
		rf_call_state(slot) == RF_CALL_FILL)
		return true;

	result->was_taken = true;
	result->end = RF_CALL_STILL_RUNNING;
	result->job_id = (int64) pg_atomic_read_u64(&slot->job_id);
	if (rf_call_change(slot, RF_CALL_RUN, RF_CALL_ABANDONED))
	{
		mine = NULL;			/* the dispatcher frees it */
		wake_dispatcher();
		return true;
	}
	result->job_id = (int64) pg_atomic_read_u64(&slot->job_id);
	if (rf_call_state(slot) != RF_CALL_DEAD)
		return false;
	result->was_taken = slot->taken;
	result->end = RF_CALL_DISPATCHER_GONE;
	return true;
}

/* So that it lets go of the slot soon. */
static void
wake_dispatcher(void)
{
	RfDispatcherSlot *dispatcher = rf_shared_find_dispatcher(MyDatabaseId);

	if (dispatcher != NULL)
		SetLatch(rf_proc_latch(dispatcher->proc_number));
}

/* Let go of the slot, if it is still ours. */
static void
give_up(void)
{
	RfCallSlot *slot = mine;

	mine = NULL;
	if (slot == NULL)
		return;
	rf_call_drop_answer(slot);
	rf_call_free(slot);
}

static void
fetch_answer(RfCallSlot *slot, RfCallResult *result)
{
	dsm_segment *segment;

	result->end = RF_CALL_ANSWERED;
	if (slot->answer_lost)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("there was no shared memory for an answer of %zu bytes", slot->len)));
	result->answer = MemoryContextAllocHuge(CurrentMemoryContext, slot->len + 1);
	result->answer_len = slot->len;
	((char *) result->answer)[slot->len] = '\0';
	if (slot->answer_segment == DSM_HANDLE_INVALID)
	{
		memcpy(result->answer, slot->buffer, slot->len);
		return;
	}
	segment = dsm_attach(slot->answer_segment);
	if (segment == NULL)
		elog(ERROR, "the answer's shared memory segment is gone");
	memcpy(result->answer, dsm_segment_address(segment), slot->len);
	dsm_detach(segment);
}

static void
rethrow_with_fate(MemoryContext context, const RfCallResult *result)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	if (error->detail == NULL)
		error->detail = !result->was_taken ?
			pstrdup("Nothing was recorded, nothing is sent.") :
			result->job_id == 0 ?
			pstrdup("It was being recorded: roleferry.jobs will tell whether it goes on.") :
			psprintf("It is job " INT64_FORMAT ": roleferry.jobs tells what becomes of it.",
					 result->job_id);
	ReThrowError(error);
}

/* Exit callback. */
static void
leave(int code, Datum arg)
{
	RfCallResult result;

	(void) withdraw(&result);
	give_up();
}

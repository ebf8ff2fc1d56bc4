/*-------------------------------------------------------------------------
 *
 * calls.c
 *	  Jobs that somebody waits for.
 *
 * A mail of send_email() is a job like any other: recorded and claimed in one
 * flushed transaction with the turn's other claims, carried as a flight,
 * settled by the ledger.  It has no lane to wait in and takes no place of
 * roleferry.max_in_flight, so that a full drain does not hold it up.
 *
 *	taken --> recorded --claim committed--> flying --> settled --> written
 *	  |			 |															|
 *	  |			 +--claim failed--> in doubt --found or not, next second--->|
 *	  |																		v
 *	  +--cannot be read, its key was used before ----------------------> answered
 *
 * Nothing is answered before the transaction that it speaks of is on disk.
 *
 * IDENTIFICATION
 *	  src/worker/calls.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "outbox/handover.h"
#include "outbox/insert.h"
#include "outbox/receipt.h"
#include "settings.h"
#include "shmem/call.h"
#include "shmem/fault.h"
#include "worker/state.h"

#define NOT_RECORDED	"the mail could not be recorded"
#define SEE_LOG			"The server's log says why."

typedef enum CallStage
{
	CALL_TAKEN,
	CALL_RECORDED,
	CALL_FLYING,
	CALL_SETTLED,				/* in the ledger's hands */
	CALL_IN_DOUBT,				/* the claim failed, or was it committed? */
	CALL_RESOLVED,				/* it was asked for, in a transaction under
								 * way */
	CALL_WRITTEN				/* the receipt may go out */
} CallStage;

struct RfCall
{
	RfCallSlot *slot;
	RfFlight   *flight;			/* while it is flying, or about to be gathered */
	CallStage	stage;
	int64		job_id;
	int64		until_us;		/* it is waited for; 0: as long as it takes */
	RfReceipt	receipt;
};

static void take_one(RfDispatcher *d, RfCallSlot *slot, void *request, Size len);
static void record(RfDispatcher *d, RfCall *call, RfJobDraft *draft);
static const char *status_of(const RfSettlement *settlement);
static void fail(RfCall *call, int sqlerrcode, const char *message,
				 const char *hint);

/* Was a call handed over that can be taken now? */
bool
rf_calls_waiting(RfDispatcher *d)
{
	return pg_atomic_read_u32(&d->slot->calls) != 0 && !d->alone;
}

/* In the claim's transaction: take, record and claim what was handed over. */
void
rf_calls_claim(RfDispatcher *d)
{
	RfCallKind	kind;
	RfCallSlot *slot;
	void	   *request;
	Size		len;

	pg_atomic_exchange_u32(&d->slot->calls, 0);
	while ((slot = rf_call_take(d->incarnation, RF_CALL_JOBS, &kind, &request, &len)) != NULL)
		take_one(d, slot, request, len);
}

/* The claim's transaction is over. */
void
rf_calls_claimed(RfDispatcher *d, bool committed)
{
	ListCell   *lc;

	/* Those behind the one that failed have not been taken. */
	if (!committed)
		pg_atomic_write_u32(&d->slot->calls, 1);
	foreach(lc, d->calls)
	{
		RfCall	   *call = lfirst(lc);

		switch (call->stage)
		{
			case CALL_TAKEN:
				if (!committed)
					fail(call, ERRCODE_INTERNAL_ERROR, NOT_RECORDED, SEE_LOG);
				call->stage = CALL_WRITTEN;
				break;
			case CALL_RECORDED:
				call->stage = committed ? CALL_FLYING : CALL_IN_DOUBT;
				if (committed)
					rf_call_recorded(call->slot, call->job_id);
				break;
			case CALL_RESOLVED:
				call->stage = committed ? CALL_WRITTEN : CALL_IN_DOUBT;
				break;
			case CALL_FLYING:
			case CALL_SETTLED:
			case CALL_IN_DOUBT:
			case CALL_WRITTEN:
				break;
		}
	}
}

/* In a transaction after one that may or may not have been committed. */
void
rf_calls_resolve_doubt(RfDispatcher *d)
{
	int			ncalls = list_length(d->calls);
	int64	   *ids = palloc((ncalls + 1) * sizeof(int64));
	bool	   *found = palloc((ncalls + 1) * sizeof(bool));
	ListCell   *lc;
	int			i = 0;

	if (ncalls == 0)
		return;
	foreach(lc, d->calls)
		ids[i++] = ((RfCall *) lfirst(lc))->job_id;
	rf_insert_find(ids, ncalls, found);

	i = 0;
	foreach(lc, d->calls)
	{
		RfCall	   *call = lfirst(lc);
		bool		there = found[i++];

		if (call->stage != CALL_IN_DOUBT)
			continue;
		if (there)
		{
			rf_receipt_init(&call->receipt, "queued", call->job_id);
			strlcpy(call->receipt.reason, "its first attempt could not begin",
					sizeof(call->receipt.reason));
		}
		else
			fail(call, ERRCODE_INTERNAL_ERROR, NOT_RECORDED, SEE_LOG);
		call->stage = CALL_RESOLVED;
	}
}

/* The job's fate is decided: the receipt follows when that is on disk. */
void
rf_calls_settle(RfCall *call, const RfSettlement *settlement)
{
	const RfOutcome *outcome = &settlement->outcome;

	if (settlement->kind == RF_SETTLE_NONE)
		return;
	rf_receipt_init(&call->receipt, status_of(settlement), call->job_id);
	call->receipt.http_status = outcome->http_status;
	if (settlement->provider != NULL)
		strlcpy(call->receipt.provider, settlement->provider, sizeof(call->receipt.provider));
	strlcpy(call->receipt.message_id, outcome->message_id, sizeof(call->receipt.message_id));
	strlcpy(call->receipt.reason, outcome->reason, sizeof(call->receipt.reason));
	if (settlement->kind == RF_SETTLE_SENT || settlement->kind == RF_SETTLE_DONE)
		strlcpy(call->receipt.reason, settlement->note ? settlement->note : "", sizeof(call->receipt.reason));
	else if (call->receipt.reason[0] == '\0')
		strlcpy(call->receipt.reason, "none of its accounts is open now: see roleferry.accounts",
				sizeof(call->receipt.reason));
	call->stage = CALL_SETTLED;
	call->flight = NULL;
}

void
rf_calls_settle_job(RfDispatcher *d, int64 job_id, const RfReceipt *receipt)
{
	ListCell   *lc;

	foreach(lc, d->calls)
	{
		RfCall	   *call = lfirst(lc);

		if (call->job_id != job_id || call->stage != CALL_FLYING)
			continue;
		call->receipt = *receipt;
		call->receipt.job_id = job_id;
		call->stage = CALL_WRITTEN;
		call->flight = NULL;
	}
}

/* A batch asks for it: it is found by its job's id from now on. */
void
rf_calls_gathered(RfFlight *flight)
{
	if (flight->call != NULL)
		flight->call->flight = NULL;
	flight->call = NULL;
}

/* Does somebody wait for this job, and until when? */
bool
rf_calls_await(RfDispatcher *d, int64 job_id, int64 *until_us)
{
	ListCell   *lc;

	foreach(lc, d->calls)
	{
		const RfCall *call = lfirst(lc);

		if (call->job_id != job_id || call->stage != CALL_FLYING)
			continue;
		*until_us = call->until_us;
		return true;
	}
	return false;
}

void
rf_calls_written(RfDispatcher *d)
{
	ListCell   *lc;

	foreach(lc, d->calls)
	{
		RfCall	   *call = lfirst(lc);

		if (call->stage == CALL_SETTLED)
			call->stage = CALL_WRITTEN;
	}
}

/*
 * What was written is flushed: the receipts go out.  A mail whose caller is
 * gone flies on as any other, and takes a place from then on.
 */
void
rf_calls_answer(RfDispatcher *d)
{
	ListCell   *lc;

	foreach(lc, d->calls)
	{
		RfCall	   *call = lfirst(lc);

		if (call->stage == CALL_FLYING && rf_call_let_go(call->slot))
		{
			if (call->flight != NULL)
			{
				call->flight->call = NULL;
				d->ncall_flights -= call->flight->gathers ? 0 : 1;
			}
			pfree(call);
			d->calls = foreach_delete_current(d->calls, lc);
			continue;
		}
		if (call->stage != CALL_WRITTEN)
			continue;
		rf_call_answer(call->slot, &call->receipt, sizeof(call->receipt));
		d->answered_us = rf_gate_now_us();
		pfree(call);
		d->calls = foreach_delete_current(d->calls, lc);
	}
}

/* Nothing can be sent from here: tell who asks. */
void
rf_calls_refuse(RfDispatcher *d, const char *why, const char *hint)
{
	RfReceipt	receipt;
	RfCallKind	kind;
	RfCallSlot *slot;
	void	   *request;
	Size		len;

	pg_atomic_exchange_u32(&d->slot->calls, 0);
	rf_receipt_fail(&receipt, RF_ERRCODE_NOT_READY, why, hint);
	while ((slot = rf_call_take(d->incarnation, RF_CALL_JOBS, &kind, &request, &len)) != NULL)
		rf_call_answer(slot, &receipt, sizeof(receipt));
}

static void
take_one(RfDispatcher *d, RfCallSlot *slot, void *request, Size len)
{
	MemoryContext old = MemoryContextSwitchTo(d->flights_context);
	RfCall	   *call = palloc0(sizeof(RfCall));
	RfJobDraft	draft;

	call->slot = slot;
	call->stage = CALL_TAKEN;
	d->calls = lappend(d->calls, call);
	MemoryContextSwitchTo(old);
	RF_FAULT("call_taken");

	if (request == NULL)
	{
		fail(call, ERRCODE_OUT_OF_MEMORY, "the mail could not be read from shared memory", "");
		return;
	}
	rf_handover_unpack(request, len, &draft);
	call->until_us = rf_gate_now_us() + draft.wait_us;
	record(d, call, &draft);
}

static void
record(RfDispatcher *d, RfCall *call, RfJobDraft *draft)
{
	RfFlight   *flight;

	if (draft->idempotency_key == NULL)
		(void) rf_insert_running(draft, (int64) d->incarnation, &call->job_id, NULL);
	else if (!rf_call_flight_insert(draft, (int64) d->incarnation, &call->job_id, &call->receipt))
		return;					/* the receipt is that of another job */

	call->stage = CALL_RECORDED;
	flight = rf_call_flight_start(d, call->job_id, draft);
	flight->call = call;
	call->flight = flight;
	d->ncall_flights += flight->gathers ? 0 : 1;
}

static const char *
status_of(const RfSettlement *settlement)
{
	switch (settlement->kind)
	{
		case RF_SETTLE_SENT:
			return "sent";
		case RF_SETTLE_DONE:
			return "done";
		case RF_SETTLE_DEAD:
			return settlement->state;
		case RF_SETTLE_WAIT:
		case RF_SETTLE_GIVE_BACK:
		case RF_SETTLE_NONE:
			break;
	}
	return "queued";
}

static void
fail(RfCall *call, int sqlerrcode, const char *message, const char *hint)
{
	rf_receipt_fail(&call->receipt, sqlerrcode, message, hint);
}

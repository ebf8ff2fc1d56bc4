/*-------------------------------------------------------------------------
 *
 * call_flight.c
 *	  The row and the flight of a job that somebody waits for.
 *
 * The flight is as if the job had been read from its row, which this
 * transaction has written.
 *
 * IDENTIFICATION
 *	  src/worker/call_flight.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "outbox/insert.h"
#include "outbox/receipt.h"
#include "settings.h"
#include "worker/state.h"

/* A key that another transaction holds is waited for this long, no longer. */
#define KEY_LOCK_TIMEOUT "10ms"

RfFlight *
rf_call_flight_start(RfDispatcher *d, int64 job_id, const RfJobDraft *draft)
{
	MemoryContext context = AllocSetContextCreate(d->flights_context, "roleferry transfer",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RfClaimedJob *job = palloc0(sizeof(RfClaimedJob));
	RfFlight   *flight;
	ListCell   *lc;

	job->id = job_id;
	job->lane = draft->lane;
	job->priority = draft->priority;
	job->run_at = draft->run_at;
	job->created_at = GetCurrentTransactionStartTimestamp();
	job->expires_at = DT_NOEND;
	job->attempts = 1;
	job->delivery = strcmp(draft->effective_delivery, "at_least_once") == 0 ?
		RF_AT_LEAST_ONCE : RF_AT_MOST_ONCE;
	job->mode = draft->mode;
	job->role = pstrdup(draft->role);
	job->task = pstrdup(draft->task);
	job->tenant_key = pstrdup(draft->tenant_key ? draft->tenant_key : "");
	job->queue = pstrdup(draft->effective_queue ? draft->effective_queue : "");
	foreach(lc, draft->accounts)
		job->accounts = lappend(job->accounts, pstrdup(lfirst(lc)));
	job->args = (Jsonb *) PG_DETOAST_DATUM_COPY(JsonbPGetDatum(draft->args));
	flight = rf_flight_create(job);
	MemoryContextSwitchTo(d->flights_context);
	d->starting = lappend(d->starting, flight);
	MemoryContextSwitchTo(old);
	return flight;
}

/*
 * A key that an unfinished transaction has taken would hold up every other
 * claim: it is waited for in a subtransaction of its own, and not for long.
 */
bool
rf_call_flight_insert(const RfJobDraft *draft, int64 incarnation, int64 *job_id,
					  RfReceipt *receipt)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool inserted = false;
	RfJobProblem problem;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		/* PGC_S_OVERRIDE would make it the value to return to: session.c */
		(void) set_config_option("lock_timeout", KEY_LOCK_TIMEOUT, PGC_SUSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
		switch (rf_insert_running(draft, incarnation, job_id, &problem))
		{
			case RF_KEY_TAKEN:
				inserted = true;
				break;
			case RF_KEY_KNOWN:
				rf_receipt_find(*job_id, receipt);
				break;
			case RF_KEY_CLASHES:
				rf_receipt_fail(receipt, problem.sqlerrcode, problem.message, problem.detail);
				break;
		}
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
			error->sqlerrcode != ERRCODE_T_R_SERIALIZATION_FAILURE)
			ReThrowError(error);
		rf_receipt_fail(receipt, ERRCODE_T_R_SERIALIZATION_FAILURE,
						"another transaction is using this idempotency_key", "Try again when it has ended.");
		inserted = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return inserted;
}

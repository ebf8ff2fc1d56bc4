/*-------------------------------------------------------------------------
 *
 * call_flight.c
 *	  The flight of a job that somebody waits for.
 *
 * As if the job had been read from its row, which this transaction has written.
 *
 * IDENTIFICATION
 *	  src/worker/call_flight.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "settings.h"
#include "worker/state.h"

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
	job->max_attempts = rf_max_attempts;
	job->delivery = strcmp(draft->effective_delivery, "at_least_once") == 0 ?
		RF_AT_LEAST_ONCE : RF_AT_MOST_ONCE;
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

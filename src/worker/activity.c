/*-------------------------------------------------------------------------
 *
 * activity.c
 *	  What a dispatcher has under way, for who asks.
 *
 * IDENTIFICATION
 *	  src/worker/activity.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "shmem/call.h"
#include "worker/activity.h"
#include "worker/state.h"

static void describe(const RfFlight *flight, int64 now_us, RfActivity *activity);

void
rf_activity_answer(RfDispatcher *d, RfCallSlot *slot)
{
	RfActivity *all = palloc0(sizeof(RfActivity) * (d->nflights + 1));
	int64		now_us = rf_gate_now_us();

	for (int i = 0; i < d->nflights; i++)
		describe(d->flights[i], now_us, &all[i]);
	rf_call_answer(slot, all, sizeof(RfActivity) * d->nflights);
	pfree(all);
}

static void
describe(const RfFlight *flight, int64 now_us, RfActivity *activity)
{
	const RfTransfer *transfer = &flight->transfer;

	activity->server = flight->entry->server;
	activity->sent = transfer->sent_us != 0;
	activity->reused = transfer->reused;
	activity->awaited = flight->call != NULL || flight->asker != NULL;
	activity->age_us = Max(now_us - transfer->started_us, 0);
	if (flight->job == NULL)
		return;
	activity->job_id = flight->job->id;
	activity->attempt = flight->job->attempts;
	strlcpy(activity->task, flight->job->task, sizeof(activity->task));
}

/*-------------------------------------------------------------------------
 *
 * drain.c
 *	  Leaving: answers are waited for, and what has none is settled.
 *
 * IDENTIFICATION
 *	  src/worker/drain.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/ipc.h"

#include "worker/pool.h"
#include "worker/state.h"

void
rf_drain_begin(RfDispatcher *d, int grace_ms)
{
	d->drain_until_us = rf_gate_now_us() + (int64) grace_ms * 1000;
	rf_staff_dismiss();
	if (d->nflights > 0)
		ereport(LOG,
				(errmsg("roleferry dispatcher is stopping: waiting for %d answers", d->nflights)));
}

/* What has no answer by now gets none: settle by what left, and go. */
void
rf_drain_end(RfDispatcher *d)
{
	while (d->nflights > 0)
	{
		RfFlight   *flight = d->flights[d->nflights - 1];

		flight->aborted = true;
		rf_http_abort(d->engine, &flight->transfer,
					  "the dispatcher had to stop before an answer came",
					  rf_gate_now_us());
		rf_fleet_land_finished(d);
	}
	rf_staff_stop(d);
	if (d->again != NIL)
		rf_fleet_return_again(d);
	rf_batches_return(d);
	if (d->settlements != NIL || rf_batches_moved())
		(void) rf_ledger_write(d, RF_COMMIT_FLUSHED);
	rf_claims_give_back(d);
	rf_calls_answer(d);
	rf_kept_write(d, true);
	proc_exit(0);
}

/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  Settlements: kept until they are written.
 *
 * A settlement that cannot be written now is kept and tried again, and nothing
 * is claimed before that succeeded: an outcome is never dropped, and a mail
 * never sent again because of it.
 *
 * IDENTIFICATION
 *	  src/worker/ledger.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "outbox/email_args.h"
#include "settings.h"
#include "shmem/fault.h"
#include "shmem/waiter.h"
#include "worker/credits.h"
#include "worker/metrics.h"
#include "worker/notices.h"
#include "worker/order_keys.h"
#include "worker/state.h"

static void see_written(RfDispatcher *d);
static void settle_work(void *arg);
static void tell_waiters(RfDispatcher *d);

/* Remember it until it is written. */
void
rf_ledger_keep(RfDispatcher *d, const RfSettlement *settlement, RfFlight *flight)
{
	MemoryContext old = MemoryContextSwitchTo(d->settle_context);
	RfSettlement *copy = palloc(sizeof(RfSettlement));

	*copy = *settlement;
	if (copy->account != NULL)
		copy->account = pstrdup(copy->account);
	if (copy->excerpt_len > 0)
	{
		copy->excerpt = palloc(copy->excerpt_len);
		memcpy(copy->excerpt, settlement->excerpt, copy->excerpt_len);
	}
	if (copy->kind == RF_SETTLE_SENT)
	{
		copy->from_addr = rf_email_args_text(flight->job->args, "from_addr");
		copy->to_addr = rf_email_args_text(flight->job->args, "to_addr");
		copy->subject = rf_email_args_text(flight->job->args, "subject");
	}
	else if (copy->kind == RF_SETTLE_DEAD && rf_log_recipients != RF_LOG_RECIPIENTS_OFF)
		copy->to_addr = rf_email_args_text(flight->job->args, "to_addr");
	if (copy->found != NULL)
		copy->found = pstrdup(copy->found);
	if (copy->result != NULL)
	{
		copy->result = palloc(VARSIZE(settlement->result));
		memcpy(copy->result, settlement->result, VARSIZE(settlement->result));
	}
	rf_metrics_job(flight->job, settlement);
	copy->lane = flight->job->lane;
	copy->priority = flight->job->priority;
	copy->order_lane = flight->job->order_lane;
	copy->on_done = flight->job->on_done;
	d->settlements = lappend(d->settlements, copy);
	MemoryContextSwitchTo(old);
	if (flight->call != NULL)
		rf_calls_settle(flight->call, settlement);
}

/* Of a job that needs no transfer: it is not looked at after this. */
void
rf_ledger_keep_job(RfDispatcher *d, const RfSettlement *settlement,
				   const RfClaimedJob *job)
{
	MemoryContext old = MemoryContextSwitchTo(d->settle_context);
	RfSettlement *copy = palloc(sizeof(RfSettlement));

	*copy = *settlement;
	copy->job_id = job->id;
	rf_metrics_job(job, settlement);
	copy->lane = job->lane;
	copy->priority = job->priority;
	copy->order_lane = job->order_lane;
	copy->on_done = job->on_done;
	d->settlements = lappend(d->settlements, copy);
	MemoryContextSwitchTo(old);
}

bool
rf_ledger_write(RfDispatcher *d, RfCommit commit)
{
	bool		missing;

	RF_FAULT("before_record");
	if (!rf_session_run(settle_work, d, commit, "settling jobs", &missing))
	{
		rf_batches_written(d, false);
		MemoryContextReset(d->claim_context);
		d->next_write_us = rf_gate_now_us() + RF_RETRY_WRITE_US;
		return false;
	}
	RF_FAULT("after_record");
	rf_credits_written(true);
	see_written(d);
	rf_notices_settled(d);
	rf_calls_written(d);
	if (rf_waiters_exist())
		tell_waiters(d);
	rf_batches_written(d, true);
	d->settlements = NIL;
	MemoryContextReset(d->settle_context);
	return true;
}

/*
 * An event may already have come of what is unknown now.  What waits again can
 * be claimed from here on.  Not earlier: a sweep in between would not have seen
 * it, and would have set its strand's mark past it.
 */
static void
see_written(RfDispatcher *d)
{
	ListCell   *lc;

	foreach(lc, d->settlements)
	{
		const RfSettlement *s = lfirst(lc);

		if (s->kind == RF_SETTLE_DEAD && strcmp(s->state, "unknown") == 0)
			d->new_doubts = true;
		if (s->kind == RF_SETTLE_NONE)
			continue;
		if (s->kind != RF_SETTLE_WAIT && s->kind != RF_SETTLE_GIVE_BACK)
		{
			rf_order_keys_gone(s->order_lane, s->job_id);
			continue;
		}
		rf_order_keys_ended(s->order_lane, s->job_id);
		if (!rf_lanes_lower(&d->lanes, s->lane, s->priority, s->run_at, s->job_id))
			d->look_everywhere = true;
	}
}

/* Visible to them by now. */
static void
tell_waiters(RfDispatcher *d)
{
	ListCell   *lc;

	foreach(lc, d->settlements)
	{
		const RfSettlement *s = lfirst(lc);

		if (s->kind == RF_SETTLE_SENT || s->kind == RF_SETTLE_DONE || s->kind == RF_SETTLE_DEAD)
			rf_waiters_tell(s->job_id);
	}
}

static void
settle_work(void *arg)
{
	RfDispatcher *d = arg;

	rf_notices_prepare(d);
	rf_settle_write((int64) d->incarnation, d->settlements, d->attempt_table,
					d->result_table);
	rf_batches_write(d);
	rf_credits_write();
}

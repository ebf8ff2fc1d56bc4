/*-------------------------------------------------------------------------
 *
 * staff_watch.c
 *	  What executors have done with their jobs, and which of them have ended.
 *
 * What an executor has committed is the truth, and it says so in the job's
 * ticket; this side only keeps count.  A job that its executor had not begun
 * when it ended is given back, one that it had begun counts as failed.  Both
 * are fenced: where the executor committed and could not say so any more, the
 * job is not there to be settled.
 *
 * IDENTIFICATION
 *	  src/worker/staff_watch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "utils/timestamp.h"

#include "core/backoff.h"
#include "worker/order_keys.h"
#include "worker/pool.h"
#include "worker/staff.h"
#include "worker/state.h"

static void collect(RfDispatcher *d, RfStaffed *e);
static void take_back_waiting(RfDispatcher *d, RfStaffed *e);
static bool has_ended(RfStaffed *e);
static void bury(RfDispatcher *d, int i);
static void settle_as_it_was(RfDispatcher *d, const RfHeldJob *held);
static void settle(RfDispatcher *d, const RfHeldJob *held, RfSettleKind kind,
				   TimestampTz run_at, const char *why);

void
rf_staff_turn(RfDispatcher *d)
{
	int64		now_us = rf_gate_now_us();

	for (int i = rf_nstaff - 1; i >= 0; i--)
	{
		RfStaffed  *e = rf_staff[i];

		/* First whether it has ended: what it did before that is then seen. */
		bool		ended = has_ended(e);

		collect(d, e);
		if (ended)
			bury(d, i);
		else if (rf_staff_is_slow(e, now_us))
			take_back_waiting(d, e);
	}
	rf_staff_make_room();
	rf_fleet_end_alone(d);
}

/* What it says has become of its jobs. */
static void
collect(RfDispatcher *d, RfStaffed *e)
{
	uint32		ended = pg_atomic_read_u32(&e->slot->ended);

	pg_read_barrier();
	for (; e->seen != ended; e->seen++)
	{
		const RfTicket *ticket = rf_executor_ticket(e->slot, e->seen);
		const RfHeldJob *held = &e->held[e->seen % RF_EXECUTOR_TICKETS];

		if (ticket->end != RF_TICKET_TAKEN_BACK)
			rf_queues_leave(held->queue);
		switch (ticket->end)
		{
			case RF_TICKET_OPEN:
			case RF_TICKET_OVER:
				rf_order_keys_ended(held->order_lane, held->id);
				break;
			case RF_TICKET_TAKEN_BACK:
				break;
			case RF_TICKET_WAITS:
				rf_order_keys_ended(held->order_lane, held->id);
				if (!rf_lanes_lower(&d->lanes, held->lane, held->priority, ticket->run_at, held->id))
					d->look_everywhere = true;
				break;
			case RF_TICKET_NOT_RUN:
				settle(d, held, RF_SETTLE_GIVE_BACK, ticket->run_at, NULL);
				break;
		}
	}
}

/* Those it has not begun go to others. */
static void
take_back_waiting(RfDispatcher *d, RfStaffed *e)
{
	uint32		given = pg_atomic_read_u32(&e->slot->given);

	for (uint32 n = pg_atomic_read_u32(&e->slot->begun); n != given; n++)
	{
		const RfHeldJob *held = &e->held[n % RF_EXECUTOR_TICKETS];

		if (!rf_executor_take_back(e->slot, n))
			continue;
		rf_queues_leave(held->queue);
		settle_as_it_was(d, held);
	}
}

static bool
has_ended(RfStaffed *e)
{
	pid_t		pid;
	uint32		state = pg_atomic_read_u32(&e->slot->state);

	if (state == RF_EXECUTOR_GONE)
		return true;
	/* It may not have come as far as to say so. */
	return state == RF_EXECUTOR_STARTING && GetBackgroundWorkerPid(e->handle, &pid) == BGWH_STOPPED;
}

static void
bury(RfDispatcher *d, int i)
{
	RfStaffed  *e = rf_staff[i];
	uint32		given = pg_atomic_read_u32(&e->slot->given);
	uint32		begun = pg_atomic_read_u32(&e->slot->begun);
	bool		blameless = d->drain_until_us != 0;
	bool		never_ready = pg_atomic_read_u32(&e->slot->ready) == 0;

	for (; e->seen != given; e->seen++)
	{
		const RfHeldJob *held = &e->held[e->seen % RF_EXECUTOR_TICKETS];

		if (rf_executor_ticket(e->slot, e->seen)->end == RF_TICKET_TAKEN_BACK)
			continue;
		rf_queues_leave(held->queue);
		if (never_ready && !blameless)
			settle(d, held, RF_SETTLE_WAIT, held->run_at, "its executor could not start: see the server's log");
		else if ((int32) (begun - e->seen) <= 0)
			settle_as_it_was(d, held);
		else
			settle(d, held, RF_SETTLE_WAIT, held->run_at, blameless ? NULL : "its executor was ended while it ran");
	}
	rf_executor_free_slot(e->slot);
	pfree(e->handle);
	pfree(e);
	rf_staff[i] = rf_staff[--rf_nstaff];
}

static void
settle_as_it_was(RfDispatcher *d, const RfHeldJob *held)
{
	settle(d, held, RF_SETTLE_GIVE_BACK, held->run_at, NULL);
}

/* why: it counts as a failure. */
static void
settle(RfDispatcher *d, const RfHeldJob *held, RfSettleKind kind,
	   TimestampTz run_at, const char *why)
{
	RfSettlement settlement;
	RfClaimedJob job;

	memset(&settlement, 0, sizeof(settlement));
	memset(&job, 0, sizeof(job));
	settlement.kind = kind;
	job.id = held->id;
	job.lane = held->lane;
	job.priority = held->priority;
	job.queue = held->queue->name;
	job.order_lane = held->order_lane;
	settlement.run_at = run_at;
	if (why != NULL)
	{
		RfBackoffPolicy policy = rf_backoff_policy(RF_OUTCOME_TRANSIENT);

		settlement.charged = 1;
		settlement.run_at = GetCurrentTimestamp() +
			rf_backoff_delay_us(&policy, held->failures + 1, -1, 0, pg_prng_uint64(&pg_global_prng_state));
		rf_outcome_init(&settlement.outcome, RF_OUTCOME_TRANSIENT, 0);
		rf_outcome_set_reason(&settlement.outcome, why, strlen(why));
		if (held->failures + 1 >= held->max_attempts)
		{
			settlement.kind = RF_SETTLE_DEAD;
			settlement.state = "failed";
		}
		settlement.verdict = settlement.kind == RF_SETTLE_DEAD ? "failed" : "retry";
		settlement.attempt = held->attempts;
		settlement.started_at = GetCurrentTimestamp();
	}
	rf_ledger_keep_job(d, &settlement, &job);
}

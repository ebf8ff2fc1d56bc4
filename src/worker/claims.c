/*-------------------------------------------------------------------------
 *
 * claims.c
 *	  Claiming: as much as can start, and no more.
 *
 * One flushed transaction for all jobs of a turn: first those that go on to
 * their next account, then strand after strand, and last what was chosen among
 * the jobs of order keys.  After a claim that failed,
 * whatever carries our incarnation without being in hand is given back before
 * anything else is claimed.
 *
 * IDENTIFICATION
 *	  src/worker/claims.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/job.h"
#include "outbox/sweep.h"
#include "shmem/fault.h"
#include "worker/clock.h"
#include "worker/limits.h"
#include "worker/order_keys.h"
#include "worker/order_ready.h"
#include "worker/pool.h"
#include "worker/roster.h"
#include "worker/standby.h"
#include "worker/state.h"

#define CLAIM_STRANDS_MAX	64	/* strands served by one claim transaction */
#define PART_OUT_OF_TURN	8	/* of the room, for who goes before a higher
								 * priority */

static void claim_work(void *arg);
static void give_back_unknown(RfDispatcher *d);
static void claim_again(RfDispatcher *d);
static void take_again(RfDispatcher *d);
static void claim_strand(RfDispatcher *d, RfStrand *strand, int room);
static void claim_chosen(RfDispatcher *d);
static bool counts_claimed(int route);
static void keep_claimed(RfDispatcher *d, List *jobs);
static int	places_left(RfDispatcher *d);
static bool strand_is_open(int route, void *context);
static bool nothing_runs(RfDispatcher *d);

bool
rf_claims_allowed(RfDispatcher *d)
{
	if (d->drain_until_us != 0 || !d->started_up || !d->active)
		return false;
	return d->claims_in_doubt || (!rf_standby_is_behind() && rf_clock_is_followed());
}

bool
rf_claims_possible(RfDispatcher *d)
{
	RfStrand   *strand;

	if (!rf_claims_allowed(d))
		return false;
	if (d->claims_in_doubt)
		return true;
	if (d->again != NIL || rf_calls_waiting(d) || rf_batches_want_claim(d) || rf_questions_want_grant(d) ||
		rf_order_keys_want_claim())
		return true;
	if (d->alone)
		return false;
	strand = rf_lanes_pick(&d->lanes, GetCurrentTimestamp(), strand_is_open, d);
	return strand != NULL && (strand->lane != RF_LANE_ALONE || nothing_runs(d));
}

void
rf_claims_run(RfDispatcher *d, bool settled_lazily)
{
	XLogRecPtr	settled_end = XactLastCommitEnd;
	bool		was_in_doubt = d->claims_in_doubt;
	bool		missing;
	ListCell   *lc;

	RF_FAULT("before_claim");
	/* What is given back is sent by nobody: no standby need know. */
	if (!rf_session_run(claim_work, d, was_in_doubt ? RF_COMMIT_FLUSHED : RF_COMMIT_CLAIM,
						"claiming jobs", &missing))
	{
		/* Whether it was committed is not known: ask before anything else. */
		foreach(lc, d->starting)
			rf_fleet_free(d, lfirst(lc));
		d->starting = NIL;
		d->nchosen = 0;
		rf_order_keys_claimed(false);
		rf_pools_claimed(d, false);
		rf_limits_granted(false);
		rf_batches_claimed(d, false);
		rf_calls_claimed(d, false);
		MemoryContextReset(d->claim_context);	/* with what no flight has */
		d->claims_in_doubt = true;
		d->look_everywhere = true;
		d->next_write_us = rf_gate_now_us() + RF_RETRY_WRITE_US;
	}
	else
	{
		RF_FAULT("after_claim_commit");
		rf_order_keys_claimed(true);
		rf_pools_claimed(d, true);
		rf_limits_granted(true);
		rf_batches_claimed(d, true);
		rf_calls_claimed(d, true);
		foreach(lc, d->starting)
			MemoryContextSetParent(((RfFlight *) lfirst(lc))->context, d->flights_context);
		if (was_in_doubt)
		{
			/* What was given back may stand before its strand's mark. */
			d->claims_in_doubt = false;
			d->look_everywhere = true;
		}
		else if (d->active)
			take_again(d);
	}

	/* One that took nothing of the outbox, but starts something, flushes not. */
	if (settled_lazily)
		XLogFlush(settled_end);
}

/* Leaving with claims in doubt: none was sent, so none is to look like it. */
void
rf_claims_give_back(RfDispatcher *d)
{
	bool		missing;

	if (d->claims_in_doubt)
		rf_calls_claimed(d, rf_session_run(claim_work, d, RF_COMMIT_FLUSHED, "giving back claims", &missing));
}

static void
claim_work(void *arg)
{
	RfDispatcher *d = arg;
	TimestampTz now = GetCurrentTimestamp();
	int			served = 0;

	rf_activation_read(&d->activation);
	d->active = d->activation.state == RF_ACTIVATION_ACTIVE;
	if (d->claims_in_doubt)
	{
		give_back_unknown(d);
		rf_calls_resolve_doubt(d);
		return;					/* claim when that is committed */
	}
	if (!d->active)
		return;
	rf_roster_refresh();
	rf_limit_rules_refresh(d->slot);
	rf_order_keys_advance(d);
	if (d->again != NIL)
		claim_again(d);
	if (rf_calls_waiting(d))
		rf_calls_claim(d);

	/*
	 * Those that go on have their places already: rf_fleet_free_places(d)
	 * knows.
	 */
	while (served++ < CLAIM_STRANDS_MAX && !d->alone)
	{
		RfStrand   *strand = rf_lanes_pick(&d->lanes, now, strand_is_open, d);
		bool		out_of_turn = d->lanes.out_of_turn;
		int64		opens_at;
		int			room;

		if (strand == NULL)
			break;
		if (strand->lane == RF_LANE_ALONE &&
			!(nothing_runs(d) && d->again == NIL && d->starting == NIL && d->nchosen == 0 && !rf_pools_have_kept()))
			break;				/* when everything else has landed */
		if (strand->route < 0)
			rf_sweep_first_job(strand, rf_lookout_remember_route, NULL);
		room = rf_roster_route_capacity(strand->route, d->engine, rf_gate_now_us(), &opens_at);
		if (!rf_roster_is_pool(strand->route))
			room = Min(room, places_left(d));
		if (out_of_turn)
			room = Min(room, Max(room / PART_OUT_OF_TURN, 1));
		if (room > 0)
			claim_strand(d, strand, room);
		rf_lanes_served(&d->lanes, strand);
	}
	claim_chosen(d);
	rf_batches_claim(d);
	rf_limits_grant(d);
	RF_FAULT("before_claim_commit");
}

/*
 * What carries our incarnation and is in nobody's hands.  A settlement that is
 * not written yet holds its job, too: given back, it would be done again.
 */
static void
give_back_unknown(RfDispatcher *d)
{
	int64	   *in_hand = palloc((d->nflights + list_length(d->again) + list_length(d->settlements) +
								  rf_batches_in_hand(NULL) + rf_staff_in_hand() + 1) * sizeof(int64));
	int			nin_hand = 0;
	ListCell   *lc;

	for (int i = 0; i < d->nflights; i++)
		if (d->flights[i]->job != NULL)
			in_hand[nin_hand++] = d->flights[i]->job->id;
	foreach(lc, d->again)
		in_hand[nin_hand++] = ((RfFlight *) lfirst(lc))->job->id;
	foreach(lc, d->settlements)
		in_hand[nin_hand++] = ((RfSettlement *) lfirst(lc))->job_id;
	nin_hand += rf_batches_in_hand(in_hand + nin_hand);
	rf_batches_load(d, false);
	nin_hand += rf_staff_ids(in_hand + nin_hand);
	(void) rf_claim_give_back_unknown((int64) d->incarnation, in_hand, nin_hand);
}

/* Jobs that go on to their next account: one more attempt each, durably. */
static void
claim_again(RfDispatcher *d)
{
	int			count = list_length(d->again);
	int64	   *ids = palloc(count * sizeof(int64));
	int64	   *ours = palloc(count * sizeof(int64));
	int			nours;
	ListCell   *lc;
	int			i = 0;

	foreach(lc, d->again)
		ids[i++] = ((RfFlight *) lfirst(lc))->job->id;
	nours = rf_claim_again((int64) d->incarnation, ids, count, ours);

	foreach(lc, d->again)
	{
		RfFlight   *flight = lfirst(lc);

		flight->claimed_again = false;
		for (i = 0; i < nours && !flight->claimed_again; i++)
			flight->claimed_again = ours[i] == flight->job->id;
	}
}

/* The claim is durable: they may start; what is no longer ours is let go. */
static void
take_again(RfDispatcher *d)
{
	MemoryContext old = MemoryContextSwitchTo(d->flights_context);
	ListCell   *lc;

	foreach(lc, d->again)
	{
		RfFlight   *flight = lfirst(lc);

		if (!flight->claimed_again)
		{
			rf_fleet_free(d, flight);
			continue;
		}
		flight->job->attempts++;
		d->starting = lappend(d->starting, flight);
	}
	list_free(d->again);
	d->again = NIL;
	MemoryContextSwitchTo(old);
}

static void
claim_strand(RfDispatcher *d, RfStrand *strand, int room)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		lonely = strand->lane == RF_LANE_ALONE;
	int			count = rf_order_ready_serve(d, strand, room, now);
	List	   *jobs;

	if (count > 0)
	{
		/*
		 * At the end, of all strands at once, where nobody counts them
		 * before.
		 */
		d->nchosen += count;
		if (counts_claimed(strand->route))
			claim_chosen(d);
	}
	else
	{
		jobs = rf_claim_jobs((int64) d->incarnation, strand, lonely ? 1 : room,
							 now, d->claim_context);
		jobs = rf_order_keys_sift(d, jobs);
		count = list_length(jobs);
		d->alone |= lonely && count > 0;
		keep_claimed(d, jobs);
	}
	rf_roster_reserve(strand->route, count, d->engine, rf_gate_now_us());
}

static void
claim_chosen(RfDispatcher *d)
{
	d->nchosen = 0;
	keep_claimed(d, rf_order_keys_claim_ready(d));
}

/* Does what is claimed make less room for others of its queue, or of its pool? */
static bool
counts_claimed(int route)
{
	RfQueueEntry *queue = rf_roster_route_queue(route);

	return rf_roster_is_pool(route) || queue == NULL || queue->concurrency > 0;
}

static void
keep_claimed(RfDispatcher *d, List *jobs)
{
	ListCell   *lc;

	foreach(lc, jobs)
	{
		RfClaimedJob *job = lfirst(lc);
		MemoryContext old = MemoryContextSwitchTo(d->flights_context);

		if (rf_pool_wants(job))
			rf_pool_keep(d, job);
		else
			d->starting = lappend(d->starting, rf_flight_create(job));
		MemoryContextSwitchTo(old);
	}
	list_free(jobs);
}

/* For what goes to the providers. */
static int
places_left(RfDispatcher *d)
{
	return rf_fleet_free_places(d) - list_length(d->starting) - d->nchosen;
}

static bool
strand_is_open(int route, void *context)
{
	RfDispatcher *d = context;
	int64		opens_at;

	/* Who waits for a place at the providers stands in no executor's way. */
	if (!rf_roster_is_pool(route) && places_left(d) <= 0)
		return false;
	return rf_roster_route_capacity(route, d->engine, rf_gate_now_us(), &opens_at) > 0;
}

static bool
nothing_runs(RfDispatcher *d)
{
	return d->nflights == 0 && rf_staff_in_hand() == 0;
}

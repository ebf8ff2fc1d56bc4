/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  What the dispatcher does not do at once, though it could.
 *
 * IDENTIFICATION
 *	  src/worker/pace.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sched.h>

#include "miscadmin.h"

#include "shmem/cores.h"
#include "worker/order_keys.h"
#include "worker/pool.h"
#include "worker/roster.h"
#include "worker/state.h"

/*
 * Settling and claiming cost two transactions and a flush, for one job as for
 * twenty.  Ended transfers wait this long for others, or until there are this
 * many, or this part of those under way.
 */
#define GATHER_US			2000
#define GATHER_LEAST		8
#define GATHER_PART			25

/*
 * To be woken costs more than to carry a call.  So while a call is under way,
 * or was answered just now, what comes next is watched for this long before
 * the process sleeps: each time while that pays, else once in a while.
 */
#define LINGER_US			120
#define LINGER_HOPE			8	/* times in vain before it is given up */
#define LINGER_SELDOM		64

/* How often it may do without the wait that knows of a dead postmaster. */
#define LINGER_IN_A_ROW		1000

/* Of the routes with jobs that are due, when the first closed one opens. */
typedef struct ClosedRoutes
{
	RfHttpEngine *engine;
	int64		now_us;
	int64		opens_at_us;
} ClosedRoutes;

static bool may_linger(RfDispatcher *d, int64 now);
static bool note_opening(int route, void *context);

/*
 * Nobody is made to wait for it: not the caller of send_email(), nor a job for
 * which there was a place before these transfers ended.
 */
bool
rf_pace_gathers(RfDispatcher *d)
{
	int			nended = list_length(d->settlements);
	int64		now = rf_gate_now_us();

	if (nended == 0 || nended >= Max(GATHER_LEAST, d->nflights / GATHER_PART) ||
		d->nflights == 0 || d->drain_until_us != 0 || d->again != NIL ||
		d->claims_in_doubt || d->calls != NIL || rf_calls_waiting(d) ||
		(rf_fleet_free_places(d) > nended && rf_claims_possible(d)) ||
		(d->gather_until_us != 0 && now >= d->gather_until_us))
		d->gather_until_us = 0;
	else if (d->gather_until_us == 0)
		d->gather_until_us = now + GATHER_US;
	return d->gather_until_us != 0;
}

/*
 * While nothing can be claimed, hints stay in the slot, and with them the flag
 * that keeps sessions from waking us at each commit.
 */
bool
rf_pace_wants_hints(RfDispatcher *d)
{
	return rf_wake_everywhere(d->slot) ||
		(rf_wake_pending(d->slot) &&
		 (!d->started_up || (d->active && (rf_fleet_free_places(d) > 0 || rf_staff_has_room()))));
}

/* True: our latch was set, or a socket is ready. */
bool
rf_pace_lingers(RfDispatcher *d)
{
	static int	hope = LINGER_HOPE;
	static unsigned waits = 0;
	int64		now = rf_gate_now_us();
	int64		until = now + LINGER_US;

	if (!may_linger(d, now) || ++waits % LINGER_IN_A_ROW == 0 ||
		(hope == 0 && waits % LINGER_SELDOM != 0))
		return false;
	for (; now < until; now = rf_gate_now_us())
	{
		if (MyLatch->is_set || rf_http_is_ready(d->engine))
		{
			ResetLatch(MyLatch);
			hope = Min(hope + 1, LINGER_HOPE);
			return true;
		}
		sched_yield();
	}
	hope = Max(hope - 1, 0);
	return false;
}

/* With a single core nobody else would get on. */
static bool
may_linger(RfDispatcher *d, int64 now)
{
	return (d->ncall_flights > 0 || now - d->answered_us < LINGER_US) && rf_cores() > 1;
}

/* INT64_MAX: no account that a due job waits for says when it opens. */
int64
rf_pace_next_opening(RfDispatcher *d, TimestampTz wall)
{
	ClosedRoutes waiting;

	waiting.engine = d->engine;
	waiting.now_us = rf_gate_now_us();
	waiting.opens_at_us = rf_order_keys_next_us();
	(void) rf_lanes_pick(&d->lanes, wall, note_opening, &waiting);
	return waiting.opens_at_us;
}

/* Asked for each route that has something due; picks none. */
static bool
note_opening(int route, void *context)
{
	ClosedRoutes *waiting = context;
	int64		opens_at;

	if (rf_roster_route_capacity(route, waiting->engine, waiting->now_us, &opens_at) == 0 &&
		opens_at > 0)
		waiting->opens_at_us = Min(waiting->opens_at_us, opens_at);
	return false;
}

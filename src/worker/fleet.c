/*-------------------------------------------------------------------------
 *
 * fleet.c
 *	  The jobs under way: starting them and landing them.
 *
 * What flight.c knows about one job, this file does for all of them: it keeps
 * the array of transfers under way and hands each one's end to the ledger, or
 * to the claims when it goes on to its next account.
 *
 * IDENTIFICATION
 *	  src/worker/fleet.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "settings.h"
#include "worker/batches.h"
#include "worker/departure.h"
#include "worker/pool.h"
#include "worker/question.h"
#include "worker/roster.h"
#include "worker/search.h"
#include "worker/state.h"

/* After a shortage of ours: how fast more is dared, how often it is told. */
#define RELAX_US		INT64CONST(1000000)
#define COMPLAIN_US		INT64CONST(60000000)

/*
 * Who would ask what is being asked waits as long again as that has taken, at
 * least and at most this.
 */
#define SAME_LEAST_US	INT64CONST(50000)
#define SAME_MOST_US	INT64CONST(1000000)

/* After this many starts whoever waits for a call gets his turn. */
#define ATTEND_EVERY	8

static bool is_settled_unsent(RfDispatcher *d, RfFlight *flight, RfSettlement *settlement);
static TimestampTz same_since(RfDispatcher *d, const RfFlight *flight, TimestampTz now);
static void lower_ceiling(RfDispatcher *d, const char *why);
static void relax_ceiling(RfDispatcher *d);
static void land(RfDispatcher *d, RfFlight *flight);
static void remove_flight(RfDispatcher *d, RfFlight *flight);
static void keep_page(RfDispatcher *d, RfFlight *flight);

void
rf_fleet_land_finished(RfDispatcher *d)
{
	RfTransfer *transfer;

	if (d->ceiling > 0 && rf_gate_now_us() >= d->relax_at_us)
		relax_ceiling(d);
	while ((transfer = rf_http_next_finished(d->engine)) != NULL)
		rf_fleet_land(d, (RfFlight *) transfer->owner);
}

/*
 * In the middle of long work: whoever waits for a call waits for what is under
 * his nose only, not for the whole turn.
 */
void
rf_fleet_attend(RfDispatcher *d)
{
	if (d->ncall_flights == 0 && !rf_questions_waiting(d))
		return;
	rf_questions_serve(d);
	rf_http_turn(d->engine, rf_gate_now_us);
	rf_fleet_land_finished(d);
}

void
rf_fleet_start_claimed(RfDispatcher *d)
{
	List	   *claimed = d->starting;
	int			nstarted = 0;
	ListCell   *lc;

	d->starting = NIL;
	rf_roster_release_all();
	foreach(lc, claimed)
	{
		RfFlight   *flight = lfirst(lc);
		RfSettlement settlement;
		RfStart		barred;

		if (flight->batch != NULL || flight->gathers)
		{
			if (flight->batch != NULL)
				rf_batches_start(d, flight);
			else if (!rf_departure_is_barred(flight, d->activation.installation, &settlement, &barred))
				rf_batches_gather(d, flight);
			else
			{
				rf_ledger_keep(d, &settlement, flight);
				rf_fleet_free(d, flight);
			}
			continue;
		}
		if (flight->search != NULL && is_settled_unsent(d, flight, &settlement))
		{
			rf_ledger_keep(d, &settlement, flight);
			rf_fleet_free(d, flight);
			continue;
		}
		switch (rf_flight_start(flight, d->engine, d->activation.installation, &settlement))
		{
			case RF_START_FLYING:
				rf_fleet_add(d, flight);
				break;
			case RF_START_FINISHED:
				rf_fleet_add(d, flight);
				rf_fleet_land(d, flight);
				break;
			case RF_START_CANNOT:
			case RF_START_DEAD:
				rf_ledger_keep(d, &settlement, flight);
				rf_fleet_free(d, flight);
				break;
		}
		if (++nstarted % ATTEND_EVERY == 0)
			rf_fleet_attend(d);
	}
	list_free(claimed);
	rf_fleet_end_alone(d);
}

/*
 * A search that the cache has answered; or one that another job is making: it
 * is given back, and finds the answer in the cache, or asks if there is none.
 */
static bool
is_settled_unsent(RfDispatcher *d, RfFlight *flight, RfSettlement *settlement)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz since = same_since(d, flight, now);

	if (!rf_search_is_over(flight) && since == DT_NOEND)
		return false;
	memset(settlement, 0, sizeof(*settlement));
	if (rf_search_is_over(flight))
	{
		rf_search_settle(flight, settlement);
		return true;
	}
	settlement->kind = RF_SETTLE_GIVE_BACK;
	settlement->job_id = flight->job->id;
	settlement->run_at = now + Max(SAME_LEAST_US, Min(now - since, SAME_MOST_US));
	return true;
}

/* When another job asked the same; DT_NOEND: none does. */
static TimestampTz
same_since(RfDispatcher *d, const RfFlight *flight, TimestampTz now)
{
	int			page;
	const uint8 *digest = rf_search_first_question(flight, &page);

	if (digest == NULL)
		return DT_NOEND;
	if (rf_kept_holds(d, digest, page))
		return now;
	for (int i = 0; i < d->nflights; i++)
		if (rf_search_is_asked_by(flight, d->flights[i]))
			return d->flights[i]->started_at;
	return DT_NOEND;
}

/* Flights that somebody waits for take none. */
int
rf_fleet_free_places(RfDispatcher *d)
{
	int			places = d->max_flights;

	if (d->ceiling > 0)
		places = d->starved ? 0 : Min(places, d->ceiling);
	return Max(places + d->ncall_flights - d->nflights - list_length(d->again), 0);
}

void
rf_fleet_free(RfDispatcher *d, RfFlight *flight)
{
	if (flight->batch != NULL)
		rf_batches_let_go(flight);
	if ((flight->call != NULL && !flight->gathers) || flight->asker != NULL || flight->batch != NULL)
		d->ncall_flights--;
	if (flight->asker != NULL)
		rf_asked_remove(flight);
	rf_flight_free(flight);
}

/* No further claim is possible: what wanted its next account waits instead. */
void
rf_fleet_return_again(RfDispatcher *d)
{
	ListCell   *lc;

	foreach(lc, d->again)
	{
		RfFlight   *flight = lfirst(lc);
		RfSettlement settlement;

		rf_flight_return(flight, &settlement);
		rf_ledger_keep(d, &settlement, flight);
		rf_fleet_free(d, flight);
	}
	d->again = NIL;
}

void
rf_fleet_land(RfDispatcher *d, RfFlight *flight)
{
	land(d, flight);
	rf_fleet_end_alone(d);
}

/* A job that goes on to its next account is still under way. */
void
rf_fleet_end_alone(RfDispatcher *d)
{
	if (d->nflights == 0 && d->again == NIL && rf_staff_in_hand() == 0)
		d->alone = false;
}

static void
land(RfDispatcher *d, RfFlight *flight)
{
	RfSettlement settlement;
	bool		goes_on;

	remove_flight(d, flight);
	if (flight->transfer.starved)
		lower_ceiling(d, flight->transfer.why);
	if (flight->asker != NULL)
	{
		rf_questions_land(d, flight);
		return;
	}
	if (flight->batch != NULL)
	{
		rf_batches_land(d, flight);
		return;
	}
	goes_on = rf_flight_land(flight, d->engine, d->drain_until_us != 0, &settlement);
	rf_ledger_keep(d, &settlement, flight);
	if (flight->search != NULL)
		keep_page(d, flight);
	if (goes_on)
	{
		MemoryContext old = MemoryContextSwitchTo(d->flights_context);

		d->again = lappend(d->again, flight);
		MemoryContextSwitchTo(old);
	}
	else
		rf_fleet_free(d, flight);
}

/* For others who ask the same, and for this job, should it have to search again. */
static void
keep_page(RfDispatcher *d, RfFlight *flight)
{
	RfPeoplePage *page = rf_search_take_page(flight);

	if (page == NULL)
		return;
	if (flight->entry->provider->people->search_costs || Max(rf_search_stale, rf_search_fresh) > 0)
		rf_kept_page(d, flight, page);
	rf_people_page_free(page);
	flight->question->page++;
}

/*
 * Short of descriptors or memory: a second's pause, then as many as could be
 * under way, then more each second until it was enough or happens again.
 */
static void
lower_ceiling(RfDispatcher *d, const char *why)
{
	int64		now = rf_gate_now_us();

	d->ceiling = Max(d->nflights, 1);
	d->starved = true;
	d->relax_at_us = now + RELAX_US;
	closeAllVfds();				/* those that are needed are opened again */
	if (d->shortage_logged_us != 0 && now - d->shortage_logged_us < COMPLAIN_US)
		return;
	d->shortage_logged_us = now;
	d->shortage_open = true;
	ereport(LOG,
			(errmsg("roleferry dispatcher lets fewer requests run at once: %s", why),
			 errdetail("There are %d under way.", d->nflights),
			 errhint("Raise the server's limits of open files and memory, or lower roleferry.max_in_flight.")));
}

static void
relax_ceiling(RfDispatcher *d)
{
	d->relax_at_us = rf_gate_now_us() + RELAX_US;
	if (d->starved)
		d->starved = false;
	else
		d->ceiling = Min(d->ceiling * 2, d->max_flights);
	if (d->ceiling < d->max_flights)
		return;
	d->ceiling = 0;
	if (d->shortage_open)
		ereport(LOG,
				(errmsg("roleferry dispatcher may run %d requests at once again", d->max_flights)));
	d->shortage_open = false;
}

void
rf_fleet_make_room(RfDispatcher *d, int size)
{
	if (size <= d->flights_size)
		return;
	d->flights = d->flights ? repalloc(d->flights, sizeof(RfFlight *) * size) :
		MemoryContextAlloc(TopMemoryContext, sizeof(RfFlight *) * size);
	d->flights_size = size;
}

void
rf_fleet_add(RfDispatcher *d, RfFlight *flight)
{
	if (d->nflights == d->flights_size)
		rf_fleet_make_room(d, d->flights_size * 2);
	flight->slot = d->nflights;
	d->flights[d->nflights++] = flight;
}

static void
remove_flight(RfDispatcher *d, RfFlight *flight)
{
	RfFlight   *last = d->flights[--d->nflights];

	d->flights[flight->slot] = last;
	last->slot = flight->slot;
}

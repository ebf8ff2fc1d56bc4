/*-------------------------------------------------------------------------
 *
 * census.c
 *	  What waits in each queue, for the statistics.
 *
 * Part of a sweep, which has just set every mark, and of its cost, which sweeps
 * follow.  Nothing waits in most sweeps, and then this costs nothing.  Jobs are
 * counted one by one up to a number; what is beyond is taken from the table's
 * statistics, which every commit keeps, and said to be an estimate.
 *
 * Counters that every enqueue and every end would change were not made: they
 * would drift with each row that comes or goes otherwise (COMMIT PREPARED,
 * replication, a hand), and cost each commit something.
 *
 * IDENTIFICATION
 *	  src/worker/census.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "outbox/census.h"
#include "outbox/job.h"
#include "shmem/stat_queue.h"
#include "worker/census.h"
#include "worker/queues.h"
#include "worker/order_ready.h"
#include "worker/roster.h"

#define CENSUS_US		INT64CONST(1000000)
#define COUNT_MOST		2000	/* jobs of a queue that are counted */
#define STRANDS_MOST	200		/* of a queue that are looked into */

typedef struct Tally
{
	RfQueueEntry *queue;
	RfQueueDepth depth;
	int			nstrands;
	int			nready;			/* of the parked, those whose turn it is */
} Tally;

typedef struct Census
{
	List	   *tallies;		/* of Tally */
	TimestampTz now;
	TimestampTz mark;			/* of the strand being counted */
	int64		counted;
} Census;

static int64 next_us = 0;

static Tally *tally_of(Census *census, RfQueueEntry *queue);
static void count_strand(Census *census, const RfStrand *strand);
static void count_parked(Census *census);
static void note_ready(Census *census, const RfStrand *strand);
static void found(const char *queue, int64 waiting, int64 ready, void *context);
static void estimate_rest(Census *census);

void
rf_census_take(RfDispatcher *d)
{
	Census		census = {NIL, GetCurrentTimestamp(), 0, 0};
	int64		now_us = rf_gate_now_us();
	ListCell   *lc;

	if (now_us < next_us)
		return;
	next_us = now_us + CENSUS_US;
	for (size_t i = 0; i < d->lanes.nstrands; i++)
	{
		if (d->lanes.strands[i].run_at != RF_LANES_NEVER)
			count_strand(&census, &d->lanes.strands[i]);
		if (d->lanes.strands[i].ready_at <= census.now)
			note_ready(&census, &d->lanes.strands[i]);
	}
	count_parked(&census);
	estimate_rest(&census);
	foreach(lc, census.tallies)
	{
		Tally	   *tally = lfirst(lc);

		tally->depth.at = census.now;
		if (tally->queue->stat != NULL)
			rf_stat_queue_depth(tally->queue->stat, &tally->depth);
	}
	rf_stat_queues_rest_empty(MyDatabaseId, census.now);
}

static Tally *
tally_of(Census *census, RfQueueEntry *queue)
{
	Tally	   *tally;
	ListCell   *lc;

	foreach(lc, census->tallies)
	{
		tally = lfirst(lc);
		if (tally->queue == queue)
			return tally;
	}
	tally = palloc0(sizeof(Tally));
	tally->queue = queue;
	census->tallies = lappend(census->tallies, tally);
	return tally;
}

/* Jobs that run alone have their lane in common, and no queue. */
static void
count_strand(Census *census, const RfStrand *strand)
{
	RfQueueEntry *queue = rf_roster_route_queue(strand->route);
	Tally	   *tally = queue != NULL ? tally_of(census, queue) : NULL;
	int64		most = COUNT_MOST;

	if (tally != NULL)
	{
		most -= tally->depth.ready + tally->depth.later;
		if (strand->run_at <= census->now &&
			(tally->depth.oldest == 0 || strand->run_at < tally->depth.oldest))
			tally->depth.oldest = strand->run_at;
		if (most <= 0 || tally->nstrands++ >= STRANDS_MOST)
		{
			tally->depth.estimated = true;
			return;
		}
	}
	census->mark = strand->run_at;
	census->counted = 0;
	rf_census_strand(strand, census->now, (int) most, found, census);
	if (tally != NULL && census->counted >= most)
		tally->depth.estimated = true;
}

/* Where there are many, the queues of those that were seen share the rest. */
static void
count_parked(Census *census)
{
	bool		all = rf_census_parked(COUNT_MOST, found, census) < COUNT_MOST;
	ListCell   *lc;

	foreach(lc, census->tallies)
	{
		Tally	   *tally = lfirst(lc);
		int64		ready = Min(tally->nready, tally->depth.later);

		tally->depth.ready += ready;
		tally->depth.later -= ready;
		tally->depth.estimated |= !all;
	}
}

/* Jobs whose turn it is are claimed where they are parked. */
static void
note_ready(Census *census, const RfStrand *strand)
{
	RfQueueEntry *queue = rf_roster_route_queue(strand->route);
	Tally	   *tally;

	if (queue == NULL)
		return;
	tally = tally_of(census, queue);
	tally->nready += rf_order_ready_count(strand);
	if (tally->depth.oldest == 0 || strand->ready_at < tally->depth.oldest)
		tally->depth.oldest = strand->ready_at;
}

static void
found(const char *queue, int64 waiting, int64 ready, void *context)
{
	Census	   *census = context;
	Tally	   *tally = tally_of(census, rf_queues_find(queue));

	census->counted += waiting;
	tally->depth.ready += ready;
	tally->depth.later += waiting - ready;
	if (ready > 0 && (tally->depth.oldest == 0 || census->mark < tally->depth.oldest))
		tally->depth.oldest = census->mark;
}

/* What nobody has counted is where there was too much to be counted. */
static void
estimate_rest(Census *census)
{
	int64		rest;
	int			nestimated = 0;
	ListCell   *lc;

	foreach(lc, census->tallies)
		nestimated += ((Tally *) lfirst(lc))->depth.estimated ? 1 : 0;
	if (nestimated == 0)
		return;
	rest = rf_census_estimate() - rf_queues_in_flight();
	foreach(lc, census->tallies)
		rest -= ((Tally *) lfirst(lc))->depth.ready + ((Tally *) lfirst(lc))->depth.later;
	if (rest <= 0)
		return;
	foreach(lc, census->tallies)
	{
		RfQueueDepth *depth = &((Tally *) lfirst(lc))->depth;

		if (!depth->estimated)
			continue;
		if (depth->ready >= depth->later)
			depth->ready += rest / nestimated;
		else
			depth->later += rest / nestimated;
	}
}

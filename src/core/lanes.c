/*-------------------------------------------------------------------------
 *
 * lanes.c
 *	  Which strand of the outbox is served next, and from where.
 *
 * A dense array with a hash index over (lane, priority): strand_index.c; and queues: one of
 * the strands that are not due yet, by their marks, and one for each route of
 * those that are, in the order of service.  So a pick costs as much as there
 * are routes, however many tenants have a strand of their own.
 *
 * A strand in a queue of due ones may have got another route, or a mark ahead;
 * that is seen when its turn comes, and it is put where it belongs.
 *
 * IDENTIFICATION
 *	  src/core/lanes.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "core/strand_index.h"
#include "core/strand_queue.h"

#include "core/lanes.h"

#define FORGET_SWEEPS	16		/* sweeps without a job before a strand goes */
#define FAIR_EVERY		8		/* services, one of them for who waited
								 * longest */

/* Queues; that of a route stands FIRST_ROUTE after its number. */
#define NO_QUEUE		(-1)
#define AHEAD			0		/* not due yet */
#define FIRST_ROUTE		2		/* after that of -1: not known */

static bool before(int64_t run_at, int64_t id, const RfStrand *strand);
static int64_t due_at(const RfStrand *strand);
static void advance(RfLanes *lanes, int64_t now);
static RfStrand *first_due(RfLanes *lanes, int queue);
static void put_in_place(RfLanes *lanes, RfStrand *strand);
static void take_out(RfLanes *lanes, RfStrand *strand);
static int	queue_for(RfLanes *lanes, const RfStrand *strand);
static bool have_queue(RfLanes *lanes, int queue);
static void queue_all(RfLanes *lanes);
static RfStrandBefore order_of(int queue);
static bool due_earlier(const RfStrand *a, const RfStrand *b);
static bool served_earlier(const RfStrand *a, const RfStrand *b);

void
rf_lanes_init(RfLanes *lanes)
{
	memset(lanes, 0, sizeof(*lanes));
}

void
rf_lanes_free(RfLanes *lanes)
{
	free(lanes->strands);
	free(lanes->index);
	free(lanes->queues);
	free(lanes->route_turns);
	rf_lanes_init(lanes);
}

RfStrand *
rf_lanes_get(RfLanes *lanes, int64_t lane, int priority)
{
	size_t		at;
	RfStrand   *strand = rf_strand_index_find(lanes, lane, priority, &at);

	/* Nothing moves while one is looked up that is there. */
	if (strand != NULL)
		return strand;
	if (lanes->nstrands == lanes->capacity)
	{
		if (!rf_strand_index_grow(lanes))
			return NULL;
		(void) rf_strand_index_find(lanes, lane, priority, &at);
	}
	strand = &lanes->strands[lanes->nstrands++];
	memset(strand, 0, sizeof(*strand));
	strand->lane = lane;
	strand->priority = priority;
	strand->route = -1;
	strand->run_at = RF_LANES_NEVER;
	strand->ready_at = RF_LANES_NEVER;
	strand->seen = lanes->sweep;
	strand->queue = NO_QUEUE;
	lanes->index[at] = (uint32_t) lanes->nstrands;
	return strand;
}

bool
rf_lanes_lower(RfLanes *lanes, int64_t lane, int priority,
			   int64_t run_at, int64_t id)
{
	RfStrand   *strand = rf_lanes_get(lanes, lane, priority);

	if (strand == NULL)
		return false;
	if (before(run_at, id, strand))
	{
		take_out(lanes, strand);
		strand->run_at = run_at;
		strand->id = id;
		put_in_place(lanes, strand);
	}
	return strand->queue != NO_QUEUE || run_at == RF_LANES_NEVER;
}

void
rf_lanes_set_ready(RfLanes *lanes, RfStrand *strand, int64_t ready_at)
{
	take_out(lanes, strand);
	strand->ready_at = ready_at;
	put_in_place(lanes, strand);
}

RfStrand *
rf_lanes_pick(RfLanes *lanes, int64_t now, RfRouteOpen open, void *context)
{
	RfStrand   *best = NULL;
	RfStrand   *longest = NULL;
	bool		fair = lanes->turn % FAIR_EVERY == FAIR_EVERY - 1;

	advance(lanes, now);
	for (int queue = AHEAD + 1; queue < lanes->nqueues; queue++)
	{
		RfStrand   *strand = first_due(lanes, queue);

		bool		better = strand != NULL && (best == NULL || served_earlier(strand, best));
		bool		longer = strand != NULL && fair &&
			(longest == NULL || lanes->route_turns[queue] < lanes->route_turns[longest->queue]);

		if ((!better && !longer) || !open(strand->route, context))
			continue;
		if (better)
			best = strand;
		if (longer)
			longest = strand;
	}
	lanes->out_of_turn = longest != NULL && longest->priority != best->priority;
	return lanes->out_of_turn ? longest : best;
}

void
rf_lanes_served(RfLanes *lanes, RfStrand *strand)
{
	if (strand->queue > AHEAD)
		lanes->route_turns[strand->queue] = lanes->turn + 1;
	take_out(lanes, strand);
	strand->served = ++lanes->turn;
	put_in_place(lanes, strand);
}

int64_t
rf_lanes_next_after(RfLanes *lanes, int64_t now)
{
	advance(lanes, now);
	if (lanes->nqueues == 0 || lanes->queues[AHEAD] == 0)
		return RF_LANES_NEVER;
	return due_at(&lanes->strands[lanes->queues[AHEAD] - 1]);
}

void
rf_lanes_sweep_begin(RfLanes *lanes)
{
	lanes->sweep++;
}

RfStrand *
rf_lanes_sweep_found(RfLanes *lanes, int64_t lane, int priority,
					 int64_t run_at, int64_t id)
{
	RfStrand   *strand = rf_lanes_get(lanes, lane, priority);

	if (strand == NULL)
		return NULL;
	take_out(lanes, strand);
	strand->run_at = run_at;
	strand->id = id;
	strand->seen = lanes->sweep;
	put_in_place(lanes, strand);
	return strand;
}

void
rf_lanes_sweep_end(RfLanes *lanes)
{
	size_t		kept = 0;

	/* All out first: queues are linked by the places that strands leave next. */
	for (size_t i = 0; i < lanes->nstrands; i++)
	{
		RfStrand   *strand = &lanes->strands[i];

		if (strand->seen == lanes->sweep)
			continue;
		take_out(lanes, strand);
		strand->run_at = RF_LANES_NEVER;
		if (strand->ready_at != RF_LANES_NEVER)
		{
			strand->seen = lanes->sweep;
			put_in_place(lanes, strand);
		}
	}
	for (size_t i = 0; i < lanes->nstrands; i++)
	{
		if (lanes->sweep - lanes->strands[i].seen <= FORGET_SWEEPS)
			lanes->strands[kept++] = lanes->strands[i];
	}
	if (kept != lanes->nstrands)
	{
		lanes->nstrands = kept;
		rf_strand_index_rebuild(lanes);
		queue_all(lanes);
	}
}

static bool
before(int64_t run_at, int64_t id, const RfStrand *strand)
{
	return run_at < strand->run_at ||
		(run_at == strand->run_at && id < strand->id);
}

static int64_t
due_at(const RfStrand *strand)
{
	return strand->ready_at < strand->run_at ? strand->ready_at : strand->run_at;
}

/* What has become due moves to the queue of its route. */
static void
advance(RfLanes *lanes, int64_t now)
{
	bool		back = now < lanes->now;

	lanes->now = now;
	if (back)
		queue_all(lanes);		/* the clock was set */
	while (lanes->nqueues > 0 && lanes->queues[AHEAD] != 0)
	{
		RfStrand   *strand = &lanes->strands[lanes->queues[AHEAD] - 1];

		if (due_at(strand) > now)
			break;
		take_out(lanes, strand);
		put_in_place(lanes, strand);
	}
}

/* The first of a queue that belongs there. */
static RfStrand *
first_due(RfLanes *lanes, int queue)
{
	while (lanes->queues[queue] != 0)
	{
		RfStrand   *strand = &lanes->strands[lanes->queues[queue] - 1];

		if (queue_for(lanes, strand) == queue)
			return strand;
		take_out(lanes, strand);
		put_in_place(lanes, strand);
	}
	return NULL;
}

static void
put_in_place(RfLanes *lanes, RfStrand *strand)
{
	strand->queue = queue_for(lanes, strand);
	if (strand->queue != NO_QUEUE)
		rf_strand_queue_add(lanes->strands, &lanes->queues[strand->queue], strand,
							order_of(strand->queue));
}

static void
take_out(RfLanes *lanes, RfStrand *strand)
{
	if (strand->queue != NO_QUEUE)
		rf_strand_queue_remove(lanes->strands, &lanes->queues[strand->queue], strand,
							   order_of(strand->queue));
	strand->queue = NO_QUEUE;
}

/* Without memory for a route's queue its strands are queued as of none. */
static int
queue_for(RfLanes *lanes, const RfStrand *strand)
{
	int			queue = AHEAD;

	if (due_at(strand) == RF_LANES_NEVER)
		return NO_QUEUE;
	if (due_at(strand) <= lanes->now)
		queue = FIRST_ROUTE + strand->route;
	if (have_queue(lanes, queue))
		return queue;
	return have_queue(lanes, FIRST_ROUTE - 1) ? FIRST_ROUTE - 1 : NO_QUEUE;
}

static bool
have_queue(RfLanes *lanes, int queue)
{
	size_t		size = (size_t) queue + 1;
	uint32_t   *queues;
	uint64_t   *turns;

	if (queue < lanes->nqueues)
		return true;
	turns = realloc(lanes->route_turns, size * sizeof(uint64_t));
	if (turns == NULL)
		return false;
	lanes->route_turns = turns;
	queues = realloc(lanes->queues, size * sizeof(uint32_t));
	if (queues == NULL)
		return false;
	lanes->queues = queues;
	for (int i = lanes->nqueues; i <= queue; i++)
	{
		queues[i] = 0;
		turns[i] = 0;
	}
	lanes->nqueues = queue + 1;
	return true;
}

static void
queue_all(RfLanes *lanes)
{
	for (int i = 0; i < lanes->nqueues; i++)
		lanes->queues[i] = 0;
	for (size_t i = 0; i < lanes->nstrands; i++)
		put_in_place(lanes, &lanes->strands[i]);
}

static RfStrandBefore
order_of(int queue)
{
	return queue == AHEAD ? due_earlier : served_earlier;
}

static bool
due_earlier(const RfStrand *a, const RfStrand *b)
{
	return due_at(a) < due_at(b);
}

/* Higher priority first, then whoever waited longer; both stand in one array. */
static bool
served_earlier(const RfStrand *a, const RfStrand *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	if (a->served != b->served)
		return a->served < b->served;
	return a < b;
}

/*-------------------------------------------------------------------------
 *
 * lanes.c
 *	  Which strand of the outbox is served next, and from where.
 *
 * A dense array with a hash index over (lane, priority).  Picking is one walk
 * over the array: a few nanoseconds a strand, and strands are as many as
 * there are lanes with jobs, not jobs.
 *
 * IDENTIFICATION
 *	  src/core/lanes.c
 *
 *-------------------------------------------------------------------------
 */
#include "core/lanes.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY	64
#define FORGET_SWEEPS	16		/* sweeps without a job before a strand goes */

static uint64_t hash_strand(int64_t lane, int priority);
static bool grow(RfLanes *lanes);
static void rebuild_index(RfLanes *lanes);
static bool before(int64_t run_at, int64_t id, const RfStrand *strand);

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
	rf_lanes_init(lanes);
}

RfStrand *
rf_lanes_get(RfLanes *lanes, int64_t lane, int priority)
{
	size_t		at;
	RfStrand   *strand;

	if (lanes->nstrands == lanes->capacity && !grow(lanes))
		return NULL;

	at = (size_t) hash_strand(lane, priority) & (lanes->index_size - 1);
	while (lanes->index[at] != 0)
	{
		strand = &lanes->strands[lanes->index[at] - 1];
		if (strand->lane == lane && strand->priority == priority)
			return strand;
		at = (at + 1) & (lanes->index_size - 1);
	}

	strand = &lanes->strands[lanes->nstrands++];
	memset(strand, 0, sizeof(*strand));
	strand->lane = lane;
	strand->priority = priority;
	strand->route = -1;
	strand->run_at = RF_LANES_NEVER;
	strand->seen = lanes->sweep;
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
		strand->run_at = run_at;
		strand->id = id;
	}
	return true;
}

RfStrand *
rf_lanes_pick(RfLanes *lanes, int64_t now, RfRouteOpen open, void *context)
{
	RfStrand   *best = NULL;

	for (size_t i = 0; i < lanes->nstrands; i++)
	{
		RfStrand   *strand = &lanes->strands[i];

		if (strand->run_at > now)
			continue;
		if (best != NULL &&
			(strand->priority < best->priority ||
			 (strand->priority == best->priority &&
			  strand->served >= best->served)))
			continue;
		if (open(strand->route, context))
			best = strand;
	}
	return best;
}

void
rf_lanes_served(RfLanes *lanes, RfStrand *strand)
{
	strand->served = ++lanes->turn;
}

int64_t
rf_lanes_next_after(const RfLanes *lanes, int64_t now)
{
	int64_t		next = RF_LANES_NEVER;

	for (size_t i = 0; i < lanes->nstrands; i++)
	{
		int64_t		run_at = lanes->strands[i].run_at;

		if (run_at > now && run_at < next)
			next = run_at;
	}
	return next;
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
	strand->run_at = run_at;
	strand->id = id;
	strand->seen = lanes->sweep;
	return strand;
}

void
rf_lanes_sweep_end(RfLanes *lanes)
{
	size_t		kept = 0;

	for (size_t i = 0; i < lanes->nstrands; i++)
	{
		RfStrand   *strand = &lanes->strands[i];

		if (strand->seen != lanes->sweep)
			strand->run_at = RF_LANES_NEVER;
		if (lanes->sweep - strand->seen <= FORGET_SWEEPS)
			lanes->strands[kept++] = *strand;
	}
	if (kept != lanes->nstrands)
	{
		lanes->nstrands = kept;
		rebuild_index(lanes);
	}
}

static uint64_t
hash_strand(int64_t lane, int priority)
{
	uint64_t	hash = (uint64_t) lane * UINT64_C(0x9E3779B97F4A7C15);

	hash += (uint64_t) priority * UINT64_C(0xC2B2AE3D27D4EB4F);
	return hash ^ (hash >> 29);
}

/* Double the array, and keep the index at most half full. */
static bool
grow(RfLanes *lanes)
{
	size_t		capacity = lanes->capacity ? lanes->capacity * 2 : FIRST_CAPACITY;
	RfStrand   *strands;
	uint32_t   *index;

	if (capacity > UINT32_MAX / 2)
		return false;
	index = malloc(capacity * 2 * sizeof(uint32_t));
	if (index == NULL)
		return false;
	strands = realloc(lanes->strands, capacity * sizeof(RfStrand));
	if (strands == NULL)
	{
		free(index);
		return false;
	}
	free(lanes->index);
	lanes->strands = strands;
	lanes->capacity = capacity;
	lanes->index = index;
	lanes->index_size = capacity * 2;
	rebuild_index(lanes);
	return true;
}

static void
rebuild_index(RfLanes *lanes)
{
	memset(lanes->index, 0, lanes->index_size * sizeof(uint32_t));
	for (size_t i = 0; i < lanes->nstrands; i++)
	{
		const RfStrand *strand = &lanes->strands[i];
		size_t		at;

		at = (size_t) hash_strand(strand->lane, strand->priority) &
			(lanes->index_size - 1);
		while (lanes->index[at] != 0)
			at = (at + 1) & (lanes->index_size - 1);
		lanes->index[at] = (uint32_t) (i + 1);
	}
}

static bool
before(int64_t run_at, int64_t id, const RfStrand *strand)
{
	return run_at < strand->run_at ||
		(run_at == strand->run_at && id < strand->id);
}

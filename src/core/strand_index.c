/*-------------------------------------------------------------------------
 *
 * strand_index.c
 *	  The array of strands, and its hash index over (lane, priority).
 *
 * IDENTIFICATION
 *	  src/core/strand_index.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "core/strand_index.h"

#define FIRST_CAPACITY	64

static uint64_t hash_strand(int64_t lane, int priority);

RfStrand *
rf_strand_index_find(RfLanes *lanes, int64_t lane, int priority, size_t *at)
{
	if (lanes->index_size == 0)
		return NULL;
	*at = (size_t) hash_strand(lane, priority) & (lanes->index_size - 1);
	while (lanes->index[*at] != 0)
	{
		RfStrand   *strand = &lanes->strands[lanes->index[*at] - 1];

		if (strand->lane == lane && strand->priority == priority)
			return strand;
		*at = (*at + 1) & (lanes->index_size - 1);
	}
	return NULL;
}

bool
rf_strand_index_grow(RfLanes *lanes)
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
	rf_strand_index_rebuild(lanes);
	return true;
}

void
rf_strand_index_rebuild(RfLanes *lanes)
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

static uint64_t
hash_strand(int64_t lane, int priority)
{
	uint64_t	hash = (uint64_t) lane * UINT64_C(0x9E3779B97F4A7C15);

	hash += (uint64_t) priority * UINT64_C(0xC2B2AE3D27D4EB4F);
	return hash ^ (hash >> 29);
}

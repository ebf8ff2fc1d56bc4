/*-------------------------------------------------------------------------
 *
 * strand_index.h
 *	  The array of strands, and its hash index over (lane, priority).
 *
 * For lanes.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_STRAND_INDEX_H
#define ROLEFERRY_STRAND_INDEX_H

#include "core/lanes.h"

/* NULL: there is none; *at is its place in the index then. */
extern RfStrand *rf_strand_index_find(RfLanes *lanes, int64_t lane, int priority,
									  size_t *at);

/* Double the array, and keep the index at most half full.  False: no memory. */
extern bool rf_strand_index_grow(RfLanes *lanes);

/* Strands have moved. */
extern void rf_strand_index_rebuild(RfLanes *lanes);

#endif							/* ROLEFERRY_STRAND_INDEX_H */

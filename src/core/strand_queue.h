/*-------------------------------------------------------------------------
 *
 * strand_queue.h
 *	  Priority queues of strands, without memory of their own.
 *
 * A queue is one root; its links stand in the strands, as positions in their
 * array, so that nothing can run out and the array may move.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_STRAND_QUEUE_H
#define ROLEFERRY_STRAND_QUEUE_H

#include "core/lanes.h"

/* Does a leave the queue before b? */
typedef bool (*RfStrandBefore) (const RfStrand *a, const RfStrand *b);

/* A root is a position + 1; 0: the queue is empty. */
extern void rf_strand_queue_add(RfStrand *strands, uint32_t *root, RfStrand *strand,
								RfStrandBefore before);

/* strand must be in this queue; any place in it will do. */
extern void rf_strand_queue_remove(RfStrand *strands, uint32_t *root, RfStrand *strand,
								   RfStrandBefore before);

#endif							/* ROLEFERRY_STRAND_QUEUE_H */

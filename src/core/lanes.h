/*-------------------------------------------------------------------------
 *
 * lanes.h
 *	  Which strand of the outbox is served next, and from where.
 *
 * A strand is one lane at one priority.  For each strand that may hold jobs
 * the dispatcher remembers a mark: no waiting job stands before it, so a claim
 * starts there and never walks over what was served already.  Marks are
 * lowered by whoever puts a job in (a commit's hint, a retry), set exactly by
 * a look, and raised by claims.
 *
 * A claim and a look write mark and route of the strand they were handed;
 * nothing else is written from outside.
 *
 * Jobs may belong to a strand that do not stand in its lane: somebody else knows
 * them, and says from when on the first of them may go.
 *
 * The highest priority goes first, wherever it stands; but every eighth service
 * goes to the route that waited longest for one, whatever the priority of its
 * jobs, so that no queue starves.
 *
 * Pure logic: no PostgreSQL headers, no clock; run_at is an opaque, ordered
 * 64-bit time.  Memory is malloc'd.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_LANES_H
#define ROLEFERRY_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RF_LANES_NEVER INT64_MAX

typedef struct RfStrand
{
	int64_t		lane;
	int			priority;
	int			route;			/* index of the dispatcher's account order;
								 * -1: not known */
	int64_t		run_at;			/* the mark; RF_LANES_NEVER: nothing waits */
	int64_t		id;
	int64_t		ready_at;		/* of jobs that stand elsewhere, the first;
								 * RF_LANES_NEVER: there is none */
	uint64_t	served;			/* turn of the last service: round robin */
	uint64_t	seen;			/* sweep that last found it */

	/* where it stands in a queue: see lanes.c, strand_queue.c */
	int			queue;			/* -1: in none */
	uint32_t	child;
	uint32_t	next;
	uint32_t	previous;
} RfStrand;

typedef struct RfLanes
{
	RfStrand   *strands;		/* dense array */
	size_t		nstrands;
	size_t		capacity;
	uint32_t   *index;			/* open addressing: position + 1, or 0 */
	size_t		index_size;		/* power of two */
	uint32_t   *queues;			/* their roots */
	uint64_t   *route_turns;	/* of each: turn of its last service */
	int			nqueues;
	int64_t		now;			/* what is due at this time is queued as such */
	uint64_t	turn;
	bool		out_of_turn;	/* the last pick was not of the highest
								 * priority: it is to take only a part */
	uint64_t	sweep;
} RfLanes;

/* May strands of this route be served?  Asked once for each that has due ones. */
typedef bool (*RfRouteOpen) (int route, void *context);

extern void rf_lanes_init(RfLanes *lanes);
extern void rf_lanes_free(RfLanes *lanes);

/* NULL when out of memory; one that is there is always found, and nothing moves. */
extern RfStrand *rf_lanes_get(RfLanes *lanes, int64_t lane, int priority);

/* A job at (run_at, id) may wait: the mark goes down to it.  False: out of memory. */
extern bool rf_lanes_lower(RfLanes *lanes, int64_t lane, int priority,
						   int64_t run_at, int64_t id);

/* Of the jobs that stand elsewhere, the first may go then; RF_LANES_NEVER: none. */
extern void rf_lanes_set_ready(RfLanes *lanes, RfStrand *strand, int64_t ready_at);

/*
 * The strand to serve now: due, its route open; the highest priority first,
 * then the one that waited longest for service, and now and then one of the
 * route that did.  NULL: none.
 */
extern RfStrand *rf_lanes_pick(RfLanes *lanes, int64_t now,
							   RfRouteOpen open, void *context);

/* It was served (or looked at) this turn; after its mark was moved. */
extern void rf_lanes_served(RfLanes *lanes, RfStrand *strand);

/* The earliest mark after now; RF_LANES_NEVER: none. */
extern int64_t rf_lanes_next_after(RfLanes *lanes, int64_t now);

/*
 * A sweep sets every mark exactly: begin, found() for each strand that has a
 * waiting job, end (what was not found has none; strands idle for many
 * sweeps are forgotten).
 */
extern void rf_lanes_sweep_begin(RfLanes *lanes);
extern RfStrand *rf_lanes_sweep_found(RfLanes *lanes, int64_t lane, int priority,
									  int64_t run_at, int64_t id);
extern void rf_lanes_sweep_end(RfLanes *lanes);

#endif							/* ROLEFERRY_LANES_H */

/*-------------------------------------------------------------------------
 *
 * sweep.h
 *	  Looking through the outbox for what nobody announced.
 *
 * All functions run inside the dispatcher's own short transactions, connected
 * to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SWEEP_H
#define ROLEFERRY_SWEEP_H

#include "core/lanes.h"
#include "core/mode.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "shmem/stat.h"

/* Called for each strand of unknown route, with what its first job is. */
typedef struct RfStrandJob
{
	List	   *accounts;
	const char *task;
	const char *role;
	const char *queue;			/* or empty */
	RfMode		mode;
} RfStrandJob;

typedef void (*RfStrandFound) (RfStrand *strand, const RfStrandJob *first,
							   void *context);

/* Set every strand's mark to its first waiting job. */
extern void rf_sweep_strands(RfLanes *lanes, RfStrandFound found, void *context);

/* The first waiting job at or after a strand's mark, if there is one. */
extern void rf_sweep_first_job(RfStrand *strand, RfStrandFound found,
							   void *context);

/* Told of each job with an order_key that is gone: see order.h. */
typedef void (*RfKeyFreed) (int64 order_lane, int64 id);

/* Check rows whose trigger did not run.  True: there may be more of them. */
extern bool rf_sweep_unchecked(RfKeyFreed freed);

/* A job of this queue has ended, or waits again. */
typedef void (*RfQueueTally) (const char *queue, RfStatJob what);

/* Move jobs past their expires_at to the dead letters. */
extern void rf_sweep_expired(RfQueueTally tally, RfKeyFreed freed);

/*
 * Settle the jobs of dispatchers that are no longer alive by their delivery:
 * what may be sent again waits, the rest becomes unknown; a job that was
 * already running alone when its dispatcher died is quarantined.
 */
typedef struct RfOrphans
{
	uint64		waiting;
	uint64		unknown;
	uint64		quarantined;
} RfOrphans;

extern void rf_sweep_orphans(RfOrphans *orphans, int attempt_table, RfQueueTally tally);

#endif							/* ROLEFERRY_SWEEP_H */

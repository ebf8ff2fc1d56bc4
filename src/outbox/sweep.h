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
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* Called for each strand of unknown route, with queue and accounts of its first job. */
typedef void (*RfStrandFound) (RfStrand *strand, const char *queue,
							   List *accounts, void *context);

/* Set every strand's mark to its first waiting job. */
extern void rf_sweep_strands(RfLanes *lanes, RfStrandFound found, void *context);

/*
 * Accounts (list of char *, palloc'd) of the first waiting job at or after a
 * strand's mark, and its queue; NIL when there is none.
 */
extern List *rf_sweep_first_accounts(const RfStrand *strand, char **queue);

/* Check rows whose trigger did not run.  True: there may be more of them. */
extern bool rf_sweep_unchecked(void);

/* Move jobs past their expires_at to the dead letters. */
extern uint64 rf_sweep_expired(void);

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

extern void rf_sweep_orphans(RfOrphans *orphans);

#endif							/* ROLEFERRY_SWEEP_H */

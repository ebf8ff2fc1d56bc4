/*-------------------------------------------------------------------------
 *
 * claimed_job.h
 *	  A job as a claim has found it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CLAIMED_JOB_H
#define ROLEFERRY_CLAIMED_JOB_H

#include "executor/tuptable.h"

#include "outbox/claim.h"

/* What a statement that claims returns, of the outbox as o. */
#define RF_JOB_COLUMNS \
	"o.id, o.lane, o.priority, o.run_at, o.created_at, o.expires_at," \
	" o.attempts, o.failures, o.max_attempts, o.delivery, o.role, o.task, o.accounts, o.args, o.tenant_key, o.queue, o.mode, o.order_key," \
	" o.on_done"

/* One of its rows, and one of the outbox: palloc'd in a context of its own. */
extern RfClaimedJob *rf_claimed_job(HeapTuple tuple, TupleDesc desc, MemoryContext parent);
extern RfClaimedJob *rf_claimed_job_of_row(TupleTableSlot *row, MemoryContext parent);

/* All rows of the statement that has just run, in order of (run_at, id). */
extern List *rf_claimed_jobs(uint64 claimed, MemoryContext parent);
extern void rf_claimed_jobs_sort(List *jobs);

#endif							/* ROLEFERRY_CLAIMED_JOB_H */

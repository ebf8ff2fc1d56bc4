/*-------------------------------------------------------------------------
 *
 * idempotency.h
 *	  One job for each (role, idempotency key), and one payload.
 *
 * A payload is task and args.  Everything here runs as a role that may write
 * roleferry.idempotency, connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_IDEMPOTENCY_H
#define ROLEFERRY_IDEMPOTENCY_H

#include "outbox/job.h"

typedef enum RfKeyEnd
{
	RF_KEY_TAKEN,				/* it is this job's now, if the transaction
								 * commits */
	RF_KEY_KNOWN,				/* another job answers for it */
	RF_KEY_CLASHES				/* another job has it, with another payload */
} RfKeyEnd;

/*
 * For the draft's key and the job that *id names; where the key is another
 * job's, *id becomes that one's.  A concurrent transaction that has taken the
 * key is waited for, as by any unique index.  With on_conflict => 'replace' the
 * key is locked, and never clashes.  RF_KEY_CLASHES: see *problem.
 */
extern RfKeyEnd rf_idempotency_take(const RfJobDraft *draft, int64 *id,
									RfJobProblem *problem);

/* The key answers for this job and the draft's payload from now on. */
extern void rf_idempotency_pass_on(const RfJobDraft *draft, int64 job_id);

/*
 * A bounded number of keys whose time is over; true when there may be more.  A
 * key outlives its job by the retention at least.
 */
extern bool rf_idempotency_purge(void);

#endif							/* ROLEFERRY_IDEMPOTENCY_H */

/*-------------------------------------------------------------------------
 *
 * on_done.h
 *	  The SQL task that is told how a provider's job has ended.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ON_DONE_H
#define ROLEFERRY_ON_DONE_H

#include "outbox/job.h"

/* A settled job; texts in this database's encoding, NULL and 0: not known. */
typedef struct RfDone
{
	const char *on_done;
	const char *role;
	const char *tenant_key;

	/* the receipt */
	int64		job_id;
	const char *task;
	const char *status;
	const char *provider;
	const char *message_id;
	const char *reason;
	int			http_status;
	const char *idempotency_key;
} RfDone;

/* Of rf_job_check(): could the draft's on_done be run as its role? */
extern bool rf_on_done_check(const RfJobDraft *draft, RfJobProblem *problem);

/*
 * Enqueues the task in the settling transaction.  Where it cannot be run any
 * more it becomes a dead letter: settling goes on.
 */
extern void rf_on_done_tell(const RfDone *done);

/*
 * The same for those of the settlements that are well, before their jobs go.
 * Dead letters have a trigger.  Connected to SPI.
 */
extern void rf_on_done_settled(int64 incarnation, List *settlements);

#endif							/* ROLEFERRY_ON_DONE_H */

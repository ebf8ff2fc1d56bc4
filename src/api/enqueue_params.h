/*-------------------------------------------------------------------------
 *
 * enqueue_params.h
 *	  Parameters that all functions which enqueue have, and their end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ENQUEUE_PARAMS_H
#define ROLEFERRY_ENQUEUE_PARAMS_H

#include "fmgr.h"

#include "outbox/job.h"

/* Where they stand; below 0: the function has no such parameter. */
typedef struct RfEnqueueParams
{
	int			idempotency_key;
	int			run_at;
	int			priority;
	int			queue;
	int			expires_at;
	int			max_attempts;
	int			order_key;
	int			tenant_key;
	int			delivery;
	int			on_invalid;
	int			on_conflict;
	int			on_done;
} RfEnqueueParams;

/*
 * Fills what of the draft does not belong to its task.  Raises 22023.  Returns
 * whether a bad job is to become a dead letter instead of an error.
 */
extern bool rf_enqueue_params_read(FunctionCallInfo fcinfo, const RfEnqueueParams *at,
								   RfJobDraft *draft);

/* Checks the job and makes it a row.  suppressed: why it is not to go, or NULL. */
extern int64 rf_enqueue_params_finish(RfJobDraft *draft, bool reject,
									  const char *(*suppressed) (const RfJobDraft *draft));

#endif							/* ROLEFERRY_ENQUEUE_PARAMS_H */

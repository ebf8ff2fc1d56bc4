/*-------------------------------------------------------------------------
 *
 * task_failure.h
 *	  What an error of a SQL task means for its job.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TASK_FAILURE_H
#define ROLEFERRY_TASK_FAILURE_H

#include "outbox/run.h"

/*
 * error: what the function raised; or, where it was not called, NULL, with the
 * state it ends in and why.  Fills *failure but for started_at, palloc'd.
 */
extern void rf_task_describe_failure(const RfRunJob *job, const ErrorData *error,
									 const char *state, const char *why,
									 RfRunFailure *failure);

#endif							/* ROLEFERRY_TASK_FAILURE_H */

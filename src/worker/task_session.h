/*-------------------------------------------------------------------------
 *
 * task_session.h
 *	  Calling the function of a SQL task, as the session's role.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TASK_SESSION_H
#define ROLEFERRY_TASK_SESSION_H

#include "outbox/run.h"

/* Once, when the session has begun. */
extern void rf_task_session_begin(void);

/* Forget what earlier tasks have left in the session.  In a transaction. */
extern void rf_task_reset_session(void);

/*
 * From here on it is this job that runs: its mode, and the task's timeout or
 * else the role's statement_timeout.
 */
extern void rf_task_start(const RfRunJob *job);

/* In a transaction: fills job->result, in the current context.  Raises. */
extern void rf_task_call(RfRunJob *job);

/* The same for a job of RF_HANDLER_TASK: hands the event to the handler. */
extern void rf_task_call_handler(const RfRunJob *job);

/* Triggers may fire at it: of all that ran, the strictest mode holds. */
extern void rf_task_before_commit(void);

#endif							/* ROLEFERRY_TASK_SESSION_H */

/*-------------------------------------------------------------------------
 *
 * task.h
 *	  SQL tasks: functions that jobs can name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TASK_H
#define ROLEFERRY_TASK_H

#include "outbox/job.h"

/* No args are larger. */
#define RF_TASK_ARGS_MAX	(16 * 1024 * 1024)

/* What a dispatcher needs to know of one. */
typedef struct RfTask
{
	char	   *name;
	char	   *run_as;			/* NULL: whoever enqueued the job */
	int			max_attempts;	/* 0: it does not say */
	bool		batch;
} RfTask;

/* What explain() says of one. */
typedef struct RfTaskTold
{
	char	   *function;
	char	   *run_as;			/* NULL: whoever enqueues the job */
	char	   *policy;			/* for people: timeout, attempts, retries */
} RfTaskTold;

/* All of them; in a transaction, connected to SPI. */
extern List *rf_task_list(void);

/*
 * As the tables' owner: who registered it (palloc'd; NULL: there is none);
 * write it, by the columns of register_task() and then its registrar; forget
 * it, false when there was none.
 */
extern char *rf_task_registrar(const char *name);
extern void rf_task_write(Datum *values, const char *nulls);
extern bool rf_task_remove(const char *name);

/* As the tables' owner, palloc'd.  False: there is no such task. */
extern bool rf_task_tell(const char *name, RfTaskTold *told);

/*
 * Can the draft's role enqueue this job, and can it run?  Needs a transaction.
 * Fills *max_attempts with the task's, or leaves it.  False: see *problem.
 */
extern bool rf_task_check(RfJobDraft *draft, RfJobProblem *problem);

/*
 * The function of this signature; raises where there is none.  The text comes
 * from rf_task_function_text(), with every name qualified.
 */
extern Oid	rf_task_function(const char *signature);
extern char *rf_task_function_text(Oid function);

/* May an executor connect as this role?  False: *why says why not. */
extern bool rf_task_role_can_run(const char *role, char **why);

#endif							/* ROLEFERRY_TASK_H */

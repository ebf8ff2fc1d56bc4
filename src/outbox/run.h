/*-------------------------------------------------------------------------
 *
 * run.h
 *	  What an executor reads and writes of the jobs it runs.
 *
 * An executor's session is that of the job's role, which may touch none of
 * these tables.  Each function acts as their owner while it lasts, with the
 * settings that a role could have changed pinned, and on jobs that this
 * incarnation has claimed only.  In a transaction; not connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RUN_H
#define ROLEFERRY_RUN_H

#include "core/mode.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct RfRunJob
{
	int64		id;
	char	   *task;
	char	   *queue;			/* or empty */
	char	   *run_as;			/* the role it is to run as */
	Jsonb	   *args;
	int			attempts;		/* this one included */
	int			failures;
	int			max_attempts;
	TimestampTz expires_at;		/* DT_NOEND: never */
	RfMode		mode;			/* it was enqueued under */

	struct RfHandlerCall *handler;	/* of RF_HANDLER_TASK; else NULL */

	/* of the task; function NULL: there is no such task */
	char	   *function;
	int64		timeout_us;		/* 0: as the role's settings say */
	int64		retry_base_us;
	int64		retry_cap_us;
	List	   *give_up_on;		/* char * */

	/* what it returned; palloc'd, NULL: nothing */
	Jsonb	   *result;
} RfRunJob;

/* How an attempt failed. */
typedef struct RfRunFailure
{
	const RfRunJob *job;
	TimestampTz started_at;
	const char *outcome;		/* "transient", "permanent", ... */
	const char *state;			/* of the dead letter; NULL: it waits again */
	TimestampTz run_at;			/* of what waits */
	char	   *reason;
	Jsonb	   *error;			/* may be NULL */
} RfRunFailure;

/* Those of these jobs that are ours still, palloc'd, in the order asked for. */
extern List *rf_run_read(int64 incarnation, const int64 *ids, int nids);

/* They are done: returns how many were ours.  Table: 0 to 2. */
extern int	rf_run_finish(int64 incarnation, List *jobs, int result_table);

/* False: it is no longer ours. */
extern bool rf_run_fail(int64 incarnation, const RfRunFailure *failure,
						int attempt_table);

#endif							/* ROLEFERRY_RUN_H */

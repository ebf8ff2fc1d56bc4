/*-------------------------------------------------------------------------
 *
 * job.h
 *	  What a new job must satisfy, and what follows from it.
 *
 * One check for every way in: the function, plain INSERT, COPY, and rows the
 * dispatcher finds unmarked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_JOB_H
#define ROLEFERRY_JOB_H

#include "core/mode.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Lanes with a meaning; every other from 16 on is a hash, those below 0: order.h. */
#define RF_LANE_UNCHECKED	0	/* the row's trigger did not run */
#define RF_LANE_ALONE		1	/* jobs a crash has marked: one at a time,
								 * alone */
#define RF_LANE_FIRST_HASH	16

#define RF_DEFAULT_PRIORITY	5

/* What becomes of a job whose idempotency key another job has. */
typedef enum RfOnConflict
{
	RF_CONFLICT_ERROR,			/* the other one stands, if it is the same;
								 * else an error */
	RF_CONFLICT_KEEP,			/* the other one stands */
	RF_CONFLICT_REPLACE			/* the other one becomes this one, if it waits
								 * yet; else both are jobs */
} RfOnConflict;

typedef struct RfJobDraft
{
	int64		id;				/* taken beforehand; 0: not yet */

	/* given; NULL: left out */
	const char *task;
	const char *role;			/* name; must exist */
	const char *queue;
	const char *tenant_key;
	const char *order_key;
	const char *idempotency_key;
	const char *delivery;
	const char *on_done;		/* task that is told how it ended */
	TimestampTz run_at;
	TimestampTz expires_at;		/* DT_NOEND: never; not checked */
	int			max_attempts;	/* 0: as the setting says; not checked */
	int			priority;
	RfOnConflict on_conflict;
	RfMode		mode;			/* never off */
	int64		wait_us;		/* somebody waits so long for it; 0: nobody */
	bool		follows;		/* from what has happened: a full queue takes
								 * it */
	Jsonb	   *args;

	/* found */
	const char *effective_queue;
	const char *effective_delivery;
	List	   *accounts;		/* names (char *), in order of preference */
	int64		lane;
} RfJobDraft;

typedef struct RfJobProblem
{
	int			sqlerrcode;
	char	   *message;
	char	   *detail;			/* or NULL */
	char	   *hint;			/* or NULL */
	bool		passes;			/* by itself: it says nothing of the draft */
} RfJobProblem;

/*
 * Checks the draft and fills in the rest, palloc'd.  Needs a transaction.
 * False: see *problem, palloc'd too.
 */
extern bool rf_job_check(RfJobDraft *draft, RfJobProblem *problem);

/*
 * The same, where an error of the check itself is a problem of the draft's,
 * unless it passes: then nothing is known of the draft.
 */
extern bool rf_job_check_guarded(RfJobDraft *draft, RfJobProblem *problem);

/* Is this a task of ours, and no SQL function's? */
extern bool rf_job_is_built_in(const char *task);

/* The names (char *) that a mail's accounts are chosen of; wanted: those it names. */
extern List *rf_job_candidate_accounts(List *wanted);

/* Its mode for the outbox's column; NULL: live. */
extern const char *rf_job_mode_column(const RfJobDraft *draft);

/* The lane of a job, from what decides when it can go. */
extern int64 rf_job_lane(const RfJobDraft *draft);

/* The accounts found, as text[] for the outbox's column. */
extern Datum rf_job_accounts_array(const RfJobDraft *draft);

/* Raise the problem as an error. */
extern void rf_job_raise(const RfJobProblem *problem);

#endif							/* ROLEFERRY_JOB_H */

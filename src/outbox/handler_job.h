/*-------------------------------------------------------------------------
 *
 * handler_job.h
 *	  Jobs that hand a recorded event to one of its handlers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HANDLER_JOB_H
#define ROLEFERRY_HANDLER_JOB_H

#include "outbox/job.h"

#define RF_HANDLER_TASK "webhook_handler"

/* What such a job does; palloc'd. */
typedef struct RfHandlerCall
{
	int64		event;			/* rows of webhook_event and webhook_handler */
	int64		handler;
	char	   *function;		/* qualified and quoted */
	char	   *source;
	bytea	   *raw;			/* the event as it came */
	int64		retry_base_us;
	int64		retry_cap_us;
	bool		done;			/* the handler has succeeded meanwhile */
	const char *problem;		/* why it cannot run, ever; or NULL */
} RfHandlerCall;

/* Of rf_job_check(). */
extern bool rf_handler_job_check(RfJobDraft *draft, RfJobProblem *problem);

/* As the tables' owner, connected to SPI; role: as whom the job runs. */
extern RfHandlerCall *rf_handler_job_read(Jsonb *args, const char *role);

/* The handler has succeeded.  False: it had before. */
extern bool rf_handler_job_done(const RfHandlerCall *call, int64 job_id, int attempts);

/*
 * For who takes an event up again, of the jobs named in it (int8[]): the one of
 * this handler, 0: there is none; *dead: it is a dead letter.
 */
extern int64 rf_handler_job_find(Datum jobs, int64 handler, bool *dead);
extern void rf_handler_job_drop(int64 id);

/* A dead letter waits again, one that waits no longer. */
extern void rf_handler_job_hurry(int64 id, bool dead);

/* The bytes of an event as jsonb.  Raises for what jsonb does not hold. */
extern Datum rf_handler_event_datum(const char *data, size_t len);

#endif							/* ROLEFERRY_HANDLER_JOB_H */

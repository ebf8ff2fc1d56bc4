/*-------------------------------------------------------------------------
 *
 * lookup_job.h
 *	  Jobs that ask something and are paid for in batches: what a new one must
 *	  satisfy.
 *
 * A task of that sort is a row of the table in lookup_job.c, and a kind in
 * worker/batch_kinds.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_LOOKUP_JOB_H
#define ROLEFERRY_LOOKUP_JOB_H

#include "outbox/job.h"
#include "provider/provider.h"

/* All of them, for statements. */
#define RF_LOOKUP_TASKS		"'verify_emails', 'enrich_people'"

/* So often one may be in a dispatcher's hands when it dies. */
#define RF_LOOKUP_CRASHES	3

typedef struct RfLookupTask
{
	const char *task;
	const char *what;			/* "verifies addresses" */
	const char *example;		/* of an account, as a hint */
	bool		(*serves) (const RfProvider *provider);

	/* Are the args of its shape?  *account: the one they name, or NULL. */
	bool		(*check_args) (Jsonb *args, char **account, RfFieldError *error);
} RfLookupTask;

/* NULL: it is none of that sort. */
extern const RfLookupTask *rf_lookup_task(const char *task);

/* The args, and the accounts in order; fills draft->accounts. */
extern bool rf_lookup_job_check(const RfLookupTask *task, RfJobDraft *draft,
								RfJobProblem *problem);

#endif							/* ROLEFERRY_LOOKUP_JOB_H */

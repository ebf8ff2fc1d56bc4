/*-------------------------------------------------------------------------
 *
 * retries.c
 *	  How jobs that ask a provider are tried again.
 *
 * What the job says goes before its task's row, that before the row of any
 * task, and that before what is built in.
 *
 * IDENTIFICATION
 *	  src/worker/retries.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "outbox/retry.h"
#include "settings.h"
#include "worker/retries.h"

static List *rows = NIL;		/* of RfRetryRow */
static MemoryContext rows_context = NULL;

void
rf_retries_refresh(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "roleferry retries",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *fresh = rf_retry_rows();

	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, TopMemoryContext);
	if (rows_context != NULL)
		MemoryContextDelete(rows_context);
	rows_context = context;
	rows = fresh;
}

RfRetry
rf_retries_of(const RfClaimedJob *job, RfOutcomeClass class)
{
	const char *outcome = rf_outcome_class_text(class);
	RfRetry		retry;
	ListCell   *lc;

	retry.backoff = rf_backoff_policy(class);
	retry.max_attempts = job->max_attempts > 0 ? job->max_attempts : rf_max_attempts;
	foreach(lc, rows)
	{
		const RfRetryRow *row = lfirst(lc);

		if (strcmp(row->outcome, outcome) != 0 ||
			(strcmp(row->task, job->task) != 0 && strcmp(row->task, "*") != 0))
			continue;
		if (job->max_attempts == 0 && row->max_attempts > 0)
			retry.max_attempts = row->max_attempts;
		if (row->base_us >= 0)
			retry.backoff.base_us = row->base_us;
		if (row->cap_us >= 0)
			retry.backoff.cap_us = row->cap_us;
		break;
	}
	return retry;
}

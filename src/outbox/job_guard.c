/*-------------------------------------------------------------------------
 *
 * job_guard.c
 *	  The check of a job, where nothing may fail because of it.
 *
 * IDENTIFICATION
 *	  src/outbox/job_guard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "outbox/job.h"

static bool passes(int sqlerrcode);

bool
rf_job_check_guarded(RfJobDraft *draft, RfJobProblem *problem)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool good = false;

	memset(problem, 0, sizeof(*problem));
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		good = rf_job_check(draft, problem);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		memset(problem, 0, sizeof(*problem));
		problem->sqlerrcode = error->sqlerrcode;
		problem->message = error->message;
		problem->passes = passes(error->sqlerrcode);
		good = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return good;
}

/* A lock, a full disk: no fault of the job's. */
static bool
passes(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
	}
}

/*-------------------------------------------------------------------------
 *
 * attempt.c
 *	  Doing something that may fail, in a subtransaction.
 *
 * IDENTIFICATION
 *	  src/inbox/attempt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "inbox/attempt.h"

static char *say_error(const ErrorData *error);

char *
rf_attempt(void (*run) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *volatile problem = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		run(arg);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
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
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		problem = say_error(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	return problem;
}

static char *
say_error(const ErrorData *error)
{
	return psprintf("%s: %s", unpack_sql_state(error->sqlerrcode),
					error->message != NULL ? error->message : "no message");
}

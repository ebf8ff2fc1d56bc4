/*-------------------------------------------------------------------------
 *
 * fault.c
 *	  Named points at which a test can make this process fail.
 *
 * Tests set them by a SQL function that they create themselves on
 * roleferry_fault_set(name, action, skip, count); a production build has
 * neither the function nor the points.
 *
 * IDENTIFICATION
 *	  src/shmem/fault.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef RF_FAULTS

#include <signal.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "shmem/fault.h"
#include "shmem/shared.h"

static bool take_fault(const char *name, char *action, size_t size);

PG_FUNCTION_INFO_V1(roleferry_fault_set);

void
rf_fault_reach(const char *name)
{
	char		action[16];

	if (rf_shared == NULL || !take_fault(name, action, sizeof(action)))
		return;
	if (strcmp(action, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(action, "segv") == 0)
		raise(SIGSEGV);
	if (strcmp(action, "stop") == 0)
		kill(getpid(), SIGSTOP);
	if (strcmp(action, "sleep") == 0)
		pg_usleep(2000000L);
	if (strcmp(action, "fatal") == 0)
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("injected fatal fault at \"%s\"", name)));
	if (strcmp(action, "error") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("injected fault at \"%s\"", name)));
}

bool
rf_fault_fails(const char *name)
{
	char		action[16];

	return rf_shared != NULL && take_fault(name, action, sizeof(action)) && strcmp(action, "fail") == 0;
}

/* Between two turns nothing holds interrupts off, or a handler ran on another thread. */
void
rf_fault_check_idle(void)
{
	if (InterruptHoldoffCount != 0 || QueryCancelHoldoffCount != 0 || CritSectionCount != 0)
		ereport(PANIC,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("interrupts are held off between two turns: %u, %u, %u",
						InterruptHoldoffCount, QueryCancelHoldoffCount, CritSectionCount)));
}

static bool
take_fault(const char *name, char *action, size_t size)
{
	bool		taken = false;

	SpinLockAcquire(&rf_shared->faults_lock);
	for (int i = 0; i < RF_MAX_FAULTS; i++)
	{
		RfFaultSlot *fault = &rf_shared->faults[i];

		if (strcmp(fault->name, name) != 0)
			continue;
		if (fault->skip > 0)
			fault->skip--;
		else if (fault->count > 0)
		{
			fault->count--;
			strlcpy(action, fault->action, size);
			taken = true;
		}
		break;
	}
	SpinLockRelease(&rf_shared->faults_lock);
	return taken;
}

/* roleferry_fault_set(name text, action text, skip int, count int) */
Datum
roleferry_fault_set(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *action = text_to_cstring(PG_GETARG_TEXT_PP(1));
	RfFaultSlot *found = NULL;

	rf_shared_require();
	SpinLockAcquire(&rf_shared->faults_lock);
	for (int i = 0; i < RF_MAX_FAULTS; i++)
	{
		RfFaultSlot *fault = &rf_shared->faults[i];

		if (strcmp(fault->name, name) == 0)
		{
			found = fault;
			break;
		}
		if (found == NULL && fault->count == 0)
			found = fault;
	}
	if (found != NULL)
	{
		strlcpy(found->name, name, sizeof(found->name));
		strlcpy(found->action, action, sizeof(found->action));
		found->skip = PG_GETARG_INT32(2);
		found->count = PG_GETARG_INT32(3);
	}
	SpinLockRelease(&rf_shared->faults_lock);
	PG_RETURN_VOID();
}

#endif							/* RF_FAULTS */

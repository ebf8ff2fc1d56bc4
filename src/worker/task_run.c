/*-------------------------------------------------------------------------
 *
 * task_run.c
 *	  Running SQL tasks: the job's end and the function's effects are one
 *	  commit.
 *
 * A transaction reads the jobs, calls their functions as the session's role,
 * and deletes the jobs as the outbox's owner, if they are still the
 * dispatcher's that gave them out.  So whatever dies, either all of it has
 * happened or nothing.  A job whose function failed is written down in a
 * transaction of its own.
 *
 * Jobs that share a transaction have a subtransaction each.  When the
 * transaction fails as a whole, at its commit for example, each runs alone.
 *
 * IDENTIFICATION
 *	  src/worker/task_run.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "outbox/handler_job.h"
#include "outbox/run.h"
#include "shmem/fault.h"
#include "shmem/shared.h"
#include "shmem/stat.h"
#include "shmem/waiter.h"
#include "worker/executor.h"
#include "worker/session.h"
#include "worker/task_session.h"
#include "worker/task_failure.h"

/* After a write that failed. */
#define RETRY_MS	1000L

typedef enum RunEnd
{
	RUN_NOTHING,				/* nothing was done */
	RUN_LOST,					/* it is somebody else's, or gone */
	RUN_DONE,
	RUN_FAILED
} RunEnd;

typedef struct Run
{
	int64		id;
	uint32		ticket;
	RfRunJob   *job;
	RunEnd		end;
	TimestampTz started_at;
	ErrorData  *error;			/* of what failed, or */
	const char *state;			/* how it ends without having run, */
	const char *why;			/* and why */
} Run;

static int	take_tickets(RfExecutorSlot *slot, Run *runs);
static bool run_together(RfExecutorSlot *slot, Run *runs, int nruns);
static void read_jobs(RfExecutorSlot *slot, Run *runs, int nruns);
static void run_one(Run *run);
static void run_in_subtransaction(Run *run);
static void finish(RfExecutorSlot *slot, Run *runs, int nruns);
static void write_failure(RfExecutorSlot *slot, Run *run);
static bool try_write_failure(RfExecutorSlot *slot, Run *run, RfRunFailure *failure);
static void end_ticket(RfExecutorSlot *slot, const Run *run, int64 run_at);
static RfDispatcherSlot *dispatcher(void);

void
rf_task_run_next(RfExecutorSlot *slot, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Run		   *runs = palloc0(RF_EXECUTOR_BATCH * sizeof(Run));
	int			nruns = take_tickets(slot, runs);

	if (nruns > 1 && !run_together(slot, runs, nruns))
	{
		for (int i = 0; i < nruns; i++)
		{
			runs[i].job = NULL;
			runs[i].end = RUN_NOTHING;
			runs[i].error = NULL;
			runs[i].state = runs[i].why = NULL;
			(void) run_together(slot, &runs[i], 1);
		}
	}
	else if (nruns == 1)
		(void) run_together(slot, runs, 1);

	for (int i = 0; i < nruns; i++)
	{
		if (runs[i].end == RUN_FAILED)
			write_failure(slot, &runs[i]);
		else
		{
			if (runs[i].end == RUN_DONE)
				rf_stat_job(MyDatabaseId, runs[i].job->queue, RF_STAT_DONE, 1);
			end_ticket(slot, &runs[i], 0);
		}
	}
	if (pg_atomic_read_u32(&slot->given) - pg_atomic_read_u32(&slot->ended) <=
		(nruns > 1 ? RF_EXECUTOR_BATCH : 2))
		rf_executor_wake_owner(slot);
	MemoryContextSwitchTo(old);
}

/* The next one, or as many as may share a transaction. */
static int
take_tickets(RfExecutorSlot *slot, Run *runs)
{
	uint32		n = pg_atomic_read_u32(&slot->begun);
	uint32		given = pg_atomic_read_u32(&slot->given);
	int			nruns = 0;

	pg_read_barrier();
	for (; n != given && nruns < RF_EXECUTOR_BATCH; n++)
	{
		RfTicket   *ticket = rf_executor_ticket(slot, n);

		if (nruns > 0 && !(ticket->batch && rf_executor_ticket(slot, runs[0].ticket)->batch))
			break;
		if (rf_executor_begin(slot, n))
		{
			(void) pg_atomic_fetch_add_u32(&slot->begun, 1);
			runs[nruns].id = ticket->job_id;
			runs[nruns++].ticket = n;
			continue;
		}
		if (nruns > 0)
			break;				/* ends are told in turn: this one next time */
		(void) pg_atomic_fetch_add_u32(&slot->begun, 1);
		(void) pg_atomic_fetch_add_u32(&slot->ended, 1);
	}
	return nruns;
}

/* False: nothing of it has happened, and no one job is to blame. */
static bool
run_together(RfExecutorSlot *slot, Run *runs, int nruns)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = true;

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		MemoryContextSwitchTo(context);
		rf_task_reset_session();
		if (rf_session_lock_extension())
		{
			read_jobs(slot, runs, nruns);
			RF_FAULT("task_before_run");
			for (int i = 0; i < nruns; i++)
			{
				if (runs[i].end != RUN_DONE)
					continue;
				if (nruns == 1)
					run_one(&runs[i]);
				else
					run_in_subtransaction(&runs[i]);
			}
			RF_FAULT("task_after_run");
			finish(slot, runs, nruns);
			RF_FAULT("task_before_commit");
		}
		CommitTransactionCommand();
		RF_FAULT("task_after_commit");
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		runs[0].error = CopyErrorData();
		if (runs[0].end == RUN_NOTHING)
			EmitErrorReport();	/* no fault of the job's */
		FlushErrorState();
		disable_timeout(STATEMENT_TIMEOUT, false);
		AbortCurrentTransaction();
		if (nruns == 1 && runs[0].end == RUN_DONE)
			runs[0].end = RUN_FAILED;
		good = false;
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	pgstat_report_stat(false);
	return good;
}

/* Which are ours still, and can run: these are to be done. */
static void
read_jobs(RfExecutorSlot *slot, Run *runs, int nruns)
{
	int64		ids[RF_EXECUTOR_BATCH];
	char	   *role = GetUserNameFromId(GetSessionUserId(), false);
	List	   *jobs;
	ListCell   *lc;

	for (int i = 0; i < nruns; i++)
		ids[i] = runs[i].id;
	jobs = rf_run_read((int64) slot->owner, ids, nruns);
	for (int i = 0; i < nruns; i++)
		runs[i].end = RUN_LOST;
	foreach(lc, jobs)
	{
		RfRunJob   *job = lfirst(lc);
		Run		   *run = runs;

		while (run->id != job->id)
			run++;
		run->job = job;
		run->started_at = GetCurrentTimestamp();
		run->end = RUN_DONE;
		if (strcmp(job->run_as, role) != 0)
			run->end = RUN_NOTHING; /* changed since: another's */
		else if (job->expires_at < run->started_at)
		{
			run->end = RUN_FAILED;
			run->state = "expired";
			run->why = psprintf("not run before %s", timestamptz_to_str(job->expires_at));
		}
		else if (job->handler != NULL)
		{
			if (job->handler->problem != NULL)
			{
				run->end = RUN_FAILED;
				run->state = "failed";
				run->why = job->handler->problem;
			}
		}
		else if (job->function == NULL)
		{
			run->end = RUN_FAILED;
			run->state = "failed";
			run->why = psprintf("there is no task \"%s\" any more", job->task);
		}
	}
}

static void
run_one(Run *run)
{
	rf_task_start(run->job);
	if (run->job->handler == NULL)
		rf_task_call(run->job);
	else if (!run->job->handler->done)
		rf_task_call_handler(run->job);
}

static void
run_in_subtransaction(Run *run)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		run_one(run);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		run->error = CopyErrorData();
		FlushErrorState();
		disable_timeout(STATEMENT_TIMEOUT, false);
		RollbackAndReleaseCurrentSubTransaction();
		run->end = RUN_FAILED;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/* One of them may have become somebody else's meanwhile: then none counts. */
static void
finish(RfExecutorSlot *slot, Run *runs, int nruns)
{
	RfDispatcherSlot *d = dispatcher();
	List	   *done = NIL;

	rf_task_before_commit();
	for (int i = 0; i < nruns; i++)
		if (runs[i].end == RUN_DONE)
			done = lappend(done, runs[i].job);
	if (done == NIL)
		return;
	if (rf_run_finish((int64) slot->owner, done, d ? pg_atomic_read_u32(&d->result_table) : 0) == list_length(done))
		return;
	if (nruns == 1)
		runs[0].end = RUN_LOST;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("a job is no longer this executor's")));
}

/* Until it is written: a failure that is forgotten would be an orphan. */
static void
write_failure(RfExecutorSlot *slot, Run *run)
{
	RfRunFailure failure;

	rf_task_describe_failure(run->job, run->error, run->state, run->why, &failure);
	failure.started_at = run->started_at;
	while (!try_write_failure(slot, run, &failure))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, RETRY_MS,
						 rf_wait_event_new("RoleferryExecutor"));
		ResetLatch(MyLatch);
		QueryCancelPending = false;
		CHECK_FOR_INTERRUPTS();
	}
	if (run->end == RUN_FAILED)
		rf_stat_job(MyDatabaseId, run->job->queue, failure.state == NULL ? RF_STAT_RETRIED :
					strcmp(failure.state, "failed") == 0 ? RF_STAT_FAILED : RF_STAT_OTHER, 1);
	end_ticket(slot, run, failure.state == NULL && run->end == RUN_FAILED ? failure.run_at : 0);
}

static bool
try_write_failure(RfExecutorSlot *slot, Run *run, RfRunFailure *failure)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool written = false;

	RF_FAULT("task_before_record");
	PG_TRY();
	{
		RfDispatcherSlot *d = dispatcher();

		StartTransactionCommand();
		XactIsoLevel = XACT_READ_COMMITTED;
		MemoryContextSwitchTo(context);
		if (rf_session_lock_extension())
		{
			if (!rf_run_fail((int64) slot->owner, failure, d ? pg_atomic_read_u32(&d->attempt_table) : 0))
				run->end = RUN_LOST;
			written = true;
		}
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		written = false;
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	pgstat_report_stat(false);
	return written;
}

/* run_at 0: it does not wait. */
static void
end_ticket(RfExecutorSlot *slot, const Run *run, int64 run_at)
{
	RfTicket   *ticket = rf_executor_ticket(slot, run->ticket);

	switch (run->end)
	{
		case RUN_NOTHING:
			ticket->end = RF_TICKET_NOT_RUN;
			run_at = GetCurrentTimestamp() + RETRY_MS * 1000;
			break;
		case RUN_LOST:
		case RUN_DONE:
		case RUN_FAILED:
			ticket->end = run_at != 0 ? RF_TICKET_WAITS : RF_TICKET_OVER;
			break;
	}
	ticket->run_at = run_at;
	(void) pg_atomic_fetch_add_u32(&slot->ended, 1);
	if (ticket->end == RF_TICKET_OVER && rf_waiters_exist())
		rf_waiters_tell(run->id);
	else if (ticket->end == RF_TICKET_WAITS)
		rf_executor_wake_owner(slot);
}

static RfDispatcherSlot *
dispatcher(void)
{
	return rf_shared_find_dispatcher(MyDatabaseId);
}

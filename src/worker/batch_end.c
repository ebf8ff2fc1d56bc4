/*-------------------------------------------------------------------------
 *
 * batch_end.c
 *	  What a batch's requests proved, written down.
 *
 * In the transaction of the settlements.  Rows, the batch's next step, and what
 * becomes of its jobs are written together, and only then is anything told or
 * sent: whoever dies before that finds the batch where it was.
 *
 * IDENTIFICATION
 *	  src/worker/batch_end.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "errors.h"
#include "shmem/fault.h"
#include "shmem/stat.h"
#include "shmem/waiter.h"
#include "worker/batches.h"

/* Until jobs are asked for anew that were not taken. */
#define REFUSED_US		INT64CONST(100000)

static void write_run(RfDispatcher *d, RfBatchRun *run);
static void bury(RfBatchRun *run, const RfBatch *row);
static void take_back(RfDispatcher *d, RfBatchRun *run);
static void note_refusal(const RfBatchRun *run, RfMember *member);
static void move_on(RfDispatcher *d, RfBatchRun *run);
static void tell_callers(RfDispatcher *d, RfBatchRun *run);
static void undo(RfDispatcher *d, RfBatchRun *run);
static void log_end(const RfBatchRun *run);

/* Is there anything to be written? */
bool
rf_batches_moved(void)
{
	ListCell   *lc;

	foreach(lc, rf_batch_runs)
	{
		if (((RfBatchRun *) lfirst(lc))->moved)
			return true;
	}
	return false;
}

void
rf_batches_write(RfDispatcher *d)
{
	ListCell   *lc;

	foreach(lc, rf_batch_runs)
	{
		RfBatchRun *run = lfirst(lc);

		if (run->moved)
		{
			write_run(d, run);
			RF_FAULT("in_batch_write");
		}
	}
}

void
rf_batches_written(RfDispatcher *d, bool committed)
{
	List	   *runs = list_copy(rf_batch_runs);
	ListCell   *lc;

	foreach(lc, runs)
	{
		RfBatchRun *run = lfirst(lc);

		if (!run->written)
			continue;
		run->written = false;
		if (committed)
			move_on(d, run);
		else
			undo(d, run);
	}
	list_free(runs);
}

static void
write_run(RfDispatcher *d, RfBatchRun *run)
{
	const RfBatchAnswer *answer = &run->answer;
	RfBatchStep step = run->next.step;
	const char *reason = answer->outcome.class == RF_OUTCOME_OK ? "" : answer->outcome.reason;
	RfRosterEntry *entry = rf_roster_find(run->row.account);
	RfBatch		row = run->row;

	run->written = true;
	if (answer->rows != NULL || step == RF_BATCH_DONE)
		run->kind->write(&row, entry != NULL ? entry->provider->name : row.account,
						 answer->rows, step == RF_BATCH_DONE);
	row.step = step;
	if (answer->provider_job[0] != '\0')
		strlcpy(row.provider_job, answer->provider_job, sizeof(row.provider_job));
	if (run->row.step == RF_BATCH_FETCH && step == RF_BATCH_FETCH && answer->more)
		row.page++;
	if (answer->items_done >= 0)
		row.items_done = Min(answer->items_done, row.items_total);
	if (step == RF_BATCH_DONE)
		row.items_done = row.items_total;
	if (!rf_batch_is_over(step))
	{
		rf_batch_update(&row, reason);
		return;
	}
	if (step == RF_BATCH_DONE || step == RF_BATCH_REFUSED)
		take_back(d, run);
	else
		bury(run, &row);
	rf_batch_end(&row, reason);
}

/* Who they were has to be known after this transaction. */
static void
bury(RfBatchRun *run, const RfBatch *row)
{
	int64	   *ids;
	char	  **queues;
	int			count = rf_batch_bury(row, rf_batch_step_text(row->step), &run->answer.outcome, &ids, &queues);

	run->ended_jobs = MemoryContextAlloc(run->context, (count + 1) * sizeof(int64));
	run->ended_queues = MemoryContextAlloc(run->context, (count + 1) * sizeof(char *));
	for (int i = 0; i < count; i++)
	{
		run->ended_jobs[i] = ids[i];
		run->ended_queues[i] = MemoryContextStrdup(run->context, queues[i]);
	}
	run->nended_jobs = count;
}

/* Its jobs are in our hands again, and find their questions answered. */
static void
take_back(RfDispatcher *d, RfBatchRun *run)
{
	List	   *jobs = rf_claim_from_batch((int64) d->incarnation, run->row.id, d->claim_context);
	ListCell   *lc;

	run->taken_back = MemoryContextAlloc(run->context, (list_length(jobs) + 1) * sizeof(RfMember *));
	run->ntaken_back = 0;
	foreach(lc, jobs)
	{
		RfFlight   *flight = rf_flight_create(lfirst(lc));

		flight->gathers = true;
		run->taken_back[run->ntaken_back++] = rf_batches_member(d, flight, run->kind);
		if (run->next.step == RF_BATCH_REFUSED)
			note_refusal(run, run->taken_back[run->ntaken_back - 1]);
	}
	list_free(jobs);
}

/* Another account may have it.  What was looked for in vain was refused by none. */
static void
note_refusal(const RfBatchRun *run, RfMember *member)
{
	RfFlight   *flight = member->flight;
	int			position = 0;
	ListCell   *lc;

	member->wait_until_us = member->since_us + REFUSED_US;
	if (run->row.step != RF_BATCH_SEND)
		return;
	member->charge = run->next.charge;
	member->refusal = MemoryContextAlloc(flight->context, sizeof(RfOutcome));
	*member->refusal = run->answer.outcome;
	foreach(lc, flight->job->accounts)
	{
		if (position < RF_ROUTE_MAX_ACCOUNTS && strcmp(lfirst(lc), run->row.account) == 0)
			flight->tried |= UINT32_C(1) << position;
		position++;
	}
}

/* Written: now it counts. */
static void
move_on(RfDispatcher *d, RfBatchRun *run)
{
	RfBatchStep before = run->row.step;
	bool		progress = run->answer.more || before != run->next.step;
	MemoryContext old;

	if (rf_batch_is_over(run->next.step))
	{
		log_end(run);
		tell_callers(d, run);
		old = MemoryContextSwitchTo(TopMemoryContext);
		for (int i = 0; i < run->ntaken_back; i++)
		{
			MemoryContextSetParent(run->taken_back[i]->flight->context, d->flights_context);
			rf_batch_members = lappend(rf_batch_members, run->taken_back[i]);
		}
		MemoryContextSwitchTo(old);
		rf_batches_free_run(run);
		return;
	}
	run->row.step = run->next.step;
	if (run->answer.provider_job[0] != '\0')
		strlcpy(run->row.provider_job, run->answer.provider_job, sizeof(run->row.provider_job));
	if (before == RF_BATCH_FETCH && run->answer.more)
		run->row.page++;
	if (run->answer.items_done >= 0)
		run->row.items_done = Min(run->answer.items_done, run->row.items_total);
	run->misses += run->answer.outcome.class == RF_OUTCOME_MISS ? 1 : 0;
	run->tries = progress ? 0 : run->tries + 1;
	run->due_us = rf_gate_now_us() + run->next.delay_us;
	run->moved = false;
	if (run->answer.rows != NULL)
		run->kind->free_rows(run->answer.rows);
	memset(&run->answer, 0, sizeof(run->answer));
}

/* Who waits for a job that has failed, or that nobody can know about, is told so. */
static void
tell_callers(RfDispatcher *d, RfBatchRun *run)
{
	RfReceipt	receipt;

	rf_batches_tell_failure(&receipt, run->row.account, &run->answer.outcome);
	if (run->next.step == RF_BATCH_UNKNOWN)
		receipt.sqlerrcode = RF_ERRCODE_UNKNOWN;
	for (int i = 0; i < run->nended_jobs; i++)
	{
		receipt.job_id = run->ended_jobs[i];
		rf_stat_job(MyDatabaseId, run->ended_queues[i],
					run->next.step == RF_BATCH_UNKNOWN ? RF_STAT_UNKNOWN : RF_STAT_FAILED, 1);
		rf_calls_settle_job(d, run->ended_jobs[i], &receipt);
		rf_waiters_tell(run->ended_jobs[i]);
	}
}

static void
undo(RfDispatcher *d, RfBatchRun *run)
{
	for (int i = 0; i < run->ntaken_back; i++)
		rf_fleet_free(d, run->taken_back[i]->flight);
	run->ntaken_back = 0;
	run->nended_jobs = 0;
}

static void
log_end(const RfBatchRun *run)
{
	if (run->next.step != RF_BATCH_UNKNOWN && run->next.step != RF_BATCH_FAILED)
		return;
	ereport(LOG,
			(errmsg("%s at account \"%s\" ended as %s: %s", run->row.task, run->row.account,
					rf_batch_step_text(run->next.step), run->answer.outcome.reason),
			 errdetail("batch=" INT64_FORMAT " state=%s account=%s outcome=%s http_status=%d items=" INT64_FORMAT " jobs=%d",
					   run->row.id, rf_batch_step_text(run->next.step), run->row.account,
					   rf_outcome_class_text(run->answer.outcome.class), run->answer.outcome.http_status,
					   run->row.items_total, run->nended_jobs)));
}

/*-------------------------------------------------------------------------
 *
 * batches.c
 *	  Jobs that are paid for together: gathered, and handed on.
 *
 * A claimed job of such a task never flies.  It is gathered here, in this
 * process's hands; a batch is formed of what is gathered (batch_form.c), which
 * is on disk before its first byte leaves and moves by short requests of its
 * own (batch_flight.c).  When it is over, its jobs come back here (batch_end.c),
 * find their questions answered, and are done.
 *
 *	claimed -> gathered --answered already---------------> done
 *	             |   ^  \--under way in a batch--> its
 *	             |   |
 *	             v   |
 *	            batch: send -> poll -> fetch ... -> over
 *
 * Whatever dies in between, a gathered job has cost nothing and waits again,
 * and a batch is found in its table.
 *
 * IDENTIFICATION
 *	  src/worker/batches.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "shmem/server_mode.h"
#include "worker/batches.h"

List	   *rf_batch_members = NIL;
List	   *rf_batch_runs = NIL;

static int64 ripe_at(const RfMember *member);
static void forget_members(RfDispatcher *d);
static void drop_formed(void);

/* Claimed, and its claim committed. */
void
rf_batches_gather(RfDispatcher *d, RfFlight *flight)
{
	const RfBatchKind *kind = rf_batch_kind_of(flight->job);
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	rf_calls_gathered(flight);
	rf_batch_members = lappend(rf_batch_members, rf_batches_member(d, flight, kind));
	MemoryContextSwitchTo(old);
}

RfMember *
rf_batches_member(RfDispatcher *d, RfFlight *flight, const RfBatchKind *kind)
{
	RfMember   *member = MemoryContextAllocZero(flight->context, sizeof(RfMember));

	member->flight = flight;
	member->kind = kind;
	member->since_us = rf_gate_now_us();
	return member;
}

void
rf_batches_free_member(RfDispatcher *d, RfMember *member)
{
	rf_batch_members = list_delete_ptr(rf_batch_members, member);
	rf_fleet_free(d, member->flight);	/* the member is in its context */
}

RfBatchRun *
rf_batches_run(const RfBatch *row)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "roleferry batch",
												  ALLOCSET_SMALL_SIZES);
	RfBatchRun *run = MemoryContextAllocZero(context, sizeof(RfBatchRun));
	MemoryContext old;

	run->context = context;
	run->row = *row;
	run->row.task = MemoryContextStrdup(context, row->task);
	run->row.account = MemoryContextStrdup(context, row->account);
	run->kind = rf_batch_kind(row->task);
	old = MemoryContextSwitchTo(TopMemoryContext);
	rf_batch_runs = lappend(rf_batch_runs, run);
	MemoryContextSwitchTo(old);
	return run;
}

void
rf_batches_free_run(RfBatchRun *run)
{
	if (run->answer.rows != NULL)
		run->kind->free_rows(run->answer.rows);
	rf_batch_runs = list_delete_ptr(rf_batch_runs, run);
	MemoryContextDelete(run->context);
}

int
rf_batches_at(const char *account)
{
	ListCell   *lc;
	int			count = 0;

	foreach(lc, rf_batch_runs)
	{
		const RfBatchRun *run = lfirst(lc);

		if (!run->row.single && strcmp(run->row.account, account) == 0)
			count++;
	}
	return count;
}

char *
rf_batches_name(RfDispatcher *d, const RfBatchRun *run)
{
	return psprintf("%s." INT64_FORMAT, d->activation.installation, run->row.id);
}

/* Would a claim move anything on? */
bool
rf_batches_want_claim(RfDispatcher *d)
{
	return rf_batches_next_due(d) <= rf_gate_now_us();
}

/* When something is due; INT64_MAX: nothing is. */
int64
rf_batches_next_due(RfDispatcher *d)
{
	int64		due = INT64_MAX;
	ListCell   *lc;

	if (d->alone)
		return due;
	foreach(lc, rf_batch_members)
		due = Min(due, ripe_at(lfirst(lc)));
	foreach(lc, rf_batch_runs)
	{
		const RfBatchRun *run = lfirst(lc);

		if (run->flight == NULL && !run->moved)
			due = Min(due, run->due_us);
	}
	return due;
}

/* In the claim's transaction, after what it claims. */
void
rf_batches_claim(RfDispatcher *d)
{
	if (d->alone)
		return;
	if (rf_batch_members != NIL && rf_server_mode() != RF_MODE_LIVE)
		rf_batches_return(d);	/* to be claimed again, and told so */
	if (rf_batch_members != NIL)
		rf_batches_form(d);
	rf_batches_due(d);
}

void
rf_batches_claimed(RfDispatcher *d, bool committed)
{
	ListCell   *lc;

	if (!committed)
	{
		forget_members(d);
		drop_formed();
		return;
	}
	foreach(lc, rf_batch_members)
	{
		RfMember   *member = lfirst(lc);

		if (!member->leaves)
			continue;
		rf_batch_members = foreach_delete_current(rf_batch_members, lc);
		rf_fleet_free(d, member->flight);
	}
	foreach(lc, rf_batch_runs)
		((RfBatchRun *) lfirst(lc))->formed = false;
}

/*
 * At the start, and when a claim was in doubt: what is on disk and not in hand.
 * adopt: what a dead dispatcher or another life left.
 */
void
rf_batches_load(RfDispatcher *d, bool adopt)
{
	int64	   *in_hand = palloc((list_length(rf_batch_runs) + 1) * sizeof(int64));
	int			nin_hand = 0;
	ListCell   *lc;

	foreach(lc, rf_batch_runs)
		in_hand[nin_hand++] = ((RfBatchRun *) lfirst(lc))->row.id;
	if (!adopt)
	{
		rf_batch_undo_unknown(d->activation.installation, in_hand, nin_hand);
		return;
	}
	rf_batch_adopt(d->activation.installation);
	foreach(lc, rf_batch_load(d->activation.installation))
	{
		RfBatch    *row = lfirst(lc);
		RfBatchRun *run;
		bool		known = rf_batch_kind(row->task) == NULL;

		for (int i = 0; i < nin_hand; i++)
			known |= in_hand[i] == row->id;
		if (known)
			continue;
		run = rf_batches_run(row);
		if (row->step != RF_BATCH_SEND)
			continue;
		rf_outcome_init(&run->answer.outcome, RF_OUTCOME_AMBIGUOUS, 0);
		rf_outcome_set_reason(&run->answer.outcome, "the dispatcher died while the request may have been on its way", 62);
		run->answer.items_done = -1;
		rf_batches_conclude(run);
	}
}

/* Leaving: what was only gathered waits again. */
void
rf_batches_return(RfDispatcher *d)
{
	while (rf_batch_members != NIL)
	{
		RfMember   *member = linitial(rf_batch_members);
		RfSettlement settlement;

		memset(&settlement, 0, sizeof(settlement));
		settlement.kind = RF_SETTLE_GIVE_BACK;
		settlement.job_id = member->flight->job->id;
		settlement.run_at = member->flight->job->run_at;
		rf_ledger_keep(d, &settlement, member->flight);
		rf_batches_free_member(d, member);
	}
}

void
rf_batches_redate(int64 by_us)
{
	ListCell   *lc;

	foreach(lc, rf_batch_runs)
		((RfBatchRun *) lfirst(lc))->row.created_at += by_us;
}

/* The flight ends: its batch has none under way. */
void
rf_batches_let_go(RfFlight *flight)
{
	flight->batch->flight = NULL;
	flight->batch->items = NULL;
	flight->batch->nitems = 0;
}

/* Fills job_ids, which may be NULL; returns how many are gathered. */
int
rf_batches_in_hand(int64 *job_ids)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, rf_batch_members)
	{
		if (job_ids != NULL)
			job_ids[count] = ((RfMember *) lfirst(lc))->flight->job->id;
		count++;
	}
	return count;
}

/* The largest batch under way, for pg_stat_activity. */
bool
rf_batches_describe(char *line, size_t size)
{
	const RfBatchRun *largest = NULL;
	ListCell   *lc;

	foreach(lc, rf_batch_runs)
	{
		const RfBatchRun *run = lfirst(lc);

		if (largest == NULL || run->row.items_total > largest->row.items_total)
			largest = run;
	}
	if (largest == NULL)
		return false;
	snprintf(line, size, "%s: " INT64_FORMAT " of " INT64_FORMAT " at account \"%s\" (%d batches under way)",
			 largest->row.task, largest->row.items_done, largest->row.items_total,
			 largest->row.account, list_length(rf_batch_runs));
	return true;
}

static int64
ripe_at(const RfMember *member)
{
	if (!member->looked)
		return 0;
	return Max(member->since_us + (int64) member->kind->max_wait() * 1000, member->wait_until_us);
}

/* Whether they are ours is not known: they are given back, or are a batch's. */
static void
forget_members(RfDispatcher *d)
{
	RfReceipt	receipt;

	while (rf_batch_members != NIL)
	{
		RfMember   *member = linitial(rf_batch_members);

		rf_receipt_init(&receipt, "queued", member->flight->job->id);
		rf_calls_settle_job(d, member->flight->job->id, &receipt);
		rf_batches_free_member(d, member);
	}
}

/* Their flights are freed by whoever freed those about to start. */
static void
drop_formed(void)
{
	ListCell   *lc;

	foreach(lc, rf_batch_runs)
	{
		RfBatchRun *run = lfirst(lc);

		if (!run->formed)
			continue;
		rf_batch_runs = foreach_delete_current(rf_batch_runs, lc);
		MemoryContextDelete(run->context);
	}
}

/*-------------------------------------------------------------------------
 *
 * batch_look.c
 *	  Which gathered jobs are answered already, and what the others lack.
 *
 * In the claim's transaction.  What is known is not asked again, and what a
 * batch under way asks for is waited for.
 *
 * IDENTIFICATION
 *	  src/worker/batch_look.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/batches.h"

static const char *provider_of(const RfMember *member);
static void look_at_kind(RfDispatcher *d, const RfMember *first);
static bool is_like(const RfMember *a, const RfMember *b);
static void note_missing(RfDispatcher *d, RfMember *member, const RfBatchKnown *known,
						 const int64 *under_way);
static bool has_run_of(const RfBatchKind *kind);
static void finish(RfDispatcher *d, RfMember *member);

void
rf_batches_look(RfDispatcher *d)
{
	ListCell   *lc;

	foreach(lc, rf_batch_members)
	{
		RfMember   *member = lfirst(lc);

		if (!member->looked)
		{
			MemoryContext old = MemoryContextSwitchTo(member->flight->context);

			member->kind->items(member->flight->job, &member->items);
			MemoryContextSwitchTo(old);
		}
		member->provider = provider_of(member);
		member->nmissing = -1;
	}
	foreach(lc, rf_batch_members)
	{
		RfMember   *member = lfirst(lc);

		if (member->nmissing < 0)
			look_at_kind(d, member);
	}
}

/* Of the first account it can go to: those of one job have one provider. */
static const char *
provider_of(const RfMember *member)
{
	const RfFlight *flight = member->flight;

	for (int i = 0; i < Min(list_length(flight->job->accounts), RF_ROUTE_MAX_ACCOUNTS); i++)
	{
		RfRosterEntry *entry = rf_roster_find(list_nth(flight->job->accounts, i));

		if (entry != NULL && (flight->usable & (UINT32_C(1) << i)) != 0)
			return entry->provider->name;
	}
	return "";
}

/* One look for all of a kind and provider: what is known, and what is under way. */
static void
look_at_kind(RfDispatcher *d, const RfMember *first)
{
	const RfBatchKind *kind = first->kind;
	const char **items;
	RfBatchKnown *known;
	int64	   *under_way;
	int			nitems = 0;
	ListCell   *lc;

	foreach(lc, rf_batch_members)
	{
		const RfMember *member = lfirst(lc);

		nitems += is_like(member, first) ? member->items.nitems : 0;
	}
	items = MemoryContextAllocHuge(CurrentMemoryContext, (nitems + 1) * sizeof(char *));
	known = MemoryContextAllocHuge(CurrentMemoryContext, (nitems + 1) * sizeof(RfBatchKnown));
	under_way = MemoryContextAllocHuge(CurrentMemoryContext, (nitems + 1) * sizeof(int64));
	memset(under_way, 0, (nitems + 1) * sizeof(int64));
	nitems = 0;
	foreach(lc, rf_batch_members)
	{
		const RfMember *member = lfirst(lc);

		for (int i = 0; is_like(member, first) && i < member->items.nitems; i++)
			items[nitems++] = member->items.items[i];
	}
	if (nitems > 0)
		kind->look(first->provider, items, nitems, known);
	if (nitems > 0 && has_run_of(kind))
		rf_batch_find_items(kind->task, items, nitems, under_way);

	nitems = 0;
	foreach(lc, rf_batch_members)
	{
		RfMember   *member = lfirst(lc);

		if (!is_like(member, first))
			continue;
		note_missing(d, member, known + nitems, under_way + nitems);
		nitems += member->items.nitems;
	}
}

static bool
is_like(const RfMember *a, const RfMember *b)
{
	return a->kind == b->kind && strcmp(a->provider, b->provider) == 0;
}

/* All answered: it is done.  All answered or under way: it waits for that. */
static void
note_missing(RfDispatcher *d, RfMember *member, const RfBatchKnown *known,
			 const int64 *under_way)
{
	const RfClaimedJob *job = member->flight->job;
	TimestampTz now = GetCurrentTimestamp();
	int64		awaited = 0;

	if (member->missing == NULL)
		member->missing = MemoryContextAllocHuge(member->flight->context,
												 (member->items.nitems + 1) * sizeof(char *));
	member->looked = true;
	member->nmissing = 0;
	for (int i = 0; i < member->items.nitems; i++)
	{
		if (known[i].found && (known[i].found_at >= job->created_at ||
							   now - known[i].found_at < Min(known[i].keeps_us, member->items.max_age_us)))
			continue;
		if (under_way[i] != 0)
			awaited = under_way[i];
		else
			member->missing[member->nmissing++] = member->items.items[i];
	}
	if (member->nmissing > 0)
		return;
	if (awaited == 0)
	{
		finish(d, member);
		return;
	}
	member->leaves = true;
	rf_batch_attach(awaited, job->id, (int64) d->incarnation);
}

static bool
has_run_of(const RfBatchKind *kind)
{
	ListCell   *lc;

	foreach(lc, rf_batch_runs)
	{
		if (((RfBatchRun *) lfirst(lc))->kind == kind)
			return true;
	}
	return false;
}

/* What it asked for is on disk already: who waits is told at once. */
static void
finish(RfDispatcher *d, RfMember *member)
{
	RfSettlement settlement;
	RfReceipt	receipt;

	memset(&settlement, 0, sizeof(settlement));
	settlement.kind = RF_SETTLE_DONE;
	settlement.job_id = member->flight->job->id;
	settlement.result = member->kind->result(member->flight->job, member->provider);
	rf_receipt_init(&receipt, "done", settlement.job_id);
	rf_calls_settle_job(d, settlement.job_id, &receipt);
	rf_ledger_keep(d, &settlement, member->flight);
	member->gone = true;
}

/*-------------------------------------------------------------------------
 *
 * batch_form.c
 *	  Which gathered jobs are answered, and which make a batch now.
 *
 * All of it happens in the claim's transaction.  What is known already, and
 * what a batch under way asks for, is not paid for again; of the rest one batch
 * takes everything that goes to the same account, whoever asked: when the first
 * of them has waited long enough, or when there is as much as it can take.
 *
 * IDENTIFICATION
 *	  src/worker/batch_form.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/statement.h"
#include "shmem/fault.h"
#include "worker/batches.h"
#include "worker/choice.h"
#include "worker/limits.h"

/* While there is room for no further batch: how soon to look again. */
#define LOOK_AGAIN_US	INT64CONST(1000000)

/* An item and the job that asks for it. */
typedef struct Wish
{
	const char *item;
	RfMember   *member;
} Wish;

static void find_account(RfDispatcher *d, RfMember *member);
static bool is_ripe(const RfMember *first);
static void form_for(RfDispatcher *d, RfMember *first);
static int	room_for(const RfMember *first);
static int	gather_wishes(const RfMember *first, Wish *wishes, bool *waited_for, RfDispatcher *d);
static void form_batch(RfDispatcher *d, RfMember *first, const Wish *wishes, int nwishes,
					   const char **items, int nitems, bool single);
static int	compare_wishes(const void *a, const void *b);
static bool is_together(const RfMember *a, const RfMember *b);

void
rf_batches_form(RfDispatcher *d)
{
	List	   *members = list_copy(rf_batch_members);
	int64		now_us = rf_gate_now_us();
	ListCell   *lc;
	bool		look = false;

	foreach(lc, members)
	{
		RfMember   *member = lfirst(lc);

		look |= !member->looked ||
			now_us >= Max(member->since_us + (int64) member->kind->max_wait() * 1000, member->wait_until_us);
	}
	if (!look)
		return;
	rf_batches_look(d);
	foreach(lc, members)
	{
		RfMember   *member = lfirst(lc);

		if (!member->leaves && !member->gone && now_us >= member->wait_until_us)
			find_account(d, member);
	}
	foreach(lc, members)
	{
		RfMember   *member = lfirst(lc);

		if (!member->leaves && !member->gone && member->entry != NULL && is_ripe(member))
			form_for(d, member);
	}
	foreach(lc, members)
	{
		if (((RfMember *) lfirst(lc))->gone)
			rf_batches_free_member(d, lfirst(lc));
	}
}

static void
find_account(RfDispatcher *d, RfMember *member)
{
	RfFlight   *flight = member->flight;
	bool		never;
	int			position;

	member->entry = NULL;
	if (flight->job->expires_at < GetCurrentTimestamp())
	{
		rf_batches_bury(d, member, "expired", psprintf("not asked before %s", timestamptz_to_str(flight->job->expires_at)));
		return;
	}
	position = rf_choice_account(flight, d->engine, &never);
	if (position != RF_NO_ACCOUNT)
		member->entry = rf_roster_find(list_nth(flight->job->accounts, position));
	else if (member->refusal != NULL)
		rf_batches_refused(d, member);
	else if (!never)
		rf_batches_closed(d, member);
	else
		rf_batches_bury(d, member, "failed", flight->ownerless ?
						psprintf("its role \"%s\" does not exist any more", flight->job->role) :
						"none of its accounts exists and may be used by its role");
}

/* Has the first that goes with it waited long enough, or is there enough? */
static bool
is_ripe(const RfMember *first)
{
	const RfProvider *provider = first->entry->provider;
	int64		now_us = rf_gate_now_us();
	int			nmissing = 0;
	ListCell   *lc;

	foreach(lc, rf_batch_members)
	{
		const RfMember *member = lfirst(lc);

		if (!is_together(member, first))
			continue;
		if (now_us >= member->since_us + (int64) member->kind->max_wait() * 1000)
			return true;
		nmissing += member->nmissing;
	}
	return nmissing >= first->kind->most(provider);
}

/* Everything that goes with this one, in as few batches as take it. */
static void
form_for(RfDispatcher *d, RfMember *first)
{
	const RfProvider *provider = first->entry->provider;
	int64		opens_us = rf_gate_now_us() + LOOK_AGAIN_US;
	int64		paid_us;
	int			room = room_for(first);
	int			requests;
	uint32		credits;
	const char *why = "the provider takes no more jobs now";
	bool		waited_for;
	Wish	   *wishes;
	const char **items;
	int			nwishes = 0;
	int			at = 0;
	bool		single;
	ListCell   *lc;

	foreach(lc, rf_batch_members)
	{
		const RfMember *member = lfirst(lc);

		nwishes += is_together(member, first) ? member->nmissing : 0;
	}
	wishes = MemoryContextAllocHuge(CurrentMemoryContext, (nwishes + 1) * sizeof(Wish));
	items = MemoryContextAllocHuge(CurrentMemoryContext, (nwishes + 1) * sizeof(char *));
	nwishes = gather_wishes(first, wishes, &waited_for, d);

	credits = rf_limits_affordable(first->entry, first->kind->endpoint, rf_gate_now_us(),
								   &requests, &paid_us);
	while (at < nwishes)
	{
		int			end = at;
		int			nitems = 0;

		for (int i = at; i < nwishes; i++)
		{
			if (nitems == 0 || strcmp(wishes[i].item, items[nitems - 1]) != 0)
				items[nitems++] = wishes[i].item;
		}
		single = at == 0 && first->kind->is_single(nitems, waited_for);
		if (!single && room-- <= 0)
			break;
		nitems = (int) Min((uint32) first->kind->fit(provider, items, nitems), credits);
		if (nitems == 0 || (!single && requests-- <= 0))
		{
			opens_us = Max(opens_us, paid_us);
			why = "a rate limit or a budget is used up";
			break;
		}
		if (credits != UINT32_MAX)
			credits -= (uint32) nitems;
		while (end < nwishes && strcmp(wishes[end].item, items[nitems - 1]) <= 0)
			end++;
		form_batch(d, first, wishes + at, end - at, items, nitems, single);
		at = end;
	}

	/*
	 * No room for these: those of which a part is under way leave all the
	 * same.
	 */
	for (; at < nwishes; at++)
	{
		RfMember   *member = wishes[at].member;

		if (!member->leaves && !member->gone && member->entry != NULL)
			rf_batches_postpone(d, member, opens_us, why);
	}
}

/* Batches that may still be formed at this account. */
static int
room_for(const RfMember *first)
{
	int			at_once = first->kind->at_once(first->entry->provider);

	return at_once > 0 ? Max(at_once - rf_batches_at(first->entry->name), 0) : INT_MAX;
}

static int
gather_wishes(const RfMember *first, Wish *wishes, bool *waited_for, RfDispatcher *d)
{
	int			nwishes = 0;
	int64		until_us;
	ListCell   *lc;

	*waited_for = false;
	foreach(lc, rf_batch_members)
	{
		RfMember   *member = lfirst(lc);

		if (!is_together(member, first))
			continue;
		*waited_for |= rf_calls_await(d, member->flight->job->id, &until_us);
		for (int i = 0; i < member->nmissing; i++)
		{
			wishes[nwishes].item = member->missing[i];
			wishes[nwishes++].member = member;
		}
	}
	qsort(wishes, nwishes, sizeof(Wish), compare_wishes);
	return nwishes;
}

/* On disk with this claim, and on its way after it. */
static void
form_batch(RfDispatcher *d, RfMember *first, const Wish *wishes, int nwishes,
		   const char **items, int nitems, bool single)
{
	static int64 number = 0;
	int64	   *jobs = MemoryContextAllocHuge(CurrentMemoryContext, nwishes * sizeof(int64));
	int			njobs = 0;
	RfColumn	column;
	RfBatchRun *run;
	RfBatch		row;

	number++;
	for (int i = 0; i < nwishes; i++)
	{
		RfMember   *member = wishes[i].member;

		if (member->formed_for == number)
			continue;
		member->formed_for = number;
		member->leaves = true;
		jobs[njobs++] = member->flight->job->id;
	}
	rf_column_init(&column, TEXTOID);
	for (int i = 0; i < nitems; i++)
		rf_column_add(&column, CStringGetTextDatum(items[i]), false);

	memset(&row, 0, sizeof(row));
	row.task = unconstify(char *, first->kind->task);
	row.account = first->entry->name;
	row.single = single;
	row.step = RF_BATCH_SEND;
	row.page = 1;
	row.items_total = nitems;
	RF_FAULT("before_batch");
	rf_batch_insert(&row, d->activation.installation, rf_column_array(&column), jobs, njobs,
					(int64) d->incarnation);
	run = rf_batches_run(&row);
	run->formed = true;
	rf_batches_take_off(d, run, first->entry);
	run->items = MemoryContextAllocHuge(run->flight->context, nitems * sizeof(char *));
	run->nitems = nitems;
	for (int i = 0; i < nitems; i++)
		run->items[i] = MemoryContextStrdup(run->flight->context, items[i]);
}

static int
compare_wishes(const void *a, const void *b)
{
	return strcmp(((const Wish *) a)->item, ((const Wish *) b)->item);
}

/* May they be asked for in one batch? */
static bool
is_together(const RfMember *a, const RfMember *b)
{
	return a->kind == b->kind && a->entry == b->entry && !a->leaves && !a->gone && a->nmissing > 0;
}

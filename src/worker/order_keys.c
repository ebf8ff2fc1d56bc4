/*-------------------------------------------------------------------------
 *
 * order_keys.c
 *	  Order keys as the dispatcher uses them: which of their jobs may run.
 *
 * The table says whose turn it is (outbox/order.h); what stands here only
 * spares asking it again.  A key is looked at when one of its jobs has ended,
 * or waits again; when a commit has put one behind another, or taken one away;
 * and by sweeps, for all that nobody has told.  Its first job, if it is parked
 * and due, is claimed where it is (order_ready.c); else it is put into its lane
 * by the transaction that claims.
 *
 * IDENTIFICATION
 *	  src/worker/order_keys.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/order_keys.h"
#include "worker/order_ready.h"
#include "worker/order_table.h"
#include "worker/state.h"

#define KEYS_AT_ONCE	500		/* looked at by one claim */
#define LOCKED_US		INT64CONST(50000)	/* somebody had it locked: again
											 * then */

static dlist_head later = DLIST_STATIC_INIT(later); /* were locked */
static int64 later_until_us = 0;

/* Changed by the claim under way: looked at, and taken. */
static List *looked_at = NIL;	/* of RfOrderEntry */
static List *taken = NIL;

static void see_ended(RfOrderEntry *entry, int64 id);
static void make_ready(RfDispatcher *d, RfOrderEntry *entry, RfOrderHead *head);
static void found_head(RfDispatcher *d, RfOrderEntry *entry, const RfOrderHead *head);
static void look_later(RfOrderEntry *entry);
static void take(RfDispatcher *d, RfOrderEntry *entry, int64 id);
static void remember(List **list, RfOrderEntry *entry);
static void drop(RfClaimedJob *job);

void
rf_order_keys_hint(int64 lane, int64 id)
{
	RfOrderEntry *entry = rf_order_table_enter(lane, NULL, NULL);

	entry->key.last = 0;
	if (entry->key.running == 0 && entry->key.chosen != 0 && id > entry->key.chosen)
		return;
	entry->key.low = Min(entry->key.low, id);
	if (entry->key.running != 0)
		return;					/* looked at when that one has ended */
	entry->key.chosen = 0;
	rf_order_table_look_at(entry);
}

void
rf_order_keys_advance(RfDispatcher *d)
{
	RfOrderKey **keys = palloc(KEYS_AT_ONCE * sizeof(RfOrderKey *));
	RfOrderHead *heads = palloc(KEYS_AT_ONCE * sizeof(RfOrderHead));
	RfOrderEntry **entries = palloc(KEYS_AT_ONCE * sizeof(RfOrderEntry *));
	int			count = 0;

	if (!dlist_is_empty(&later) && rf_gate_now_us() >= later_until_us)
	{
		dlist_mutable_iter iter;

		dlist_foreach_modify(iter, &later)
		{
			dlist_delete(iter.cur);
			dlist_push_tail(&rf_order_to_do, iter.cur);
		}
	}
	while (count < KEYS_AT_ONCE && !dlist_is_empty(&rf_order_to_do))
	{
		RfOrderEntry *entry = dlist_container(RfOrderEntry, node, dlist_pop_head_node(&rf_order_to_do));

		entry->to_do = false;
		remember(&looked_at, entry);
		keys[count] = &entry->key;
		entries[count++] = entry;
	}
	if (count == 0)
		return;
	rf_order_find_names(keys, count);
	rf_order_find_heads(keys, count, heads);
	for (int i = 0; i < count; i++)
		make_ready(d, entries[i], &heads[i]);
	rf_order_let_go(heads, count);
	for (int i = 0; i < count; i++)
		found_head(d, entries[i], &heads[i]);
}

List *
rf_order_keys_claim_ready(RfDispatcher *d)
{
	List	   *missed;
	List	   *jobs = rf_order_ready_claim(d, &missed);
	ListCell   *lc;

	foreach(lc, missed)
	{
		RfOrderEntry *entry = lfirst(lc);

		entry->key.chosen = 0;
		if (entry->key.running == 0 && !entry->to_do)
			look_later(entry);
	}
	return rf_order_keys_sift(d, jobs);
}

List *
rf_order_keys_sift(RfDispatcher *d, List *jobs)
{
	int			njobs = list_length(jobs);
	RfClaimedJob **asked = palloc((njobs + 1) * sizeof(RfClaimedJob *));
	RfOrderKey **keys = palloc((njobs + 1) * sizeof(RfOrderKey *));
	bool	   *follows = palloc((njobs + 1) * sizeof(bool));
	bool	   *held = palloc((njobs + 1) * sizeof(bool));
	int			nasked = 0;
	int			nparked = 0;
	ListCell   *lc;

	foreach(lc, jobs)
	{
		RfClaimedJob *job = lfirst(lc);
		RfOrderEntry *entry;

		if (job->order_lane == 0)
			continue;
		entry = rf_order_table_enter(job->order_lane, job->role, job->order_key);
		if (entry->key.chosen == job->id && entry->key.running == 0)
		{
			take(d, entry, job->id);
			continue;
		}
		asked[nasked] = job;
		keys[nasked++] = &entry->key;
	}
	if (nasked == 0)
		return jobs;

	rf_order_check(asked, keys, nasked, follows, held);
	for (int i = 0; i < nasked; i++)
	{
		RfOrderEntry *entry = rf_order_table_find(asked[i]->order_lane);

		if (!follows[i] && !held[i])
		{
			take(d, entry, asked[i]->id);
			continue;
		}
		entry->key.low = entry->key.last = 0;
		if (!held[i])
			rf_order_table_look_at(entry);
		asked[nparked++] = asked[i];
	}
	if (nparked > 0)
		rf_order_park(asked, nparked, (int64) d->incarnation);
	for (int i = 0; i < nparked; i++)
	{
		jobs = list_delete_ptr(jobs, asked[i]);
		drop(asked[i]);
	}
	return jobs;
}

void
rf_order_keys_claimed(bool committed)
{
	List	   *served = rf_order_ready_forget_served();
	ListCell   *lc;

	foreach(lc, served)
		rf_order_table_look_at(lfirst(lc));
	list_free(served);
	foreach(lc, taken)
	{
		RfOrderEntry *entry = lfirst(lc);

		if (!committed)
			entry->key.running = entry->key.chosen = entry->key.low = entry->key.last = 0;
	}
	foreach(lc, looked_at)
	{
		RfOrderEntry *entry = lfirst(lc);

		if (!committed)
		{
			entry->key.chosen = entry->key.low = entry->key.last = 0;
			rf_order_table_look_at(entry);
		}
		else if (entry->empty && entry->key.running == 0 && !entry->to_do && entry->strand == NULL)
			rf_order_table_forget(entry);
		else
			entry->empty = false;
	}
	list_free(taken);
	list_free(looked_at);
	taken = NIL;
	looked_at = NIL;
}

bool
rf_order_keys_want_claim(void)
{
	return rf_order_keys_next_us() <= rf_gate_now_us();
}

int64
rf_order_keys_next_us(void)
{
	if (!dlist_is_empty(&rf_order_to_do))
		return 0;
	return dlist_is_empty(&later) ? INT64_MAX : later_until_us;
}

void
rf_order_keys_ended(int64 lane, int64 id)
{
	if (lane == 0)
		return;
	see_ended(rf_order_table_enter(lane, NULL, NULL), id);
}

void
rf_order_keys_gone(int64 lane, int64 id)
{
	RfOrderEntry *entry;

	if (lane == 0)
		return;
	entry = rf_order_table_enter(lane, NULL, NULL);
	if (entry->key.low == id)
		entry->key.low = id + 1;
	if (entry->key.last == id && entry->key.running == id && !entry->to_do && entry->strand == NULL)
		rf_order_table_forget(entry);
	else
		see_ended(entry, id);
}

static void
see_ended(RfOrderEntry *entry, int64 id)
{
	if (entry->key.running == id)
		entry->key.running = 0;
	entry->key.chosen = 0;
	rf_order_table_look_at(entry);
}

/* A head that is parked and due need not be put into its lane. */
static void
make_ready(RfDispatcher *d, RfOrderEntry *entry, RfOrderHead *head)
{
	bool		ready;

	head->parked &= entry->key.running == 0;
	ready = head->parked && head->lane != RF_LANE_ALONE && head->run_at <= GetCurrentTimestamp() &&
		rf_order_ready_add(d, entry, head);
	if (ready)
		head->parked = false;
	else
		rf_order_ready_remove(d, entry);
}

/* Whose turn it is, or what is in the way of knowing. */
static void
found_head(RfDispatcher *d, RfOrderEntry *entry, const RfOrderHead *head)
{
	entry->empty = head->id == 0;
	entry->key.last = head->last ? head->id : 0;
	if (head->id == 0)
	{
		entry->key.chosen = 0;
		entry->key.low = 0;
		return;
	}
	entry->key.low = head->id;
	if (head->running || entry->key.running != 0)
		return;
	if (head->parked && !head->let_go)
	{
		look_later(entry);
		return;
	}
	entry->key.chosen = head->id;
	if (head->let_go && !rf_lanes_lower(&d->lanes, head->lane, head->priority, head->run_at, head->id))
		d->look_everywhere = true;
}

/* Somebody has it locked: he may be ending it. */
static void
look_later(RfOrderEntry *entry)
{
	if (dlist_is_empty(&later))
		later_until_us = rf_gate_now_us() + LOCKED_US;
	entry->to_do = true;
	dlist_push_tail(&later, &entry->node);
}

static void
take(RfDispatcher *d, RfOrderEntry *entry, int64 id)
{
	rf_order_ready_remove(d, entry);
	entry->key.running = id;
	entry->key.chosen = id;
	entry->key.low = id;
	remember(&taken, entry);
}

static void
remember(List **list, RfOrderEntry *entry)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	*list = lappend(*list, entry);
	MemoryContextSwitchTo(old);
}

static void
drop(RfClaimedJob *job)
{
	MemoryContextDelete(GetMemoryChunkContext(job));
}

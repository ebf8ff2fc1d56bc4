/*-------------------------------------------------------------------------
 *
 * order_ready.c
 *	  Jobs of order keys that are claimed where they are parked.
 *
 * To put a job into its lane is a version of its row and an entry in each
 * index.  The dispatcher knows by its id whose turn it is, so it claims the job
 * in the lane where it is parked, by that id.  Until then it counts as one of
 * its strand: it keeps its place by priority and run_at.
 *
 * What stands here is forgotten with the process; the table says it again.  It
 * is only a candidate: the claim asks once more what it does not know.
 *
 * IDENTIFICATION
 *	  src/worker/order_ready.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/order_ready.h"
#include "worker/state.h"

#define READY_MAX	10000

typedef struct StrandKey
{
	int64		lane;
	int64		priority;		/* wide: no padding in a key */
} StrandKey;

/* The ready jobs of one strand. */
typedef struct RfReadyStrand
{
	StrandKey	key;			/* first */
	pairingheap *jobs;			/* of RfOrderEntry, by run_at and id */
	int			njobs;
} RfReadyStrand;

static HTAB *strands = NULL;
static int	nready = 0;
static List *served = NIL;		/* of RfOrderEntry, by the claim under way */

static RfReadyStrand *strand_of(int64 lane, int priority, bool make);
static int	compare_entries(const pairingheap_node *a, const pairingheap_node *b, void *arg);
static RfOrderEntry *first_of(const RfReadyStrand *ready);
static void take_out(RfDispatcher *d, RfOrderEntry *entry);
static void tell_lanes(RfDispatcher *d, const RfReadyStrand *ready);

bool
rf_order_ready_add(RfDispatcher *d, RfOrderEntry *entry, const RfOrderHead *head)
{
	RfStrand   *strand;

	if (entry->strand != NULL && entry->ready.id == head->id && entry->ready_run_at == head->run_at)
	{
		entry->ready.at = head->at;
		return true;
	}
	rf_order_ready_remove(d, entry);
	if (nready >= READY_MAX)
		return false;
	strand = rf_lanes_get(&d->lanes, head->lane, head->priority);
	if (strand == NULL)
		return false;
	if (strand->route < 0)
		rf_lookout_remember_route(strand, &head->job, NULL);
	entry->strand = strand_of(head->lane, head->priority, true);
	entry->ready.id = head->id;
	entry->ready.at = head->at;
	entry->ready_run_at = head->run_at;
	pairingheap_add(entry->strand->jobs, &entry->ready_node);
	entry->strand->njobs++;
	nready++;
	tell_lanes(d, entry->strand);
	return true;
}

void
rf_order_ready_remove(RfDispatcher *d, RfOrderEntry *entry)
{
	if (entry->strand != NULL)
		take_out(d, entry);
}

int
rf_order_ready_serve(RfDispatcher *d, RfStrand *strand, int room, TimestampTz now)
{
	int64		lane = strand->lane;
	int			priority = strand->priority;
	int			count = 0;
	RfReadyStrand *ready = strand->ready_at == RF_LANES_NEVER ? NULL : strand_of(lane, priority, false);

	for (; ready != NULL && count < room; ready = strand_of(lane, priority, false))
	{
		RfOrderEntry *entry = first_of(ready);
		MemoryContext old;

		if (entry->ready_run_at > now)
			break;
		if (count == 0 && (strand->run_at < entry->ready_run_at ||
						   (strand->run_at == entry->ready_run_at && strand->id < entry->ready.id)))
			break;
		take_out(d, entry);
		entry->served = true;
		old = MemoryContextSwitchTo(TopMemoryContext);
		served = lappend(served, entry);
		MemoryContextSwitchTo(old);
		count++;
	}
	return count;
}

List *
rf_order_ready_claim(RfDispatcher *d, List **missed)
{
	RfOrderPlace *places = palloc((list_length(served) + 1) * sizeof(RfOrderPlace));
	int			nplaces = 0;
	List	   *jobs;
	ListCell   *lc;

	*missed = NIL;
	if (served == NIL)
		return NIL;
	foreach(lc, served)
		places[nplaces++] = ((RfOrderEntry *) lfirst(lc))->ready;
	jobs = rf_order_claim((int64) d->incarnation, places, nplaces, GetCurrentTimestamp(), d->claim_context);
	foreach(lc, jobs)
	{
		RfOrderEntry *entry = rf_order_table_find(((RfClaimedJob *) lfirst(lc))->order_lane);

		if (entry != NULL)
			entry->served = false;
	}
	foreach(lc, served)
	{
		RfOrderEntry *entry = lfirst(lc);

		if (entry->served)
			*missed = lappend(*missed, entry);
		entry->served = false;
	}
	list_free(served);
	served = NIL;
	return jobs;
}

int
rf_order_ready_count(const RfStrand *strand)
{
	RfReadyStrand *ready = strand_of(strand->lane, strand->priority, false);

	return ready != NULL ? ready->njobs : 0;
}

List *
rf_order_ready_forget_served(void)
{
	List	   *entries = served;
	ListCell   *lc;

	foreach(lc, entries)
		((RfOrderEntry *) lfirst(lc))->served = false;
	served = NIL;
	return entries;
}

/* NULL: it has none. */
static RfReadyStrand *
strand_of(int64 lane, int priority, bool make)
{
	StrandKey	key = {lane, priority};
	RfReadyStrand *ready;
	bool		known;

	if (strands == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(StrandKey),.entrysize = sizeof(RfReadyStrand),.hcxt = TopMemoryContext};

		strands = hash_create("roleferry ready jobs of order keys", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (!make)
		return hash_search(strands, &key, HASH_FIND, NULL);
	ready = hash_search(strands, &key, HASH_ENTER, &known);
	if (!known)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		ready->jobs = pairingheap_allocate(compare_entries, NULL);
		ready->njobs = 0;
		MemoryContextSwitchTo(old);
	}
	return ready;
}

/* A pairing heap has the largest first. */
static int
compare_entries(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	const RfOrderEntry *ea = pairingheap_const_container(RfOrderEntry, ready_node, a);
	const RfOrderEntry *eb = pairingheap_const_container(RfOrderEntry, ready_node, b);

	if (ea->ready_run_at != eb->ready_run_at)
		return ea->ready_run_at < eb->ready_run_at ? 1 : -1;
	return ea->ready.id < eb->ready.id ? 1 : (ea->ready.id > eb->ready.id ? -1 : 0);
}

static RfOrderEntry *
first_of(const RfReadyStrand *ready)
{
	return pairingheap_container(RfOrderEntry, ready_node, pairingheap_first(ready->jobs));
}

static void
take_out(RfDispatcher *d, RfOrderEntry *entry)
{
	RfReadyStrand *ready = entry->strand;

	pairingheap_remove(ready->jobs, &entry->ready_node);
	ready->njobs--;
	entry->strand = NULL;
	nready--;
	tell_lanes(d, ready);
	if (pairingheap_is_empty(ready->jobs))
	{
		StrandKey	key = ready->key;

		pairingheap_free(ready->jobs);
		(void) hash_search(strands, &key, HASH_REMOVE, NULL);
	}
}

/* A strand with ready jobs is not forgotten, so it is there. */
static void
tell_lanes(RfDispatcher *d, const RfReadyStrand *ready)
{
	RfStrand   *strand = rf_lanes_get(&d->lanes, ready->key.lane, (int) ready->key.priority);

	rf_lanes_set_ready(&d->lanes, strand,
					   pairingheap_is_empty(ready->jobs) ? RF_LANES_NEVER : first_of(ready)->ready_run_at);
}

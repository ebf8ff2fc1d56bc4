/*-------------------------------------------------------------------------
 *
 * depth.c
 *	  How many jobs a queue may hold.
 *
 * A counter in shared memory, kept for queues that have a max_depth: commits
 * add to it, whoever ends jobs takes off.  It knows nothing of jobs that come
 * or go by another way, so it decides only that there is room.  When it says
 * that there is none, the rows are counted, once a second at most, and the
 * counter is set right.  So a queue is never called full that is not, and may
 * be over its bound by what transactions under way have put in.
 *
 * IDENTIFICATION
 *	  src/outbox/depth.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "outbox/depth.h"
#include "outbox/routing.h"
#include "shmem/stat_queue.h"

#define MAX_PENDING		16		/* queues with a bound in one transaction */
#define TRUST_US		INT64CONST(1000000) /* in a count */

/* What this transaction has put in. */
typedef struct Pending
{
	RfStatQueue *place;
	int64		count;
	bool		warned;
} Pending;

static Pending pending[MAX_PENDING];
static int	npending = 0;

static Pending *pending_of(RfStatQueue *place);
static int64 depth_of(RfStatQueue *place, const RfQueue *queue, int64 ours);
static int64 count_rows(const RfQueue *queue);
static bool is_of_queue(TupleTableSlot *slot, AttrNumber column, const char *name);
static void complain(const RfQueue *queue, int64 depth, int level);
static void at_transaction_end(XactEvent event, void *arg);

void
rf_depth_enter(const char *name, bool must)
{
	const RfQueue *queue = rf_routing_find(name);
	RfStatQueue *place;
	Pending    *mine;
	int64		depth;

	if (queue == NULL || queue->max_depth == 0)
		return;
	place = rf_stat_queue_place(MyDatabaseId, name);
	mine = pending_of(place);
	depth = must ? 0 : depth_of(place, queue, mine->count);
	if (depth >= queue->max_depth)
	{
		if (!queue->only_warns)
			complain(queue, depth, ERROR);
		if (!mine->warned)
			complain(queue, depth, WARNING);
		mine->warned = true;
	}
	mine->count++;
}

/* There is one for all that find no place. */
static Pending *
pending_of(RfStatQueue *place)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(at_transaction_end, NULL);
	registered = true;
	for (int i = 0; i < npending; i++)
		if (pending[i].place == place)
			return &pending[i];
	if (npending == MAX_PENDING)
	{
		/* Counted too early: no harm but a count of the rows. */
		if (pending[MAX_PENDING - 1].place != NULL)
			rf_stat_queue_add(pending[MAX_PENDING - 1].place, pending[MAX_PENDING - 1].count);
		npending--;
	}
	memset(&pending[npending], 0, sizeof(Pending));
	pending[npending].place = place;
	return &pending[npending++];
}

/* With those of this transaction. */
static int64
depth_of(RfStatQueue *place, const RfQueue *queue, int64 ours)
{
	TimestampTz now;
	TimestampTz at;
	int64		held;
	int64		found;

	if (place == NULL)
		return count_rows(queue) + ours;
	held = rf_stat_queue_held(place, &at);
	if (at != 0 && held + ours < queue->max_depth)
		return held + ours;
	now = GetCurrentTimestamp();
	if (at != 0 && now - at < TRUST_US && at <= now)
		return held + ours;
	found = count_rows(queue);
	rf_stat_queue_recounted(place, held, found, now);
	return found + ours;
}

/* Committed by others, as it is now; no further than to the bound. */
static int64
count_rows(const RfQueue *queue)
{
	Oid			schema = get_namespace_oid("roleferry", false);
	Relation	outbox = table_open(get_relname_relid("outbox", schema), AccessShareLock);
	AttrNumber	column = get_attnum(RelationGetRelid(outbox), "queue");
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(outbox, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(outbox, NULL);
	int64		count = 0;

	while (count < queue->max_depth && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (is_of_queue(slot, column, queue->name))
			count++;
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(outbox, AccessShareLock);
	return count;
}

/* Those of this transaction are counted apart. */
static bool
is_of_queue(TupleTableSlot *slot, AttrNumber column, const char *name)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column, &isnull);
	text	   *queue;
	bool		same;
	Datum		xmin;

	if (isnull)
		return false;
	queue = DatumGetTextPP(value);
	same = VARSIZE_ANY_EXHDR(queue) == strlen(name) &&
		memcmp(VARDATA_ANY(queue), name, strlen(name)) == 0;
	if (queue != (text *) DatumGetPointer(value))
		pfree(queue);
	if (!same)
		return false;
	xmin = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull);
	return !TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin));
}

static void
complain(const RfQueue *queue, int64 depth, int level)
{
	ereport(level,
			(errcode(RF_ERRCODE_LIMIT),
			 errmsg("queue \"%s\" is full", queue->name),
			 errdetail("It holds " INT64_FORMAT " jobs, and its max_depth is " INT64_FORMAT ".",
					   depth, queue->max_depth),
			 errhint("It takes more when some have ended; or raise max_depth in roleferry.queue.")));
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	bool		kept = event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE;

	if (npending == 0 || (!kept && event != XACT_EVENT_ABORT))
		return;
	for (int i = 0; i < npending && kept; i++)
		if (pending[i].place != NULL)
			rf_stat_queue_add(pending[i].place, pending[i].count);
	npending = 0;
}

/*-------------------------------------------------------------------------
 *
 * routing.c
 *	  The tables route and queue, as a process that enqueues sees them.
 *
 * A copy in memory, since it is asked for each job.  Triggers of both tables
 * send an invalidation of their relation, which reaches this process at its
 * next command and the others when the transaction commits, and comes again
 * when it is rolled back: so the copy is right within the caller's transaction,
 * too.  They are read as catalogs are, by what is committed now: what the
 * snapshot of an old transaction shows must not stay in the copy.
 *
 * IDENTIFICATION
 *	  src/outbox/routing.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "core/glob.h"
#include "errors.h"
#include "outbox/routing.h"

typedef struct Route
{
	int			rank;
	char	   *pattern;
	char	   *queue;
} Route;

static Oid	route_table = InvalidOid;
static Oid	queue_table = InvalidOid;
static bool fresh = false;		/* the copy is what the tables hold */
static MemoryContext copy = NULL;
static List *routes = NIL;		/* of Route, in the order they are tried */
static List *queues = NIL;		/* of RfQueue, by name */

static void refresh(void);
static void forget(Datum arg, Oid relation);
static Relation open_table(const char *name, Oid *oid);
static List *read_table(Relation table, void *(*read_row) (HeapTuple tuple, TupleDesc desc));
static void *read_route(HeapTuple tuple, TupleDesc desc);
static void *read_queue(HeapTuple tuple, TupleDesc desc);
static Datum value_of(HeapTuple tuple, TupleDesc desc, const char *name, bool *isnull);
static char *text_of(HeapTuple tuple, TupleDesc desc, const char *name);
static int	compare_routes(const ListCell *a, const ListCell *b);
static int	compare_queues(const ListCell *a, const ListCell *b);

const char *
rf_routing_queue_of(const char *task)
{
	ListCell   *lc;

	refresh();
	foreach(lc, routes)
	{
		const Route *route = lfirst(lc);

		if (rf_glob_match(route->pattern, task))
			return route->queue;
	}
	return RF_DEFAULT_QUEUE;
}

const RfQueue *
rf_routing_find(const char *queue)
{
	ListCell   *lc;

	refresh();
	foreach(lc, queues)
	{
		const RfQueue *found = lfirst(lc);

		if (strcmp(found->name, queue) == 0)
			return found;
	}
	return NULL;
}

char *
rf_routing_names(void)
{
	StringInfoData names;
	ListCell   *lc;

	refresh();
	initStringInfo(&names);
	foreach(lc, queues)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", ((RfQueue *) lfirst(lc))->name);
	return names.data;
}

/* An invalidation that comes while the tables are read makes it be done again. */
static void
refresh(void)
{
	static bool watching = false;
	MemoryContext context;
	MemoryContext old;
	Relation	route;
	Relation	queue;

	if (fresh)
		return;
	if (!watching)
	{
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
		watching = true;
	}
	route = open_table("route", &route_table);
	queue = open_table("queue", &queue_table);
	fresh = true;
	context = AllocSetContextCreate(CurrentMemoryContext, "roleferry routes", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	routes = NIL;
	queues = NIL;
	PG_TRY();
	{
		routes = read_table(route, read_route);
		queues = read_table(queue, read_queue);
	}
	PG_CATCH();
	{
		fresh = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	list_sort(routes, compare_routes);
	list_sort(queues, compare_queues);
	MemoryContextSwitchTo(old);
	table_close(queue, NoLock);
	table_close(route, NoLock);

	MemoryContextSetParent(context, TopMemoryContext);
	if (copy != NULL)
		MemoryContextDelete(copy);
	copy = context;
}

static void
forget(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == route_table || relation == queue_table)
		fresh = false;
}

static Relation
open_table(const char *name, Oid *oid)
{
	*oid = get_relname_relid(name, get_namespace_oid("roleferry", false));
	if (!OidIsValid(*oid))
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("the table roleferry.%s does not exist", name),
				 errhint("The extension is of another version than the library: ALTER EXTENSION roleferry UPDATE.")));
	return table_open(*oid, AccessShareLock);
}

static List *
read_table(Relation table, void *(*read_row) (HeapTuple tuple, TupleDesc desc))
{
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	List	   *rows = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		void	   *row = read_row(tuple, RelationGetDescr(table));

		if (row != NULL)
			rows = lappend(rows, row);
	}
	systable_endscan(scan);
	return rows;
}

/* One without a queue is switched off. */
static void *
read_route(HeapTuple tuple, TupleDesc desc)
{
	Route	   *route = palloc0(sizeof(Route));
	bool		isnull;

	route->rank = DatumGetInt32(value_of(tuple, desc, "rank", &isnull));
	route->pattern = text_of(tuple, desc, "pattern");
	route->queue = text_of(tuple, desc, "queue");
	return route->queue != NULL && route->pattern != NULL ? route : NULL;
}

static void *
read_queue(HeapTuple tuple, TupleDesc desc)
{
	RfQueue    *queue = palloc0(sizeof(RfQueue));
	char	   *on_full;
	bool		isnull;

	queue->name = text_of(tuple, desc, "name");
	queue->max_priority = DatumGetInt16(value_of(tuple, desc, "max_priority", &isnull));
	queue->max_depth = DatumGetInt32(value_of(tuple, desc, "max_depth", &isnull));
	on_full = text_of(tuple, desc, "on_full");
	queue->only_warns = on_full != NULL && strcmp(on_full, "warning") == 0;
	return queue->name != NULL ? queue : NULL;
}

/* By name: whoever owns the table may have added a column. */
static Datum
value_of(HeapTuple tuple, TupleDesc desc, const char *name, bool *isnull)
{
	int			column = SPI_fnumber(desc, name);
	Datum		value;

	if (column <= 0)
		elog(ERROR, "column \"%s\" is missing", name);
	value = heap_getattr(tuple, column, desc, isnull);
	return *isnull ? (Datum) 0 : value;
}

static char *
text_of(HeapTuple tuple, TupleDesc desc, const char *name)
{
	bool		isnull;
	Datum		value = value_of(tuple, desc, name, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static int
compare_routes(const ListCell *a, const ListCell *b)
{
	const Route *ra = lfirst(a);
	const Route *rb = lfirst(b);

	if (ra->rank != rb->rank)
		return ra->rank < rb->rank ? -1 : 1;
	return strcmp(ra->pattern, rb->pattern);
}

static int
compare_queues(const ListCell *a, const ListCell *b)
{
	return strcmp(((const RfQueue *) lfirst(a))->name, ((const RfQueue *) lfirst(b))->name);
}

/*-------------------------------------------------------------------------
 *
 * target.c
 *	  The outbox, opened for rows that are put into it without a statement.
 *
 * Describing a table and its indexes to the executor's helpers costs as much
 * as writing to them.  So the description is kept by the process, until the
 * relation cache hears of a change of the outbox or one of its indexes: at the
 * next command if this transaction made it, again when it is rolled back, and
 * when the outbox is locked if somebody else made it.  Nothing is held: both
 * are opened and let go for each row, so that ALTER TABLE can go on between
 * two rows of one transaction.  Locks stay until its end, those of the indexes,
 * too: whoever wants an index for himself has to wait for the table's anyway,
 * and the next row takes them without asking shared memory.
 *
 * An index with an expression or a condition may call functions, which change
 * without the index, and may even enqueue; that of another kind may keep
 * something between two rows.  With such a one each row has a description of
 * its own.
 *
 * IDENTIFICATION
 *	  src/outbox/target.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "outbox/relation.h"
#include "outbox/shape.h"
#include "outbox/target.h"

static RfTarget *kept = NULL;
static bool describing = false;
static uint64 changes = 0;		/* that concern what is kept */
static uint64 kept_changes;		/* as of its description */

static void watch(void);
static void note_change(Datum arg, Oid relation);
static bool concerns(const RfTarget *target, Oid relation);
static RfTarget *describe(Relation outbox);
static int	wanted_column(const IndexInfo *info);
static bool may_be_kept(const RfTarget *target);
static bool is_plain_condition(List *clauses);
static void open_indexes(RfTarget *target);
static void close_indexes(RfTarget *target);
static void keep(RfTarget *target);

RfTarget *
rf_target_open(void)
{
	Relation	outbox = table_open(rf_relation_oid(RF_RELATION_OUTBOX), RowExclusiveLock);
	RfTarget   *target;
	uint64		seen;

	if (kept != NULL && kept->outbox == RelationGetRelid(outbox) && kept_changes == changes)
	{
		kept->result->ri_RelationDesc = outbox;
		ExecClearTuple(kept->row);
		return kept;
	}
	if (!rf_shape_is_outbox(outbox) || outbox->rd_tableam != GetHeapamTableAmRoutine())
	{
		table_close(outbox, NoLock);
		return NULL;
	}
	watch();
	seen = changes;
	describing = true;
	target = describe(outbox);
	describing = false;
	if (target->keeps)
	{
		keep(target);
		kept_changes = seen;
	}
	return target;
}

void
rf_target_close(RfTarget *target)
{
	ExecClearTuple(target->row);
	ResetPerTupleExprContext(target->estate);
	table_close(target->result->ri_RelationDesc, NoLock);
	if (target != kept)
		MemoryContextDelete(target->context);
}

void
rf_target_insert(RfTarget *target)
{
	TupleTableSlot *row = target->row;
	HeapTuple	tuple = heap_form_tuple(row->tts_tupleDescriptor, row->tts_values, row->tts_isnull);

	open_indexes(target);
	simple_heap_insert(target->result->ri_RelationDesc, tuple);
	row->tts_tid = tuple->t_self;
	row->tts_tableOid = target->outbox;
	heap_freetuple(tuple);
	(void) rf_insert_index_tuples(target->result, row, target->estate);
	close_indexes(target);
}

/* Once a process: callbacks cannot be taken back. */
static void
watch(void)
{
	static bool watching = false;

	if (!watching)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	watching = true;
}

/* While a description is made, nobody knows yet what it will depend on. */
static void
note_change(Datum arg, Oid relation)
{
	if (relation == InvalidOid || describing || (kept != NULL && concerns(kept, relation)))
		changes++;
}

static bool
concerns(const RfTarget *target, Oid relation)
{
	if (relation == target->outbox)
		return true;
	for (int i = 0; i < target->nindexes; i++)
		if (relation == target->indexes[i])
			return true;
	return false;
}

static RfTarget *
describe(Relation outbox)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "roleferry outbox",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RfTarget   *target = palloc0(sizeof(RfTarget));
	ResultRelInfo *result = makeNode(ResultRelInfo);

	target->context = context;
	target->outbox = RelationGetRelid(outbox);
	target->estate = CreateExecutorState();
	target->row = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(outbox)), &TTSOpsVirtual);
	target->result = result;
	InitResultRelInfo(result, outbox, 0, NULL, 0);
	ExecOpenIndices(result, false);
	target->nindexes = result->ri_NumIndices;
	target->indexes = palloc(target->nindexes * sizeof(Oid));
	target->wanted = palloc(target->nindexes * sizeof(int));
	for (int i = 0; i < target->nindexes; i++)
	{
		target->indexes[i] = RelationGetRelid(result->ri_IndexRelationDescs[i]);
		target->wanted[i] = wanted_column(result->ri_IndexRelationInfo[i]);
	}
	target->keeps = may_be_kept(target);
	for (int i = 0; i < target->nindexes; i++)
		index_close(result->ri_IndexRelationDescs[i], NoLock);
	MemoryContextSwitchTo(old);
	return target;
}

/* Ours are for jobs that have an expiry, or an order key. */
static int
wanted_column(const IndexInfo *info)
{
	const NullTest *test;

	if (list_length(info->ii_Predicate) != 1 || !is_plain_condition(info->ii_Predicate))
		return 0;
	test = linitial(info->ii_Predicate);
	return test->nulltesttype == IS_NOT_NULL ? castNode(Var, test->arg)->varattno : 0;
}

static bool
may_be_kept(const RfTarget *target)
{
	for (int i = 0; i < target->nindexes; i++)
	{
		const IndexInfo *info = target->result->ri_IndexRelationInfo[i];

		if (target->result->ri_IndexRelationDescs[i]->rd_rel->relam != BTREE_AM_OID ||
			info->ii_Expressions != NIL || !is_plain_condition(info->ii_Predicate))
			return false;
	}
	return true;
}

/* Has a column a value, or none? */
static bool
is_plain_condition(List *clauses)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		const NullTest *test = lfirst(lc);

		if (!IsA(test, NullTest) || !IsA(test->arg, Var))
			return false;
	}
	return true;
}

/*
 * None of them can go while the outbox is locked.  Those that the row is not
 * for are left alone.
 */
static void
open_indexes(RfTarget *target)
{
	for (int i = 0; i < target->nindexes; i++)
	{
		int			wanted = target->wanted[i];

		target->result->ri_IndexRelationDescs[i] =
			wanted > 0 && target->row->tts_isnull[wanted - 1] ? NULL :
			index_open(target->indexes[i], RowExclusiveLock);
	}
}

static void
close_indexes(RfTarget *target)
{
	for (int i = 0; i < target->nindexes; i++)
	{
		Relation	index = target->result->ri_IndexRelationDescs[i];

		if (index == NULL)
			continue;
		rf_index_insert_cleanup(index, target->result->ri_IndexRelationInfo[i]);
		index_close(index, NoLock);
	}
}

static void
keep(RfTarget *target)
{
	MemoryContextSetParent(target->context, TopMemoryContext);
	if (kept != NULL)
		MemoryContextDelete(kept->context);
	kept = target;
}

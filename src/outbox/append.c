/*-------------------------------------------------------------------------
 *
 * append.c
 *	  Putting a new job's row into the outbox without a statement.
 *
 * An INSERT through SPI starts an executor for each row, which reads the CHECK
 * constraints from their text anew, and runs a trigger that finds its work
 * done: half of what enqueueing costs.  A row of ours has been checked, knows
 * all its columns and has no trigger to fear; so it goes to the table and its
 * indexes directly, the way logical replication applies one.
 *
 * That holds for the outbox as we made it.  Where somebody has added to it,
 * the caller's statement does the work.
 *
 * IDENTIFICATION
 *	  src/outbox/append.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "outbox/append.h"

/* What rf_job_check() and the parameters' checks stand for. */
#define KNOWN_CHECKS	4

/* An incarnation that no dispatcher has. */
#define NOBODY			0

typedef enum OutboxColumn
{
	COLUMN_ID,
	COLUMN_LANE,
	COLUMN_RUN_AT,
	COLUMN_CREATED_AT,
	COLUMN_CLAIMED_AT,
	COLUMN_EXPIRES_AT,
	COLUMN_WORKER,
	COLUMN_ATTEMPTS,
	COLUMN_FAILURES,
	COLUMN_MAX_ATTEMPTS,
	COLUMN_PRIORITY,
	COLUMN_CRASHES,
	COLUMN_DELIVERY,
	COLUMN_TASK,
	COLUMN_ROLE,
	COLUMN_QUEUE,
	COLUMN_TENANT_KEY,
	COLUMN_ORDER_KEY,
	COLUMN_IDEMPOTENCY_KEY,
	COLUMN_ON_DONE,
	COLUMN_ACCOUNTS,
	COLUMN_ARGS,
	COLUMN_MODE
} OutboxColumn;

/* In the table's order, which a dump restores, too. */
static const struct
{
	const char *name;
	Oid			type;
}			columns[] = {
	{"id", INT8OID},
	{"lane", INT8OID},
	{"run_at", TIMESTAMPTZOID},
	{"created_at", TIMESTAMPTZOID},
	{"claimed_at", TIMESTAMPTZOID},
	{"expires_at", TIMESTAMPTZOID},
	{"worker", INT8OID},
	{"attempts", INT4OID},
	{"failures", INT4OID},
	{"max_attempts", INT4OID},
	{"priority", INT2OID},
	{"crashes", INT2OID},
	{"delivery", TEXTOID},
	{"task", TEXTOID},
	{"role", TEXTOID},
	{"queue", TEXTOID},
	{"tenant_key", TEXTOID},
	{"order_key", TEXTOID},
	{"idempotency_key", TEXTOID},
	{"on_done", TEXTOID},
	{"accounts", TEXTARRAYOID},
	{"args", JSONBOID},
	{"mode", TEXTOID}
};

#define NCOLUMNS ((int) lengthof(columns))

static bool append(const RfJobDraft *draft, int64 id, int64 incarnation);
static bool is_as_we_made_it(Relation outbox);
static bool has_only_our_trigger(const TriggerDesc *triggers);
static void fill_slot(TupleTableSlot *slot, const RfJobDraft *draft, int64 id);
static void claim_slot(TupleTableSlot *slot, int64 incarnation);
static void set_value(TupleTableSlot *slot, OutboxColumn column, Datum value);
static void set_text(TupleTableSlot *slot, OutboxColumn column, const char *value);
static void insert_slot(Relation outbox, EState *estate, TupleTableSlot *slot);

bool
rf_append_waiting(const RfJobDraft *draft, int64 id)
{
	return append(draft, id, NOBODY);
}

bool
rf_append_running(const RfJobDraft *draft, int64 id, int64 incarnation)
{
	return append(draft, id, incarnation);
}

static bool
append(const RfJobDraft *draft, int64 id, int64 incarnation)
{
	Oid			schema = get_namespace_oid("roleferry", false);
	Relation	outbox = table_open(get_relname_relid("outbox", schema), RowExclusiveLock);
	bool		possible = is_as_we_made_it(outbox);

	if (possible)
	{
		EState	   *estate;
		TupleTableSlot *slot;
		Oid			userid;
		int			context;

		PreventCommandIfReadOnly("INSERT");
		PreventCommandIfParallelMode("INSERT");
		GetUserIdAndSecContext(&userid, &context);
		SetUserIdAndSecContext(outbox->rd_rel->relowner,
							   context | SECURITY_LOCAL_USERID_CHANGE);
		estate = CreateExecutorState();
		slot = table_slot_create(outbox, &estate->es_tupleTable);
		fill_slot(slot, draft, id);
		if (incarnation != NOBODY)
			claim_slot(slot, incarnation);
		insert_slot(outbox, estate, slot);
		ExecResetTupleTable(estate->es_tupleTable, false);
		FreeExecutorState(estate);
		SetUserIdAndSecContext(userid, context);
	}
	table_close(outbox, NoLock);
	return possible;
}

/* Asked for each row: it is a handful of comparisons. */
static bool
is_as_we_made_it(Relation outbox)
{
	TupleDesc	desc = RelationGetDescr(outbox);

	if (outbox->rd_rel->relkind != RELKIND_RELATION ||
		outbox->rd_rel->relispartition || outbox->rd_rel->relrowsecurity ||
		outbox->rd_rules != NULL || !has_only_our_trigger(outbox->trigdesc) ||
		desc->natts != NCOLUMNS || desc->constr == NULL ||
		desc->constr->num_check != KNOWN_CHECKS)
		return false;
	for (int i = 0; i < NCOLUMNS; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped || column->attgenerated != '\0' ||
			column->atttypid != columns[i].type ||
			strcmp(NameStr(column->attname), columns[i].name) != 0)
			return false;
	}
	return true;
}

static bool
has_only_our_trigger(const TriggerDesc *triggers)
{
	return triggers != NULL && triggers->numtriggers == 1 &&
		triggers->trig_insert_before_row;
}

static void
fill_slot(TupleTableSlot *slot, const RfJobDraft *draft, int64 id)
{
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, NCOLUMNS * sizeof(bool));
	set_value(slot, COLUMN_ID, Int64GetDatum(id));
	set_value(slot, COLUMN_LANE, Int64GetDatum(draft->lane));
	set_value(slot, COLUMN_RUN_AT, TimestampTzGetDatum(draft->run_at));
	set_value(slot, COLUMN_CREATED_AT,
			  TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()));
	if (draft->expires_at != DT_NOEND)
		set_value(slot, COLUMN_EXPIRES_AT, TimestampTzGetDatum(draft->expires_at));
	set_value(slot, COLUMN_ATTEMPTS, Int32GetDatum(0));
	set_value(slot, COLUMN_FAILURES, Int32GetDatum(0));
	if (draft->max_attempts != 0)
		set_value(slot, COLUMN_MAX_ATTEMPTS, Int32GetDatum(draft->max_attempts));
	set_value(slot, COLUMN_PRIORITY, Int16GetDatum((int16) draft->priority));
	set_value(slot, COLUMN_CRASHES, Int16GetDatum(0));
	set_text(slot, COLUMN_DELIVERY, draft->effective_delivery);
	set_text(slot, COLUMN_TASK, draft->task);
	set_text(slot, COLUMN_ROLE, draft->role);
	set_text(slot, COLUMN_QUEUE, draft->effective_queue);
	set_text(slot, COLUMN_TENANT_KEY, draft->tenant_key);
	set_text(slot, COLUMN_ORDER_KEY, draft->order_key);
	set_text(slot, COLUMN_IDEMPOTENCY_KEY, draft->idempotency_key);
	set_text(slot, COLUMN_ON_DONE, draft->on_done);
	set_value(slot, COLUMN_ACCOUNTS, rf_job_accounts_array(draft));
	set_value(slot, COLUMN_ARGS, JsonbPGetDatum(draft->args));
	set_text(slot, COLUMN_MODE, rf_job_mode_column(draft));
	ExecStoreVirtualTuple(slot);
}

/* As if the dispatcher had claimed what was waiting. */
static void
claim_slot(TupleTableSlot *slot, int64 incarnation)
{
	set_value(slot, COLUMN_WORKER, Int64GetDatum(incarnation));
	set_value(slot, COLUMN_ATTEMPTS, Int32GetDatum(1));
	set_value(slot, COLUMN_CLAIMED_AT,
			  TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()));
}

static void
set_value(TupleTableSlot *slot, OutboxColumn column, Datum value)
{
	slot->tts_values[column] = value;
	slot->tts_isnull[column] = false;
}

static void
set_text(TupleTableSlot *slot, OutboxColumn column, const char *value)
{
	if (value != NULL)
		set_value(slot, column, CStringGetTextDatum(value));
}

/*
 * Locks of the indexes stay, as the table's does: whoever wants an index for
 * himself has to wait for that one anyway, and the transaction's next row takes
 * them without asking shared memory.
 */
static void
insert_slot(Relation outbox, EState *estate, TupleTableSlot *slot)
{
	ResultRelInfo *target = makeNode(ResultRelInfo);

	InitResultRelInfo(target, outbox, 0, NULL, 0);
	ExecOpenIndices(target, false);
	simple_table_tuple_insert(outbox, slot);
	(void) rf_insert_index_tuples(target, slot, estate);
	for (int i = 0; i < target->ri_NumIndices; i++)
		index_close(target->ri_IndexRelationDescs[i], NoLock);
}

/*-------------------------------------------------------------------------
 *
 * sent.c
 *	  What was sent goes from the outbox to roleferry.message without a statement.
 *
 * A statement that deletes and inserts costs its executor's start and, for
 * each job, what arrays, joins and triggers' hooks take: more than the two
 * tables do.  This is the ending of nearly every mail, so each is looked up by
 * its key, deleted, and put into the other table, many at a time, the way
 * logical replication applies such changes.
 *
 * That holds for the tables as we made them; and for a row that nobody else
 * writes to at this moment.  Otherwise the caller's statement does the work.
 *
 * IDENTIFICATION
 *	  src/outbox/sent.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "outbox/sent.h"
#include "outbox/settle.h"
#include "outbox/shape.h"
#include "outbox/statement.h"

/* Rows that are put into the table at once. */
#define ROWS_MAX	64

/* The way of one transaction's mails from the one table to the other. */
typedef struct Passage
{
	Relation	outbox;
	Relation	message;
	Relation	key;			/* the outbox's index of ids */
	IndexScanDesc scan;
	TupleTableSlot *job;
	EState	   *estate;
	ResultRelInfo *target;
	TupleTableSlot *rows[ROWS_MAX];
	int			nslots;
	int			nrows;
} Passage;

static bool begin(Passage *passage);
static bool is_possible(Passage *passage);
static void end(Passage *passage);
static bool find_job(Passage *passage, int64 incarnation, int64 job_id);
static bool take_out(Passage *passage);
static TupleTableSlot *next_row(Passage *passage);
static void fill_row(TupleTableSlot *row, TupleTableSlot *job, const RfSettlement *s);
static void set_said(TupleTableSlot *row, RfMessageColumn column, const char *utf8);
static void copy_column(TupleTableSlot *row, RfMessageColumn column,
						TupleTableSlot *job, RfOutboxColumn from);
static void put_in(Passage *passage);

List *
rf_sent_write(int64 incarnation, List *settlements)
{
	Passage		passage = {0};
	List	   *left = NIL;
	Oid			userid;
	int			context;
	ListCell   *lc;
	bool		begun = false;
	bool		possible = true;

	GetUserIdAndSecContext(&userid, &context);
	foreach(lc, settlements)
	{
		RfSettlement *s = lfirst(lc);
		TupleTableSlot *row;

		if (s->kind != RF_SETTLE_SENT)
			continue;
		if (!begun)
			possible = begin(&passage);
		begun = true;
		if (!possible)
		{
			left = lappend(left, s);
			continue;
		}
		if (!find_job(&passage, incarnation, s->job_id))
			continue;
		row = next_row(&passage);
		fill_row(row, passage.job, s);
		if (rf_shape_lacks_a_value(passage.message, row) || !take_out(&passage))
		{
			left = lappend(left, s);
			passage.nrows--;
		}
	}
	if (begun)
	{
		end(&passage);
		SetUserIdAndSecContext(userid, context);
	}
	return left;
}

/* As the tables' owner.  False: it is no way to go. */
static bool
begin(Passage *passage)
{
	Oid			schema = get_namespace_oid("roleferry", false);
	Oid			userid;
	int			context;

	passage->outbox = table_open(get_relname_relid("outbox", schema), RowExclusiveLock);
	passage->message = table_open(get_relname_relid("message", schema), RowExclusiveLock);
	if (!is_possible(passage))
		return false;
	GetUserIdAndSecContext(&userid, &context);
	SetUserIdAndSecContext(passage->message->rd_rel->relowner,
						   context | SECURITY_LOCAL_USERID_CHANGE);
	passage->scan = rf_index_beginscan(passage->outbox, passage->key, GetActiveSnapshot(), 1);
	passage->estate = CreateExecutorState();
	passage->job = table_slot_create(passage->outbox, &passage->estate->es_tupleTable);
	passage->target = makeNode(ResultRelInfo);
	InitResultRelInfo(passage->target, passage->message, 0, NULL, 0);
	ExecOpenIndices(passage->target, false);
	return true;
}

static bool
is_possible(Passage *passage)
{
	Oid			key;

	if (!rf_shape_is_outbox(passage->outbox) || !rf_shape_is_message(passage->message) ||
		passage->outbox->rd_rel->relowner != passage->message->rd_rel->relowner)
		return false;
	CheckCmdReplicaIdentity(passage->outbox, CMD_DELETE);
	key = rf_primary_key(passage->outbox);
	if (!OidIsValid(key))
		return false;
	passage->key = index_open(key, RowExclusiveLock);
	return passage->key->rd_index->indnkeyatts == 1 &&
		passage->key->rd_index->indkey.values[0] == RF_OUTBOX_ID + 1;
}

static void
end(Passage *passage)
{
	if (passage->estate != NULL)
	{
		put_in(passage);
		ExecCloseIndices(passage->target);
		index_endscan(passage->scan);
		ExecResetTupleTable(passage->estate->es_tupleTable, false);
		FreeExecutorState(passage->estate);
	}
	if (passage->key != NULL)
		index_close(passage->key, NoLock);
	table_close(passage->message, NoLock);
	table_close(passage->outbox, NoLock);
}

/* False: it is no longer ours. */
static bool
find_job(Passage *passage, int64 incarnation, int64 job_id)
{
	ScanKeyData key;
	bool		isnull;
	Datum		worker;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(job_id));
	index_rescan(passage->scan, &key, 1, NULL, 0);
	if (!index_getnext_slot(passage->scan, ForwardScanDirection, passage->job))
		return false;
	worker = slot_getattr(passage->job, RF_OUTBOX_WORKER + 1, &isnull);
	return !isnull && DatumGetInt64(worker) == incarnation;
}

/* False: somebody has written to it since this transaction's snapshot. */
static bool
take_out(Passage *passage)
{
	TM_FailureData failure;

	return table_tuple_delete(passage->outbox, &passage->job->tts_tid, GetCurrentCommandId(true),
							  GetActiveSnapshot(), InvalidSnapshot, true, &failure, false) == TM_Ok;
}

static TupleTableSlot *
next_row(Passage *passage)
{
	TupleTableSlot *row;

	if (passage->nrows == ROWS_MAX)
		put_in(passage);
	if (passage->nrows == passage->nslots)
		passage->rows[passage->nslots++] = table_slot_create(passage->message,
															 &passage->estate->es_tupleTable);
	row = ExecClearTuple(passage->rows[passage->nrows++]);
	memset(row->tts_isnull, true, RF_MESSAGE_COLUMNS * sizeof(bool));
	return row;
}

static void
fill_row(TupleTableSlot *row, TupleTableSlot *job, const RfSettlement *s)
{
	rf_shape_set(row, RF_MESSAGE_JOB_ID, Int64GetDatum(s->job_id));
	copy_column(row, RF_MESSAGE_CREATED_AT, job, RF_OUTBOX_CREATED_AT);
	rf_shape_set(row, RF_MESSAGE_SENT_AT, TimestampTzGetDatum(GetCurrentTimestamp()));
	if (s->outcome.http_status != 0)
		rf_shape_set(row, RF_MESSAGE_HTTP_STATUS, Int32GetDatum(s->outcome.http_status));
	copy_column(row, RF_MESSAGE_ATTEMPTS, job, RF_OUTBOX_ATTEMPTS);
	set_said(row, RF_MESSAGE_ACCOUNT, s->account);
	set_said(row, RF_MESSAGE_PROVIDER, s->provider);
	if (s->outcome.message_id[0] != '\0')
		set_said(row, RF_MESSAGE_MESSAGE_ID, s->outcome.message_id);
	if (s->outcome.raw_message_id[0] != '\0')
		set_said(row, RF_MESSAGE_RAW_MESSAGE_ID, s->outcome.raw_message_id);
	copy_column(row, RF_MESSAGE_ROLE, job, RF_OUTBOX_ROLE);
	copy_column(row, RF_MESSAGE_QUEUE, job, RF_OUTBOX_QUEUE);
	copy_column(row, RF_MESSAGE_TENANT_KEY, job, RF_OUTBOX_TENANT_KEY);
	rf_shape_set_text(row, RF_MESSAGE_FROM_ADDR, s->from_addr);
	rf_shape_set_text(row, RF_MESSAGE_TO_ADDR, s->to_addr);
	rf_shape_set_text(row, RF_MESSAGE_SUBJECT, s->subject);
	rf_shape_set_text(row, RF_MESSAGE_NOTE, s->note);
	ExecStoreVirtualTuple(row);
}

static void
set_said(TupleTableSlot *row, RfMessageColumn column, const char *utf8)
{
	if (utf8 != NULL)
		rf_shape_set_text(row, column, rf_text_to_server(utf8));
}

/* A copy: the page that it stands on is let go before the row is written. */
static void
copy_column(TupleTableSlot *row, RfMessageColumn column,
			TupleTableSlot *job, RfOutboxColumn from)
{
	bool		isnull;
	Datum		value = slot_getattr(job, from + 1, &isnull);

	if (isnull)
		return;
	if (!TupleDescAttr(job->tts_tupleDescriptor, from)->attbyval)
		value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	rf_shape_set(row, column, value);
}

static void
put_in(Passage *passage)
{
	if (passage->nrows > 0)
		table_multi_insert(passage->message, passage->rows, passage->nrows,
						   GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < passage->nrows; i++)
	{
		(void) rf_insert_index_tuples(passage->target, passage->rows[i], passage->estate);
		ResetPerTupleExprContext(passage->estate);
	}
	passage->nrows = 0;
}

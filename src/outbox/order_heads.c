/*-------------------------------------------------------------------------
 *
 * order_heads.c
 *	  Jobs with an order_key: whose turn it is, as the dispatcher asks.
 *
 * One probe of the index (role, order_key, id) for each key of a turn; where
 * table or index are not as we made them, as parts of one statement.
 *
 * IDENTIFICATION
 *	  src/outbox/order_heads.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/lookup_job.h"
#include "outbox/order.h"
#include "outbox/order_index.h"
#include "outbox/shape.h"
#include "outbox/statement.h"

/* What is asked of a head. */
enum
{
	H_ID,
	H_LANE,
	H_WORKER,
	H_PRIORITY,
	H_RUN_AT,
	H_CRASHES,
	H_QUEUE,
	H_TASK,
	H_TENANT_KEY,
	H_ACCOUNTS,
	H_MODE,
	NCOLUMNS
};

typedef struct Row
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];
} Row;

static void find_by_statement(RfOrderKey **keys, int nkeys, RfOrderHead *heads);
static void read_head(TupleTableSlot *slot, const RfOrderKey *key, RfOrderHead *head);
static void fill_head(const Row *row, const RfOrderKey *key, RfOrderHead *head);
static char *text_of(const Row *row, int column);
static void follow_by_statement(RfClaimedJob **jobs, RfOrderKey **keys, int njobs, bool *follows);
static void find_held(RfClaimedJob **jobs, RfOrderKey **keys, int njobs, bool *held);

void
rf_order_find_heads(RfOrderKey **keys, int nkeys, RfOrderHead *heads)
{
	RfOrderIndex index;

	memset(heads, 0, nkeys * sizeof(RfOrderHead));
	if (!rf_order_index_open(&index))
	{
		find_by_statement(keys, nkeys, heads);
		return;
	}
	for (int i = 0; i < nkeys; i++)
	{
		TupleTableSlot *row = keys[i]->name == NULL ? NULL :
			rf_order_index_first(&index, keys[i]->role, keys[i]->name, keys[i]->low, &heads[i].last);

		if (row != NULL)
			read_head(row, keys[i], &heads[i]);
	}
	rf_order_index_close(&index);
}

static void
find_by_statement(RfOrderKey **keys, int nkeys, RfOrderHead *heads)
{
	static RfStatement find = {
		"SELECT h.*, k.number FROM ROWS FROM (unnest($1), unnest($2), unnest($3)) WITH ORDINALITY"
		" AS k (role, order_key, low, number) CROSS JOIN LATERAL ("
		"SELECT o.id, o.lane, o.worker, o.priority, o.run_at, o.crashes, o.queue, o.task, o.tenant_key, o.accounts, o.mode"
		" FROM roleferry.outbox AS o WHERE o.role = k.role AND o.order_key = k.order_key AND o.id >= k.low"
		" ORDER BY o.role, o.order_key, o.id LIMIT 1) AS h",
		3, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID}, NULL
	};
	RfColumn	columns[3];
	Datum		values[3];
	uint64		found;

	rf_column_init(&columns[0], TEXTOID);
	rf_column_init(&columns[1], TEXTOID);
	rf_column_init(&columns[2], INT8OID);
	for (int i = 0; i < nkeys; i++)
	{
		rf_column_add(&columns[0], keys[i]->name ? CStringGetTextDatum(keys[i]->role) : (Datum) 0, keys[i]->name == NULL);
		rf_column_add(&columns[1], keys[i]->name ? CStringGetTextDatum(keys[i]->name) : (Datum) 0, keys[i]->name == NULL);
		rf_column_add(&columns[2], Int64GetDatum(keys[i]->low), false);
	}
	for (int i = 0; i < 3; i++)
		values[i] = rf_column_array(&columns[i]);
	found = rf_statement_run(&find, values, NULL);
	for (uint64 i = 0; i < found; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		int			number = (int) DatumGetInt64(SPI_getbinval(tuple, desc, NCOLUMNS + 1, &isnull)) - 1;
		Row			row;

		for (int column = 0; column < NCOLUMNS; column++)
			row.values[column] = SPI_getbinval(tuple, desc, column + 1, &row.nulls[column]);
		fill_head(&row, keys[number], &heads[number]);
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
read_head(TupleTableSlot *slot, const RfOrderKey *key, RfOrderHead *head)
{
	static const RfOutboxColumn in_outbox[NCOLUMNS] = {
		RF_OUTBOX_ID,
		RF_OUTBOX_LANE,
		RF_OUTBOX_WORKER,
		RF_OUTBOX_PRIORITY,
		RF_OUTBOX_RUN_AT,
		RF_OUTBOX_CRASHES,
		RF_OUTBOX_QUEUE,
		RF_OUTBOX_TASK,
		RF_OUTBOX_TENANT_KEY,
		RF_OUTBOX_ACCOUNTS,
		RF_OUTBOX_MODE
	};
	Row			row;

	for (int column = 0; column < NCOLUMNS; column++)
		row.values[column] = slot_getattr(slot, in_outbox[column] + 1, &row.nulls[column]);
	fill_head(&row, key, head);
	head->at = slot->tts_tid;
}

/* A job that a crash has marked runs alone when it runs again. */
static void
fill_head(const Row *row, const RfOrderKey *key, RfOrderHead *head)
{
	RfJobDraft	draft;

	head->id = DatumGetInt64(row->values[H_ID]);
	head->lane = DatumGetInt64(row->values[H_LANE]);
	head->running = !row->nulls[H_WORKER];
	head->priority = DatumGetInt16(row->values[H_PRIORITY]);
	head->run_at = DatumGetTimestampTz(row->values[H_RUN_AT]);
	head->parked = head->lane < 0 && !head->running;
	if (!head->parked)
		return;
	memset(&draft, 0, sizeof(draft));
	draft.effective_queue = row->nulls[H_QUEUE] ? pstrdup("") : text_of(row, H_QUEUE);
	draft.task = text_of(row, H_TASK);
	draft.tenant_key = text_of(row, H_TENANT_KEY);
	draft.role = key->role;
	draft.accounts = rf_name_list(row->values[H_ACCOUNTS], row->nulls[H_ACCOUNTS]);
	draft.mode = rf_mode_of_text(text_of(row, H_MODE));
	head->lane = DatumGetInt16(row->values[H_CRASHES]) > 0 && rf_lookup_task(draft.task) == NULL ?
		RF_LANE_ALONE : rf_job_lane(&draft);
	head->job.accounts = draft.accounts;
	head->job.task = draft.task;
	head->job.role = draft.role;
	head->job.queue = draft.effective_queue;
	head->job.mode = draft.mode;
}

/* NULL where it is NULL. */
static char *
text_of(const Row *row, int column)
{
	return row->nulls[column] ? NULL : TextDatumGetCString(row->values[column]);
}

void
rf_order_check(RfClaimedJob **jobs, RfOrderKey **keys, int njobs, bool *follows, bool *held)
{
	RfOrderIndex index;

	memset(follows, 0, njobs * sizeof(bool));
	if (!rf_order_index_open(&index))
		follow_by_statement(jobs, keys, njobs, follows);
	else
	{
		for (int i = 0; i < njobs; i++)
		{
			bool		last;
			bool		isnull;
			TupleTableSlot *row = rf_order_index_first(&index, jobs[i]->role, jobs[i]->order_key, keys[i]->low, &last);
			int64		id = row == NULL ? jobs[i]->id : DatumGetInt64(slot_getattr(row, RF_OUTBOX_ID + 1, &isnull));

			follows[i] = id < jobs[i]->id;
			if (last && id == jobs[i]->id)
				keys[i]->last = id;
		}
		rf_order_index_close(&index);
	}
	find_held(jobs, keys, njobs, held);
}

static void
follow_by_statement(RfClaimedJob **jobs, RfOrderKey **keys, int njobs, bool *follows)
{
	static RfStatement check = {
		"SELECT k.number FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4))"
		" WITH ORDINALITY AS k (id, role, order_key, low, number)"
		" WHERE EXISTS (SELECT FROM roleferry.outbox AS o WHERE o.role = k.role"
		" AND o.order_key = k.order_key AND o.id >= k.low AND o.id < k.id)",
		4, {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID}, NULL
	};
	static const Oid types[4] = {INT8OID, TEXTOID, TEXTOID, INT8OID};
	RfColumn	columns[4];
	Datum		values[4];
	uint64		found;
	bool		isnull;

	for (int i = 0; i < 4; i++)
		rf_column_init(&columns[i], types[i]);
	for (int i = 0; i < njobs; i++)
	{
		rf_column_add(&columns[0], Int64GetDatum(jobs[i]->id), false);
		rf_column_add(&columns[1], CStringGetTextDatum(jobs[i]->role), false);
		rf_column_add(&columns[2], CStringGetTextDatum(jobs[i]->order_key), false);
		rf_column_add(&columns[3], Int64GetDatum(keys[i]->low), false);
	}
	for (int i = 0; i < 4; i++)
		values[i] = rf_column_array(&columns[i]);
	found = rf_statement_run(&check, values, NULL);
	for (uint64 i = 0; i < found; i++)
		follows[DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull)) - 1] = true;
	SPI_freetuptable(SPI_tuptable);
}

/* What the dispatcher believes to run may have ended, with nobody to tell. */
static void
find_held(RfClaimedJob **jobs, RfOrderKey **keys, int njobs, bool *held)
{
	int64	   *ids = palloc((njobs + 1) * sizeof(int64));
	int			nids = 0;
	bool	   *running = palloc((njobs + 1) * sizeof(bool));

	for (int i = 0; i < njobs; i++)
	{
		held[i] = keys[i]->running != 0 && keys[i]->running != jobs[i]->id;
		if (held[i])
			ids[nids++] = keys[i]->running;
	}
	if (nids == 0)
		return;
	rf_order_find_running(ids, nids, running);
	nids = 0;
	for (int i = 0; i < njobs; i++)
		if (held[i])
			held[i] = running[nids++];
}

/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  Batches on disk: one paid request at a provider for many jobs.
 *
 * What happens to the batch and what happens to its jobs is one transaction of
 * the caller's, so a job is always in exactly one place.
 *
 * IDENTIFICATION
 *	  src/outbox/batch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/batch.h"
#include "outbox/dead_columns.h"
#include "outbox/statement.h"
#include "settings.h"

#define PURGE_BATCH		1000
#define IN_BATCH		"o.worker = " CppAsString2(RF_WORKER_BATCH)

static void find_in_batch(int64 id, Datum items, int64 *batch_ids);
static RfBatch *read_batch(HeapTuple tuple, TupleDesc desc);
static int	returned_ids(uint64 count, int64 **ids);

void
rf_batch_insert(RfBatch *batch, const char *installation, Datum items,
				const int64 *jobs, int njobs, int64 incarnation)
{
	static RfStatement insert = {
		"INSERT INTO roleferry.batch (task, account, installation, single, step, items_total, items, jobs)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id, created_at",
		8, {TEXTOID, TEXTOID, TEXTOID, BOOLOID, TEXTOID, INT8OID, TEXTARRAYOID, INT8ARRAYOID}, NULL
	};
	static RfStatement take = {
		"UPDATE roleferry.outbox AS o SET worker = " CppAsString2(RF_WORKER_BATCH)
		" WHERE o.id = ANY ($1) AND o.worker = $2",
		2, {INT8ARRAYOID, INT8OID}, NULL
	};
	Datum		values[8];
	bool		isnull;

	values[0] = CStringGetTextDatum(batch->task);
	values[1] = CStringGetTextDatum(batch->account);
	values[2] = CStringGetTextDatum(installation);
	values[3] = BoolGetDatum(batch->single);
	values[4] = CStringGetTextDatum(rf_batch_step_text(batch->step));
	values[5] = Int64GetDatum(batch->items_total);
	values[6] = items;
	values[7] = rf_id_array(jobs, njobs);
	(void) rf_statement_run(&insert, values, NULL);
	batch->id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	batch->created_at = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));

	values[0] = values[7];
	values[1] = Int64GetDatum(incarnation);
	(void) rf_statement_run(&take, values, NULL);
}

void
rf_batch_attach(int64 batch_id, int64 job_id, int64 incarnation)
{
	static RfStatement attach = {
		"WITH taken AS (UPDATE roleferry.outbox AS o SET worker = " CppAsString2(RF_WORKER_BATCH)
		" WHERE o.id = $2 AND o.worker IN ($3, " CppAsString2(RF_WORKER_BATCH) "))"
		" UPDATE roleferry.batch AS b SET jobs = b.jobs || $2 WHERE b.id = $1 AND $2 <> ALL (b.jobs)",
		3, {INT8OID, INT8OID, INT8OID}, NULL
	};
	Datum		values[3];

	values[0] = Int64GetDatum(batch_id);
	values[1] = Int64GetDatum(job_id);
	values[2] = Int64GetDatum(incarnation);
	(void) rf_statement_run(&attach, values, NULL);
}

void
rf_batch_find_items(const char *task, const char **items, int count, int64 *batch_ids)
{
	static RfStatement list = {
		"SELECT b.id FROM roleferry.batch AS b WHERE b.finished_at IS NULL AND b.task = $1",
		1, {TEXTOID}, NULL
	};
	Datum		value = CStringGetTextDatum(task);
	RfColumn	column;
	Datum		array;
	int64	   *ids;
	int			nids;

	memset(batch_ids, 0, sizeof(int64) * count);
	nids = returned_ids(rf_statement_run(&list, &value, NULL), &ids);
	rf_column_init(&column, TEXTOID);
	for (int i = 0; i < count; i++)
		rf_column_add(&column, CStringGetTextDatum(items[i]), false);
	array = rf_column_array(&column);
	for (int i = 0; i < nids; i++)
		find_in_batch(ids[i], array, batch_ids);
}

/* As a condition of its own the IN would be a join, by nested loops. */
static void
find_in_batch(int64 id, Datum items, int64 *batch_ids)
{
	static RfStatement find = {
		"SELECT i.n FROM pg_catalog.unnest($2) WITH ORDINALITY AS i (item, n)"
		" WHERE CASE WHEN i.item IN (SELECT pg_catalog.unnest(b.items) FROM roleferry.batch AS b WHERE b.id = $1)"
		" THEN true ELSE false END",
		2, {INT8OID, TEXTARRAYOID}, NULL
	};
	Datum		values[2];
	uint64		found;

	values[0] = Int64GetDatum(id);
	values[1] = items;
	found = rf_statement_run(&find, values, NULL);
	for (uint64 i = 0; i < found; i++)
	{
		bool		isnull;

		batch_ids[DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull)) - 1] = id;
	}
	SPI_freetuptable(SPI_tuptable);
}

List *
rf_batch_load(const char *installation)
{
	static RfStatement load = {
		"SELECT b.id, b.task, b.account, b.single, b.step, b.provider_job_id, b.page, b.items_total, b.items_done, b.created_at"
		" FROM roleferry.batch AS b WHERE b.finished_at IS NULL AND b.installation = $1 ORDER BY b.id",
		1, {TEXTOID}, NULL
	};
	Datum		value = CStringGetTextDatum(installation);
	uint64		found = rf_statement_run(&load, &value, NULL);
	List	   *batches = NIL;

	for (uint64 i = 0; i < found; i++)
		batches = lappend(batches, read_batch(SPI_tuptable->vals[i], SPI_tuptable->tupdesc));
	return batches;
}

static RfBatch *
read_batch(HeapTuple tuple, TupleDesc desc)
{
	RfBatch    *batch = palloc0(sizeof(RfBatch));
	char	   *job;
	bool		isnull;

	batch->id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	batch->task = SPI_getvalue(tuple, desc, 2);
	batch->account = SPI_getvalue(tuple, desc, 3);
	batch->single = DatumGetBool(SPI_getbinval(tuple, desc, 4, &isnull));
	batch->step = rf_batch_step_of(SPI_getvalue(tuple, desc, 5));
	job = SPI_getvalue(tuple, desc, 6);
	strlcpy(batch->provider_job, job ? job : "", sizeof(batch->provider_job));
	batch->page = DatumGetInt32(SPI_getbinval(tuple, desc, 7, &isnull));
	batch->items_total = DatumGetInt64(SPI_getbinval(tuple, desc, 8, &isnull));
	batch->items_done = DatumGetInt64(SPI_getbinval(tuple, desc, 9, &isnull));
	batch->created_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 10, &isnull));
	return batch;
}

Datum
rf_batch_items(int64 batch_id)
{
	static RfStatement items = {
		"SELECT b.items FROM roleferry.batch AS b WHERE b.id = $1", 1, {INT8OID}, NULL
	};
	Datum		value = Int64GetDatum(batch_id);
	bool		isnull;

	if (rf_statement_run(&items, &value, NULL) == 0)
		elog(ERROR, "batch " INT64_FORMAT " is gone", batch_id);
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
}

void
rf_batch_update(const RfBatch *batch, const char *reason)
{
	static RfStatement update = {
		"UPDATE roleferry.batch AS b SET step = $2, provider_job_id = nullif($3, ''), page = $4, items_done = $5,"
		" reason = nullif($6, '') WHERE b.id = $1",
		6, {INT8OID, TEXTOID, TEXTOID, INT4OID, INT8OID, TEXTOID}, NULL
	};
	Datum		values[6];

	values[0] = Int64GetDatum(batch->id);
	values[1] = CStringGetTextDatum(rf_batch_step_text(batch->step));
	values[2] = CStringGetTextDatum(rf_text_to_server(batch->provider_job));
	values[3] = Int32GetDatum(batch->page);
	values[4] = Int64GetDatum(batch->items_done);
	values[5] = CStringGetTextDatum(rf_text_to_server(reason));
	(void) rf_statement_run(&update, values, NULL);
}

void
rf_batch_end(const RfBatch *batch, const char *reason)
{
	static RfStatement end = {
		"UPDATE roleferry.batch AS b SET finished_at = pg_catalog.clock_timestamp(), items = '{}' WHERE b.id = $1",
		1, {INT8OID}, NULL
	};
	Datum		value = Int64GetDatum(batch->id);

	rf_batch_update(batch, reason);
	(void) rf_statement_run(&end, &value, NULL);
}

int
rf_batch_bury(const RfBatch *batch, const char *state, const RfOutcome *outcome, int64 **ids,
			  char ***queues)
{
	static RfStatement bury = {
		"WITH gone AS (DELETE FROM roleferry.outbox AS o USING roleferry.batch AS b"
		" WHERE b.id = $1 AND o.id = ANY (b.jobs) AND " IN_BATCH " RETURNING o.*),"
		" dead AS (INSERT INTO roleferry.dead_letter (state, outcome, http_status, reason, account, " RF_DEAD_COLUMNS ")"
		" SELECT $2, $3, nullif($4, 0), $5, $6, " RF_DEAD_VALUES " FROM gone AS g)"
		" SELECT g.id, coalesce(g.queue, '') FROM gone AS g",
		6, {INT8OID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID}, NULL
	};
	Datum		values[6];
	uint64		count;

	values[0] = Int64GetDatum(batch->id);
	values[1] = CStringGetTextDatum(state);
	values[2] = CStringGetTextDatum(rf_outcome_class_text(outcome->class));
	values[3] = Int32GetDatum(outcome->http_status);
	values[4] = CStringGetTextDatum(rf_text_to_server(outcome->reason));
	values[5] = CStringGetTextDatum(batch->account);
	count = rf_statement_run(&bury, values, NULL);
	*queues = palloc((count + 1) * sizeof(char *));
	for (uint64 i = 0; i < count; i++)
		(*queues)[i] = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
	return returned_ids(count, ids);
}

void
rf_batch_adopt(const char *installation)
{
	static RfStatement strangers = {
		"UPDATE roleferry.batch AS b SET step = 'unknown', finished_at = pg_catalog.clock_timestamp(), items = '{}'"
		" WHERE b.finished_at IS NULL AND b.installation <> $1",
		1, {TEXTOID}, NULL
	};
	static RfStatement lost = {
		"WITH gone AS (DELETE FROM roleferry.outbox AS o WHERE " IN_BATCH " AND NOT EXISTS ("
		"SELECT FROM roleferry.batch AS b WHERE b.finished_at IS NULL AND o.id = ANY (b.jobs)) RETURNING o.*)"
		" INSERT INTO roleferry.dead_letter (state, outcome, reason, " RF_DEAD_COLUMNS ")"
		" SELECT 'unknown', 'ambiguous', 'it was under way where this database was copied from', " RF_DEAD_VALUES " FROM gone AS g",
		0, {0}, NULL
	};
	Datum		value = CStringGetTextDatum(installation);

	(void) rf_statement_run(&strangers, &value, NULL);
	(void) rf_statement_run(&lost, NULL, NULL);
}

void
rf_batch_undo_unknown(const char *installation, const int64 *in_hand, int nin_hand)
{
	static RfStatement undo = {
		"WITH gone AS (DELETE FROM roleferry.batch AS b WHERE b.finished_at IS NULL AND b.step = 'send'"
		" AND b.installation = $1 AND b.id <> ALL ($2) RETURNING b.jobs)"
		" UPDATE roleferry.outbox AS o SET worker = NULL, claimed_at = NULL, attempts = o.attempts - 1"
		" FROM gone AS g WHERE o.id = ANY (g.jobs) AND " IN_BATCH,
		2, {TEXTOID, INT8ARRAYOID}, NULL
	};
	Datum		values[2];

	values[0] = CStringGetTextDatum(installation);
	values[1] = rf_id_array(in_hand, nin_hand);
	(void) rf_statement_run(&undo, values, NULL);
}

/* As long as attempts. */
bool
rf_batch_purge(void)
{
	static RfStatement purge = {
		"DELETE FROM roleferry.batch AS b WHERE b.id = ANY (ARRAY("
		"SELECT c.id FROM roleferry.batch AS c WHERE c.finished_at < pg_catalog.now() - $1"
		" LIMIT " CppAsString2(PURGE_BATCH) "))",
		1, {INTERVALOID}, NULL
	};
	Interval   *age = palloc0(sizeof(Interval));
	Datum		value = IntervalPGetDatum(age);

	age->time = (int64) rf_attempt_retention * USECS_PER_MINUTE;
	return rf_statement_run(&purge, &value, NULL) == PURGE_BATCH;
}

static int
returned_ids(uint64 count, int64 **ids)
{
	bool		isnull;

	*ids = palloc((count + 1) * sizeof(int64));
	for (uint64 i = 0; i < count; i++)
		(*ids)[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	return (int) count;
}

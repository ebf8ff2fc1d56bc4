/*-------------------------------------------------------------------------
 *
 * order_queue.c
 *	  Jobs with an order_key: where they are parked, and what runs.
 *
 * IDENTIFICATION
 *	  src/outbox/order_queue.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/batch.h"
#include "outbox/lookup_job.h"
#include "outbox/order.h"
#include "outbox/statement.h"

static Datum column(HeapTuple tuple, TupleDesc desc, int attnum);
static char *text_column(HeapTuple tuple, TupleDesc desc, int attnum);

void
rf_order_find_names(RfOrderKey **keys, int nkeys)
{
	static RfStatement names = {
		"SELECT k.number, c.role, c.order_key"
		" FROM unnest($1) WITH ORDINALITY AS k (lane, number) CROSS JOIN LATERAL ("
		"SELECT o.role, o.order_key FROM roleferry.outbox AS o WHERE o.lane = k.lane AND o.order_key IS NOT NULL"
		" ORDER BY o.lane, o.priority, o.run_at, o.id LIMIT 1) AS c",
		1, {INT8ARRAYOID}, NULL
	};
	int64	   *lanes = palloc((nkeys + 1) * sizeof(int64));
	RfOrderKey **unknown = palloc((nkeys + 1) * sizeof(RfOrderKey *));
	int			nunknown = 0;
	Datum		array;
	uint64		found;

	for (int i = 0; i < nkeys; i++)
	{
		if (keys[i]->name != NULL)
			continue;
		lanes[nunknown] = keys[i]->lane;
		unknown[nunknown++] = keys[i];
	}
	if (nunknown == 0)
		return;
	array = rf_id_array(lanes, nunknown);
	found = rf_statement_run(&names, &array, NULL);
	for (uint64 i = 0; i < found; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		RfOrderKey *key = unknown[DatumGetInt64(column(tuple, desc, 1)) - 1];

		key->role = MemoryContextStrdup(TopMemoryContext, text_column(tuple, desc, 2));
		key->name = MemoryContextStrdup(TopMemoryContext, text_column(tuple, desc, 3));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Where somebody has it locked it is tried again: he may be ending it. */
void
rf_order_let_go(RfOrderHead *heads, int nheads)
{
	static RfStatement let_go = {
		"UPDATE roleferry.outbox AS o SET lane = k.lane"
		" FROM ROWS FROM (unnest($1), unnest($2)) AS k (id, lane)"
		" WHERE o.id = k.id AND o.id = ANY (ARRAY("
		"SELECT c.id FROM roleferry.outbox AS c WHERE c.id = ANY ($1) AND c.worker IS NULL AND c.lane < 0"
		" FOR UPDATE SKIP LOCKED)) RETURNING o.id",
		2, {INT8ARRAYOID, INT8ARRAYOID}, NULL
	};
	int64	   *ids = palloc((nheads + 1) * sizeof(int64));
	int64	   *lanes = palloc((nheads + 1) * sizeof(int64));
	int			nparked = 0;
	Datum		values[2];
	uint64		done;

	for (int i = 0; i < nheads; i++)
	{
		if (!heads[i].parked)
			continue;
		ids[nparked] = heads[i].id;
		lanes[nparked++] = heads[i].lane;
	}
	if (nparked == 0)
		return;
	values[0] = rf_id_array(ids, nparked);
	values[1] = rf_id_array(lanes, nparked);
	done = rf_statement_run(&let_go, values, NULL);
	for (uint64 row = 0; row < done; row++)
	{
		int64		id = DatumGetInt64(column(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1));

		for (int i = 0; i < nheads; i++)
			heads[i].let_go |= heads[i].id == id;
	}
	SPI_freetuptable(SPI_tuptable);
}

void
rf_order_park(RfClaimedJob **jobs, int njobs, int64 incarnation)
{
	static RfStatement park = {
		"UPDATE roleferry.outbox AS o SET worker = NULL, claimed_at = NULL, attempts = o.attempts - 1, lane = k.lane"
		" FROM ROWS FROM (unnest($1), unnest($2)) AS k (id, lane) WHERE o.id = k.id AND o.worker = $3",
		3, {INT8ARRAYOID, INT8ARRAYOID, INT8OID}, NULL
	};
	int64	   *ids = palloc((njobs + 1) * sizeof(int64));
	int64	   *lanes = palloc((njobs + 1) * sizeof(int64));
	Datum		values[3];

	for (int i = 0; i < njobs; i++)
	{
		ids[i] = jobs[i]->id;
		lanes[i] = jobs[i]->order_lane;
	}
	values[0] = rf_id_array(ids, njobs);
	values[1] = rf_id_array(lanes, njobs);
	values[2] = Int64GetDatum(incarnation);
	(void) rf_statement_run(&park, values, NULL);
}

int
rf_order_parked_lanes(int64 after, int64 *lanes, int max)
{
#define NEXT_PARKED(after) \
	"SELECT o.lane FROM roleferry.outbox AS o WHERE o.lane > " after " AND o.lane < 0" \
	" ORDER BY o.lane, o.priority, o.run_at, o.id LIMIT 1"
	static RfStatement next = {
		"WITH RECURSIVE parked AS ((" NEXT_PARKED("$1") ") UNION ALL"
		" SELECT n.lane FROM parked AS p, LATERAL (" NEXT_PARKED("p.lane") ") AS n)"
		" SELECT p.lane FROM parked AS p LIMIT $2",
		2, {INT8OID, INT8OID}, NULL
	};
	Datum		values[2];
	uint64		found;

	values[0] = Int64GetDatum(after);
	values[1] = Int64GetDatum(max);
	found = rf_statement_run(&next, values, NULL);
	for (uint64 i = 0; i < found; i++)
		lanes[i] = DatumGetInt64(column(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
	SPI_freetuptable(SPI_tuptable);
	return (int) found;
}

void
rf_order_find_running(const int64 *ids, int nids, bool *running)
{
	static RfStatement find = {
		"SELECT k.number FROM unnest($1) WITH ORDINALITY AS k (id, number)"
		" JOIN roleferry.outbox AS o ON o.id = k.id WHERE o.worker IS NOT NULL",
		1, {INT8ARRAYOID}, NULL
	};
	Datum		array = rf_id_array(ids, nids);
	uint64		found;

	memset(running, 0, nids * sizeof(bool));
	found = rf_statement_run(&find, &array, NULL);
	for (uint64 i = 0; i < found; i++)
		running[DatumGetInt64(column(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1)) - 1] = true;
	SPI_freetuptable(SPI_tuptable);
}

List *
rf_order_in_batches(void)
{
	static RfStatement find = {
		"SELECT o.id, o.role, o.order_key FROM roleferry.batch AS b CROSS JOIN LATERAL unnest(b.jobs) AS j (id)"
		" JOIN roleferry.outbox AS o ON o.id = j.id"
		" WHERE b.finished_at IS NULL AND o.order_key IS NOT NULL AND o.worker = " CppAsString2(RF_WORKER_BATCH),
		0, {0}, NULL
	};
	uint64		found = rf_statement_run(&find, NULL, NULL);
	List	   *jobs = NIL;

	for (uint64 i = 0; i < found; i++)
	{
		RfClaimedJob *job = palloc0(sizeof(RfClaimedJob));

		job->id = DatumGetInt64(column(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
		job->role = text_column(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
		job->order_key = text_column(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3);
		job->order_lane = rf_order_lane(job->role, job->order_key);
		jobs = lappend(jobs, job);
	}
	return jobs;
}

static Datum
column(HeapTuple tuple, TupleDesc desc, int attnum)
{
	bool		isnull;

	return SPI_getbinval(tuple, desc, attnum, &isnull);
}

/* NULL where it is NULL. */
static char *
text_column(HeapTuple tuple, TupleDesc desc, int attnum)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, attnum, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

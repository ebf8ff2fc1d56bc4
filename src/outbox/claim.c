/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Making jobs ours, durably, before their first byte leaves.
 *
 * The claim writes only columns without an index, so it is a HOT update.  The
 * rows are chosen in a sub-select that is evaluated once, as an array: joined
 * to the sub-select directly, a nested loop could run it again and again and
 * claim more than was asked for.
 *
 * IDENTIFICATION
 *	  src/outbox/claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "outbox/batch.h"
#include "outbox/claim.h"
#include "outbox/claimed_job.h"
#include "outbox/statement.h"

static void move_mark(RfStrand *strand, List *jobs, int asked, TimestampTz now);

List *
rf_claim_jobs(int64 incarnation, RfStrand *strand, int n, TimestampTz now,
			  MemoryContext parent)
{
	static RfStatement claim = {
		"UPDATE roleferry.outbox AS o"
		" SET worker = $1, attempts = o.attempts + 1, claimed_at = pg_catalog.now()"
		" WHERE o.id = ANY (ARRAY("
		"SELECT c.id FROM roleferry.outbox AS c"
		" WHERE c.lane = $2 AND c.priority = $3 AND c.worker IS NULL"
		" AND (c.run_at, c.id) >= ($4, $5) AND c.run_at <= $6"
		" ORDER BY c.run_at, c.id LIMIT $7 FOR UPDATE SKIP LOCKED))"
		" RETURNING " RF_JOB_COLUMNS,
		7, {INT8OID, INT8OID, INT2OID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT8OID}, NULL
	};
	Datum		values[7];
	List	   *jobs;
	uint64		claimed;

	values[0] = Int64GetDatum(incarnation);
	values[1] = Int64GetDatum(strand->lane);
	values[2] = Int16GetDatum((int16) strand->priority);
	values[3] = TimestampTzGetDatum(strand->run_at);
	values[4] = Int64GetDatum(strand->id);
	values[5] = TimestampTzGetDatum(now);
	values[6] = Int64GetDatum(n);

	claimed = rf_statement_run(&claim, values, NULL);
	if (claimed > (uint64) n)
		elog(ERROR, "claimed " UINT64_FORMAT " jobs where %d were asked for", claimed, n);

	jobs = rf_claimed_jobs(claimed, parent);
	move_mark(strand, jobs, n, now);
	return jobs;
}

int
rf_claim_again(int64 incarnation, const int64 *ids, int nids, int64 *still_ours)
{
	static RfStatement again = {
		"UPDATE roleferry.outbox AS o"
		" SET attempts = o.attempts + 1, claimed_at = pg_catalog.now()"
		" WHERE o.id = ANY ($1) AND o.worker = $2 RETURNING o.id",
		2, {INT8ARRAYOID, INT8OID}, NULL
	};
	Datum		values[2];
	uint64		ours;
	bool		isnull;

	values[0] = rf_id_array(ids, nids);
	values[1] = Int64GetDatum(incarnation);
	ours = rf_statement_run(&again, values, NULL);
	for (uint64 i = 0; i < ours; i++)
		still_ours[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i],
													SPI_tuptable->tupdesc, 1, &isnull));
	return (int) ours;
}

uint64
rf_claim_give_back_unknown(int64 incarnation, const int64 *in_hand, int nin_hand)
{
	static RfStatement give_back = {
		"UPDATE roleferry.outbox AS o"
		" SET worker = NULL, claimed_at = NULL, attempts = o.attempts - 1"
		" WHERE o.worker = $2 AND o.id <> ALL ($1)",
		2, {INT8ARRAYOID, INT8OID}, NULL
	};
	Datum		values[2];

	values[0] = rf_id_array(in_hand, nin_hand);
	values[1] = Int64GetDatum(incarnation);
	return rf_statement_run(&give_back, values, NULL);
}

List *
rf_claim_from_batch(int64 incarnation, int64 batch_id, MemoryContext parent)
{
	static RfStatement take = {
		"UPDATE roleferry.outbox AS o SET worker = $1 FROM roleferry.batch AS b"
		" WHERE b.id = $2 AND o.id = ANY (b.jobs) AND o.worker = " CppAsString2(RF_WORKER_BATCH)
		" RETURNING " RF_JOB_COLUMNS,
		2, {INT8OID, INT8OID}, NULL
	};
	Datum		values[2];
	List	   *jobs = NIL;
	uint64		taken;

	values[0] = Int64GetDatum(incarnation);
	values[1] = Int64GetDatum(batch_id);
	taken = rf_statement_run(&take, values, NULL);
	for (uint64 i = 0; i < taken; i++)
		jobs = lappend(jobs, rf_claimed_job(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, parent));
	return jobs;
}

/*
 * As many as asked for: more may stand right after the last one.  Fewer: all
 * that was due is ours (or locked by somebody: the next sweep finds it), and
 * the next to come is the first that is not due yet.
 */
static void
move_mark(RfStrand *strand, List *jobs, int asked, TimestampTz now)
{
	static RfStatement next = {
		"SELECT c.run_at, c.id FROM roleferry.outbox AS c"
		" WHERE c.lane = $1 AND c.priority = $2 AND c.worker IS NULL AND c.run_at > $3"
		" ORDER BY c.run_at, c.id LIMIT 1",
		3, {INT8OID, INT2OID, TIMESTAMPTZOID}, NULL
	};
	Datum		values[3];

	if (list_length(jobs) == asked)
	{
		RfClaimedJob *last = llast(jobs);

		strand->run_at = last->run_at;
		strand->id = last->id;
		return;
	}

	values[0] = Int64GetDatum(strand->lane);
	values[1] = Int16GetDatum((int16) strand->priority);
	values[2] = TimestampTzGetDatum(now);
	strand->run_at = RF_LANES_NEVER;
	strand->id = 0;
	if (rf_statement_run(&next, values, NULL) > 0)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		bool		isnull;

		strand->run_at = DatumGetTimestampTz(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
		strand->id = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
}

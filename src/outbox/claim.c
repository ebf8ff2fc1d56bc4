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
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/batch.h"
#include "outbox/claim.h"
#include "outbox/order.h"
#include "outbox/statement.h"
#include "settings.h"

/* What a claim returns, and the places of these columns. */
#define JOB_COLUMNS \
	"o.id, o.lane, o.priority, o.run_at, o.created_at, o.expires_at," \
	" o.attempts, o.failures, o.max_attempts, o.delivery, o.role, o.task, o.accounts, o.args, o.tenant_key, o.queue, o.mode, o.order_key," \
	" o.on_done IS NOT NULL"

enum
{
	C_ID = 1,
	C_LANE,
	C_PRIORITY,
	C_RUN_AT,
	C_CREATED_AT,
	C_EXPIRES_AT,
	C_ATTEMPTS,
	C_FAILURES,
	C_MAX_ATTEMPTS,
	C_DELIVERY,
	C_ROLE,
	C_TASK,
	C_ACCOUNTS,
	C_ARGS,
	C_TENANT_KEY,
	C_QUEUE,
	C_MODE,
	C_ORDER_KEY,
	C_ON_DONE
};

static List *claimed_jobs(uint64 claimed, MemoryContext parent);
static RfClaimedJob *read_job(HeapTuple tuple, TupleDesc desc,
							  MemoryContext parent);
static int64 lane_of(const RfClaimedJob *job);
static Datum get_column(HeapTuple tuple, TupleDesc desc, int attnum,
						Datum otherwise);
static char *get_text(HeapTuple tuple, TupleDesc desc, int attnum,
					  const char *otherwise);
static List *get_names(HeapTuple tuple, TupleDesc desc, int attnum);
static int	compare_jobs(const ListCell *a, const ListCell *b);
static void move_mark(RfStrand *strand, List *jobs, int asked, TimestampTz now);
static Datum id_array(const int64 *ids, int nids);

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
		" RETURNING " JOB_COLUMNS,
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

	jobs = claimed_jobs(claimed, parent);
	move_mark(strand, jobs, n, now);
	return jobs;
}

List *
rf_order_claim(int64 incarnation, const int64 *ids, int nids, TimestampTz now,
			   MemoryContext parent)
{
	static RfStatement claim = {
		"UPDATE roleferry.outbox AS o"
		" SET worker = $1, attempts = o.attempts + 1, claimed_at = pg_catalog.now()"
		" WHERE o.id = ANY (ARRAY("
		"SELECT c.id FROM roleferry.outbox AS c WHERE c.id = ANY ($2) AND c.worker IS NULL"
		" AND c.lane < 0 AND c.run_at <= $3 FOR UPDATE SKIP LOCKED))"
		" RETURNING " JOB_COLUMNS,
		3, {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID}, NULL
	};
	Datum		values[3];

	values[0] = Int64GetDatum(incarnation);
	values[1] = id_array(ids, nids);
	values[2] = TimestampTzGetDatum(now);
	return claimed_jobs(rf_statement_run(&claim, values, NULL), parent);
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

	values[0] = id_array(ids, nids);
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

	values[0] = id_array(in_hand, nin_hand);
	values[1] = Int64GetDatum(incarnation);
	return rf_statement_run(&give_back, values, NULL);
}

List *
rf_claim_from_batch(int64 incarnation, int64 batch_id, MemoryContext parent)
{
	static RfStatement take = {
		"UPDATE roleferry.outbox AS o SET worker = $1 FROM roleferry.batch AS b"
		" WHERE b.id = $2 AND o.id = ANY (b.jobs) AND o.worker = " CppAsString2(RF_WORKER_BATCH)
		" RETURNING " JOB_COLUMNS,
		2, {INT8OID, INT8OID}, NULL
	};
	Datum		values[2];
	List	   *jobs = NIL;
	uint64		taken;

	values[0] = Int64GetDatum(incarnation);
	values[1] = Int64GetDatum(batch_id);
	taken = rf_statement_run(&take, values, NULL);
	for (uint64 i = 0; i < taken; i++)
		jobs = lappend(jobs, read_job(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, parent));
	return jobs;
}

/* What a claim has returned, in order of (run_at, id). */
static List *
claimed_jobs(uint64 claimed, MemoryContext parent)
{
	List	   *jobs = NIL;

	for (uint64 i = 0; i < claimed; i++)
	{
		RfClaimedJob *job = read_job(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, parent);
		MemoryContext old = MemoryContextSwitchTo(parent);

		jobs = lappend(jobs, job);
		MemoryContextSwitchTo(old);
	}
	SPI_freetuptable(SPI_tuptable);
	list_sort(jobs, compare_jobs);
	return jobs;
}

static RfClaimedJob *
read_job(HeapTuple tuple, TupleDesc desc, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "roleferry transfer",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RfClaimedJob *job = palloc0(sizeof(RfClaimedJob));
	char	   *delivery = get_text(tuple, desc, C_DELIVERY, "at_most_once");

	job->id = DatumGetInt64(get_column(tuple, desc, C_ID, 0));
	job->lane = DatumGetInt64(get_column(tuple, desc, C_LANE, 0));
	job->priority = DatumGetInt16(get_column(tuple, desc, C_PRIORITY, 0));
	job->run_at = DatumGetTimestampTz(get_column(tuple, desc, C_RUN_AT, 0));
	job->created_at = DatumGetTimestampTz(get_column(tuple, desc, C_CREATED_AT, 0));
	job->expires_at = DatumGetTimestampTz(get_column(tuple, desc, C_EXPIRES_AT,
													 TimestampTzGetDatum(DT_NOEND)));
	job->attempts = DatumGetInt32(get_column(tuple, desc, C_ATTEMPTS, 0));
	job->failures = DatumGetInt32(get_column(tuple, desc, C_FAILURES, 0));
	job->max_attempts = DatumGetInt32(get_column(tuple, desc, C_MAX_ATTEMPTS, 0));
	job->delivery = strcmp(delivery, "at_least_once") == 0 ?
		RF_AT_LEAST_ONCE : RF_AT_MOST_ONCE;
	job->role = get_text(tuple, desc, C_ROLE, "");
	job->task = get_text(tuple, desc, C_TASK, "");
	job->tenant_key = get_text(tuple, desc, C_TENANT_KEY, "");
	job->queue = get_text(tuple, desc, C_QUEUE, "");
	job->on_done = DatumGetBool(get_column(tuple, desc, C_ON_DONE, BoolGetDatum(false)));
	job->mode = rf_mode_of_text(get_text(tuple, desc, C_MODE, ""));
	job->order_key = get_text(tuple, desc, C_ORDER_KEY, NULL);
	if (job->order_key != NULL)
		job->order_lane = rf_order_lane(job->role, job->order_key);
	job->accounts = get_names(tuple, desc, C_ACCOUNTS);
	if (job->lane < 0)
		job->lane = lane_of(job);
	job->args = (Jsonb *) PG_DETOAST_DATUM_COPY(get_column(tuple, desc, C_ARGS, 0));
	MemoryContextSwitchTo(old);
	return job;
}

/* One that is parked still belongs to a lane. */
static int64
lane_of(const RfClaimedJob *job)
{
	RfJobDraft	draft;

	memset(&draft, 0, sizeof(draft));
	draft.effective_queue = job->queue;
	draft.task = job->task;
	draft.tenant_key = job->tenant_key;
	draft.role = job->role;
	draft.accounts = job->accounts;
	draft.mode = job->mode;
	return rf_job_lane(&draft);
}

static Datum
get_column(HeapTuple tuple, TupleDesc desc, int attnum, Datum otherwise)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, attnum, &isnull);

	return isnull ? otherwise : value;
}

static char *
get_text(HeapTuple tuple, TupleDesc desc, int attnum, const char *otherwise)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, attnum, &isnull);

	if (isnull)
		return otherwise ? pstrdup(otherwise) : NULL;
	return TextDatumGetCString(value);
}

static List *
get_names(HeapTuple tuple, TupleDesc desc, int attnum)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, attnum, &isnull);

	return rf_name_list(value, isnull);
}

static int
compare_jobs(const ListCell *a, const ListCell *b)
{
	const RfClaimedJob *ja = lfirst(a);
	const RfClaimedJob *jb = lfirst(b);

	if (ja->run_at != jb->run_at)
		return ja->run_at < jb->run_at ? -1 : 1;
	return ja->id < jb->id ? -1 : (ja->id > jb->id ? 1 : 0);
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

		strand->run_at = DatumGetTimestampTz(get_column(tuple, SPI_tuptable->tupdesc, 1, 0));
		strand->id = DatumGetInt64(get_column(tuple, SPI_tuptable->tupdesc, 2, 0));
	}
	SPI_freetuptable(SPI_tuptable);
}

static Datum
id_array(const int64 *ids, int nids)
{
	Datum	   *datums = palloc(Max(nids, 1) * sizeof(Datum));

	for (int i = 0; i < nids; i++)
		datums[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(datums, nids, INT8OID, 8,
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

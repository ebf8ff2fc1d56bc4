/*-------------------------------------------------------------------------
 *
 * claimed_job.c
 *	  A job as a claim has found it.
 *
 * IDENTIFICATION
 *	  src/outbox/claimed_job.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/claimed_job.h"
#include "outbox/job.h"
#include "outbox/order.h"
#include "outbox/shape.h"
#include "outbox/statement.h"

/* The places of RF_JOB_COLUMNS. */
enum
{
	C_ID,
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
	C_ON_DONE,
	NCOLUMNS
};

static const RfOutboxColumn in_outbox[NCOLUMNS] = {
	RF_OUTBOX_ID,
	RF_OUTBOX_LANE,
	RF_OUTBOX_PRIORITY,
	RF_OUTBOX_RUN_AT,
	RF_OUTBOX_CREATED_AT,
	RF_OUTBOX_EXPIRES_AT,
	RF_OUTBOX_ATTEMPTS,
	RF_OUTBOX_FAILURES,
	RF_OUTBOX_MAX_ATTEMPTS,
	RF_OUTBOX_DELIVERY,
	RF_OUTBOX_ROLE,
	RF_OUTBOX_TASK,
	RF_OUTBOX_ACCOUNTS,
	RF_OUTBOX_ARGS,
	RF_OUTBOX_TENANT_KEY,
	RF_OUTBOX_QUEUE,
	RF_OUTBOX_MODE,
	RF_OUTBOX_ORDER_KEY,
	RF_OUTBOX_ON_DONE
};

/* The columns of one job. */
typedef struct Row
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];
} Row;

static RfClaimedJob *read_job(const Row *row, MemoryContext parent);
static int64 lane_of(const RfClaimedJob *job);
static Datum value_of(const Row *row, int column, Datum otherwise);
static char *text_of(const Row *row, int column, const char *otherwise);
static int	compare_jobs(const ListCell *a, const ListCell *b);

RfClaimedJob *
rf_claimed_job(HeapTuple tuple, TupleDesc desc, MemoryContext parent)
{
	Row			row;

	heap_deform_tuple(tuple, desc, row.values, row.nulls);
	return read_job(&row, parent);
}

RfClaimedJob *
rf_claimed_job_of_row(TupleTableSlot *row, MemoryContext parent)
{
	Row			columns;

	for (int i = 0; i < NCOLUMNS; i++)
		columns.values[i] = slot_getattr(row, in_outbox[i] + 1, &columns.nulls[i]);
	return read_job(&columns, parent);
}

List *
rf_claimed_jobs(uint64 claimed, MemoryContext parent)
{
	List	   *jobs = NIL;

	for (uint64 i = 0; i < claimed; i++)
	{
		RfClaimedJob *job = rf_claimed_job(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, parent);
		MemoryContext old = MemoryContextSwitchTo(parent);

		jobs = lappend(jobs, job);
		MemoryContextSwitchTo(old);
	}
	SPI_freetuptable(SPI_tuptable);
	rf_claimed_jobs_sort(jobs);
	return jobs;
}

void
rf_claimed_jobs_sort(List *jobs)
{
	list_sort(jobs, compare_jobs);
}

static RfClaimedJob *
read_job(const Row *row, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "roleferry transfer",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RfClaimedJob *job = palloc0(sizeof(RfClaimedJob));
	char	   *delivery = text_of(row, C_DELIVERY, "at_most_once");

	job->id = DatumGetInt64(value_of(row, C_ID, 0));
	job->lane = DatumGetInt64(value_of(row, C_LANE, 0));
	job->priority = DatumGetInt16(value_of(row, C_PRIORITY, 0));
	job->run_at = DatumGetTimestampTz(value_of(row, C_RUN_AT, 0));
	job->created_at = DatumGetTimestampTz(value_of(row, C_CREATED_AT, 0));
	job->expires_at = DatumGetTimestampTz(value_of(row, C_EXPIRES_AT, TimestampTzGetDatum(DT_NOEND)));
	job->attempts = DatumGetInt32(value_of(row, C_ATTEMPTS, 0));
	job->failures = DatumGetInt32(value_of(row, C_FAILURES, 0));
	job->max_attempts = DatumGetInt32(value_of(row, C_MAX_ATTEMPTS, 0));
	job->delivery = strcmp(delivery, "at_least_once") == 0 ?
		RF_AT_LEAST_ONCE : RF_AT_MOST_ONCE;
	job->role = text_of(row, C_ROLE, "");
	job->task = text_of(row, C_TASK, "");
	job->tenant_key = text_of(row, C_TENANT_KEY, "");
	job->queue = text_of(row, C_QUEUE, "");
	job->on_done = !row->nulls[C_ON_DONE];
	job->mode = rf_mode_of_text(text_of(row, C_MODE, ""));
	job->order_key = text_of(row, C_ORDER_KEY, NULL);
	if (job->order_key != NULL)
		job->order_lane = rf_order_lane(job->role, job->order_key);
	job->accounts = rf_name_list(row->values[C_ACCOUNTS], row->nulls[C_ACCOUNTS]);
	if (job->lane < 0)
		job->lane = lane_of(job);
	job->args = (Jsonb *) PG_DETOAST_DATUM_COPY(value_of(row, C_ARGS, 0));
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
value_of(const Row *row, int column, Datum otherwise)
{
	return row->nulls[column] ? otherwise : row->values[column];
}

static char *
text_of(const Row *row, int column, const char *otherwise)
{
	if (row->nulls[column])
		return otherwise ? pstrdup(otherwise) : NULL;
	return TextDatumGetCString(row->values[column]);
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

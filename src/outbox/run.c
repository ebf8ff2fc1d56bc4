/*-------------------------------------------------------------------------
 *
 * run.c
 *	  What an executor reads and writes of the jobs it runs.
 *
 * IDENTIFICATION
 *	  src/outbox/run.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "outbox/handler_job.h"
#include "outbox/insert.h"
#include "outbox/run.h"
#include "outbox/statement.h"
#include "settings.h"

/* What the session was, while we act as the owner. */
typedef struct Guise
{
	Oid			userid;
	int			security;
	int			guc_level;
	bool		read_only;
} Guise;

/* Columns of the statement that reads. */
enum
{
	C_ID = 1,
	C_TASK,
	C_RUN_AS,
	C_ARGS,
	C_ATTEMPTS,
	C_FAILURES,
	C_MAX_ATTEMPTS,
	C_EXPIRES_AT,
	C_FUNCTION,
	C_TIMEOUT,
	C_RETRY_BASE,
	C_RETRY_CAP,
	C_GIVE_UP_ON,
	C_QUEUE,
	C_MODE
};

static void become_owner(Guise *guise);
static void become_oneself(const Guise *guise);
static RfRunJob *read_job(HeapTuple tuple, TupleDesc desc, MemoryContext context);
static Datum column(HeapTuple tuple, TupleDesc desc, int which, Datum otherwise);
static void read_handlers(List *jobs, MemoryContext context);
static List *in_order(List *jobs, const int64 *ids, int nids);
static void write_attempt(const RfRunFailure *failure, int attempt_table);
static bool write_waiting(int64 incarnation, const RfRunFailure *failure);
static bool write_dead(int64 incarnation, const RfRunFailure *failure);

List *
rf_run_read(int64 incarnation, const int64 *ids, int nids)
{
	static RfStatement find = {
		"SELECT o.id, o.task, coalesce(t.run_as, o.role), o.args, o.attempts, o.failures,"
		" coalesce(o.max_attempts, t.max_attempts), o.expires_at,"
		" t.function, t.timeout, t.retry_base, t.retry_cap, t.give_up_on, coalesce(o.queue, ''), o.mode"
		" FROM roleferry.outbox AS o LEFT JOIN roleferry.task AS t ON t.name = o.task"
		" WHERE o.id = ANY ($1) AND o.worker = $2",
		2, {INT8ARRAYOID, INT8OID}, NULL
	};
	MemoryContext context = CurrentMemoryContext;
	List	   *jobs = NIL;
	RfColumn	wanted;
	Datum		values[2];
	Guise		guise;
	uint64		found;

	become_owner(&guise);
	rf_column_init(&wanted, INT8OID);
	for (int i = 0; i < nids; i++)
		rf_column_add(&wanted, Int64GetDatum(ids[i]), false);
	values[0] = rf_column_array(&wanted);
	values[1] = Int64GetDatum(incarnation);
	found = rf_statement_run(&find, values, NULL);
	for (uint64 i = 0; i < found; i++)
	{
		RfRunJob   *job = read_job(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, context);
		MemoryContext old = MemoryContextSwitchTo(context);

		jobs = lappend(jobs, job);
		MemoryContextSwitchTo(old);
	}
	read_handlers(jobs, context);
	become_oneself(&guise);
	return in_order(jobs, ids, nids);
}

int
rf_run_finish(int64 incarnation, List *jobs, int result_table)
{
#define FINISH_INTO(table) { \
		"WITH ended AS (SELECT * FROM ROWS FROM (unnest($1), unnest($2)) AS e (job_id, result))," \
		" gone AS (DELETE FROM roleferry.outbox AS o USING ended AS e" \
		" WHERE o.id = e.job_id AND o.worker = $3" \
		" RETURNING e.*, o.created_at, o.attempts, o.task, o.role, o.queue, o.tenant_key)" \
		" INSERT INTO roleferry." table \
		" (job_id, created_at, finished_at, attempts, task, role, queue, tenant_key, result)" \
		" SELECT g.job_id, g.created_at, pg_catalog.clock_timestamp(), g.attempts, g.task, g.role, g.queue," \
		" g.tenant_key, g.result FROM gone AS g", \
		3, {INT8ARRAYOID, JSONBARRAYOID, INT8OID}, NULL}
	static RfStatement statements[3] = {
		FINISH_INTO("result_0"),
		FINISH_INTO("result_1"),
		FINISH_INTO("result_2")
	};
	RfColumn	ids;
	RfColumn	results;
	Datum		values[3];
	Guise		guise;
	ListCell   *lc;
	uint64		ours;

	become_owner(&guise);
	rf_column_init(&ids, INT8OID);
	rf_column_init(&results, JSONBOID);
	foreach(lc, jobs)
	{
		const RfRunJob *job = lfirst(lc);

		rf_column_add(&ids, Int64GetDatum(job->id), false);
		rf_column_add(&results, job->result ? JsonbPGetDatum(job->result) : (Datum) 0, job->result == NULL);
	}
	values[0] = rf_column_array(&ids);
	values[1] = rf_column_array(&results);
	values[2] = Int64GetDatum(incarnation);
	ours = rf_statement_run(&statements[result_table], values, NULL);
	foreach(lc, jobs)
	{
		const RfRunJob *job = lfirst(lc);

		if (job->handler == NULL || job->handler->done ||
			rf_handler_job_done(job->handler, job->id, job->attempts))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the event was handed to the handler by somebody else meanwhile")));
	}
	become_oneself(&guise);
	return (int) ours;
}

bool
rf_run_fail(int64 incarnation, const RfRunFailure *failure, int attempt_table)
{
	Guise		guise;
	bool		ours;

	become_owner(&guise);
	ours = failure->state == NULL ? write_waiting(incarnation, failure) :
		write_dead(incarnation, failure);
	if (ours)
		write_attempt(failure, attempt_table);
	become_oneself(&guise);
	return ours;
}

/*
 * What the role's settings, or the tasks that ran before, could have made of
 * our statements: names found elsewhere, plans that read whole tables, a
 * transaction that may not write.
 */
static void
become_owner(Guise *guise)
{
	static const char *const pinned[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"plan_cache_mode", "force_generic_plan"},
		{"enable_indexscan", "on"},
		{"enable_nestloop", "on"},
		{"enable_seqscan", "off"},
		{"enable_hashjoin", "off"},
		{"enable_mergejoin", "off"}
	};

	guise->guc_level = NewGUCNestLevel();
	for (size_t i = 0; i < lengthof(pinned); i++)
		(void) set_config_option(pinned[i][0], pinned[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	guise->read_only = XactReadOnly;
	XactReadOnly = false;
	PushActiveSnapshot(GetTransactionSnapshot());
	rf_insert_begin_as_owner(&guise->userid, &guise->security);
}

static void
become_oneself(const Guise *guise)
{
	rf_insert_end_as_owner(guise->userid, guise->security);
	PopActiveSnapshot();
	XactReadOnly = guise->read_only;
	AtEOXact_GUC(true, guise->guc_level);
}

static RfRunJob *
read_job(HeapTuple tuple, TupleDesc desc, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	RfRunJob   *job = palloc0(sizeof(RfRunJob));
	bool		isnull;
	Datum		states;

	job->id = DatumGetInt64(column(tuple, desc, C_ID, 0));
	job->task = SPI_getvalue(tuple, desc, C_TASK);
	job->queue = SPI_getvalue(tuple, desc, C_QUEUE);
	job->run_as = SPI_getvalue(tuple, desc, C_RUN_AS);
	job->args = (Jsonb *) PG_DETOAST_DATUM_COPY(column(tuple, desc, C_ARGS, 0));
	job->attempts = DatumGetInt32(column(tuple, desc, C_ATTEMPTS, 0));
	job->failures = DatumGetInt32(column(tuple, desc, C_FAILURES, 0));
	job->max_attempts = DatumGetInt32(column(tuple, desc, C_MAX_ATTEMPTS, Int32GetDatum(rf_max_attempts)));
	job->expires_at = DatumGetTimestampTz(column(tuple, desc, C_EXPIRES_AT, TimestampTzGetDatum(DT_NOEND)));
	job->function = SPI_getvalue(tuple, desc, C_FUNCTION);
	job->timeout_us = rf_interval_us(tuple, desc, C_TIMEOUT);
	job->retry_base_us = rf_interval_us(tuple, desc, C_RETRY_BASE);
	job->retry_cap_us = rf_interval_us(tuple, desc, C_RETRY_CAP);
	states = SPI_getbinval(tuple, desc, C_GIVE_UP_ON, &isnull);
	job->give_up_on = rf_name_list(states, isnull);
	job->mode = rf_mode_of_text(SPI_getvalue(tuple, desc, C_MODE));
	MemoryContextSwitchTo(old);
	return job;
}

static Datum
column(HeapTuple tuple, TupleDesc desc, int which, Datum otherwise)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, which, &isnull);

	return isnull ? otherwise : value;
}

/* Of those that hand an event to a handler, what they do and how they retry. */
static void
read_handlers(List *jobs, MemoryContext context)
{
	ListCell   *lc;

	foreach(lc, jobs)
	{
		RfRunJob   *job = lfirst(lc);
		MemoryContext old;

		if (strcmp(job->task, RF_HANDLER_TASK) != 0)
			continue;
		old = MemoryContextSwitchTo(context);
		job->handler = rf_handler_job_read(job->args, job->run_as);
		MemoryContextSwitchTo(old);
		job->retry_base_us = job->handler->retry_base_us;
		job->retry_cap_us = job->handler->retry_cap_us;
	}
}

static List *
in_order(List *jobs, const int64 *ids, int nids)
{
	List	   *ordered = NIL;

	for (int i = 0; i < nids; i++)
	{
		ListCell   *lc;

		foreach(lc, jobs)
			if (((RfRunJob *) lfirst(lc))->id == ids[i])
			ordered = lappend(ordered, lfirst(lc));
	}
	return ordered;
}

static void
write_attempt(const RfRunFailure *failure, int attempt_table)
{
#define ATTEMPT_INTO(table) { \
		"INSERT INTO roleferry." table \
		" (job_id, attempt, started_at, took, outcome, verdict, reason, error)" \
		" VALUES ($1, $2, $3, pg_catalog.clock_timestamp() - $3, $4, $5, $6, $7)", \
		7, {INT8OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID}, NULL}
	static RfStatement statements[3] = {
		ATTEMPT_INTO("attempt_0"),
		ATTEMPT_INTO("attempt_1"),
		ATTEMPT_INTO("attempt_2")
	};
	Datum		values[7];
	char		nulls[7] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};

	values[0] = Int64GetDatum(failure->job->id);
	values[1] = Int32GetDatum(failure->job->attempts);
	values[2] = TimestampTzGetDatum(failure->started_at);
	values[3] = CStringGetTextDatum(failure->outcome);
	values[4] = CStringGetTextDatum(failure->state ? failure->state : "retry");
	values[5] = CStringGetTextDatum(failure->reason);
	values[6] = failure->error ? JsonbPGetDatum(failure->error) : (Datum) 0;
	nulls[6] = failure->error ? ' ' : 'n';
	(void) rf_statement_run(&statements[attempt_table], values, nulls);
}

static bool
write_waiting(int64 incarnation, const RfRunFailure *failure)
{
	static RfStatement wait = {
		"UPDATE roleferry.outbox AS o SET worker = NULL, claimed_at = NULL, run_at = $3, failures = o.failures + 1"
		" WHERE o.id = $1 AND o.worker = $2",
		3, {INT8OID, INT8OID, TIMESTAMPTZOID}, NULL
	};
	Datum		values[3];

	values[0] = Int64GetDatum(failure->job->id);
	values[1] = Int64GetDatum(incarnation);
	values[2] = TimestampTzGetDatum(failure->run_at);
	return rf_statement_run(&wait, values, NULL) > 0;
}

static bool
write_dead(int64 incarnation, const RfRunFailure *failure)
{
	static RfStatement bury = {
		"WITH gone AS (DELETE FROM roleferry.outbox AS o WHERE o.id = $1 AND o.worker = $2 RETURNING o.*)"
		" INSERT INTO roleferry.dead_letter (job_id, created_at, finished_at, attempts, failures, max_attempts, priority,"
		" state, outcome, reason, error, task, role, queue, tenant_key, order_key, idempotency_key, delivery, accounts, args, mode)"
		" SELECT g.id, g.created_at, pg_catalog.clock_timestamp(), g.attempts, g.failures + 1, g.max_attempts, g.priority,"
		" $3, $4, $5, $6, g.task, g.role, g.queue, g.tenant_key, g.order_key, g.idempotency_key, g.delivery, g.accounts, g.args, g.mode"
		" FROM gone AS g",
		6, {INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, JSONBOID}, NULL
	};
	Datum		values[6];
	char		nulls[6] = {' ', ' ', ' ', ' ', ' ', ' '};

	values[0] = Int64GetDatum(failure->job->id);
	values[1] = Int64GetDatum(incarnation);
	values[2] = CStringGetTextDatum(failure->state);
	values[3] = CStringGetTextDatum(failure->outcome);
	values[4] = CStringGetTextDatum(failure->reason);
	values[5] = failure->error ? JsonbPGetDatum(failure->error) : (Datum) 0;
	nulls[5] = failure->error ? ' ' : 'n';
	return rf_statement_run(&bury, values, nulls) > 0;
}

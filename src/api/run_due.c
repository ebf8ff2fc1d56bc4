/*-------------------------------------------------------------------------
 *
 * run_due.c
 *	  roleferry.run_due(): a test's way to have what is due done now.
 *
 * The dispatcher does it, as always; the session asks it to look at once, and
 * waits until each job has ended or waits for another try.  What this
 * transaction has enqueued nobody else can see, so one that has written is
 * refused rather than made to wait for ever.
 *
 * IDENTIFICATION
 *	  src/api/run_due.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "api/caller.h"
#include "api/results.h"
#include "api/timeout.h"
#include "api/version.h"
#include "errors.h"
#include "shmem/call.h"
#include "shmem/gate.h"
#include "shmem/waiter.h"
#include "shmem/wake.h"

#define DEFAULT_TIMEOUT_US	INT64CONST(30000000)
#define LOOK_US				INT64CONST(100000)

/* Parameters. */
enum
{
	P_QUEUE,
	P_MAX_JOBS,
	P_TIMEOUT,
	NPARAMETERS
};

typedef struct Due
{
	int64		id;
	int			attempts;
} Due;

static Due *find_due(FunctionCallInfo fcinfo, int *count);
static void wait_told(FunctionCallInfo fcinfo, const Due *due, int64 until_us, RfLook *look);
static void wait_for(FunctionCallInfo fcinfo, const Due *due, int64 until_us, RfLook *look);

PG_FUNCTION_INFO_V1(roleferry_run_due);

Datum
roleferry_run_due(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		until_us;
	Due		   *due;
	int			count;

	rf_shared_require();
	rf_version_require_arguments(fcinfo, NPARAMETERS);
	until_us = rf_gate_now_us() + rf_timeout_parameter(fcinfo, P_TIMEOUT, DEFAULT_TIMEOUT_US);
	if (PG_ARGISNULL(P_MAX_JOBS) || PG_GETARG_INT32(P_MAX_JOBS) < 1)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT), errmsg("\"max_jobs\" is not positive")));
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("run_due() is of no use in a transaction that has written"),
				 errdetail("Nobody sees what it has enqueued before it commits."),
				 errhint("Commit first.")));
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, RF_RESULT_COLUMNS);

	due = find_due(fcinfo, &count);
	rf_wake_now();
	for (int i = 0; i < count; i++)
	{
		RfLook		look;

		wait_told(fcinfo, &due[i], until_us, &look);
		if (look.found)
			tuplestore_putvalues(result->setResult, result->setDesc, look.values, look.nulls);
	}
	if (count > 0)
		rf_result_flush();
	return (Datum) 0;
}

/* In the order in which they will be taken, and how often each was tried. */
static Due *
find_due(FunctionCallInfo fcinfo, int *count)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[3] = {TEXTOID, INT4OID, TEXTOID};
	Datum		values[3];
	char		nulls[3] = {' ', ' ', ' '};
	Due		   *due;
	bool		isnull;
	Oid			userid;
	int			security;

	values[0] = PG_ARGISNULL(P_QUEUE) ? (Datum) 0 : PG_GETARG_DATUM(P_QUEUE);
	nulls[0] = PG_ARGISNULL(P_QUEUE) ? 'n' : ' ';
	values[1] = PG_GETARG_DATUM(P_MAX_JOBS);
	values[2] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	rf_caller_become_owner(fcinfo, &userid, &security);
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_connect();
	if (SPI_execute_with_args("SELECT d.id, d.attempts FROM roleferry.due_jobs($1, $2, $3) AS d",
							  3, types, values, nulls, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read what is due");
	*count = (int) SPI_processed;
	due = MemoryContextAlloc(context, (*count + 1) * sizeof(Due));
	for (int i = 0; i < *count; i++)
	{
		due[i].id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		due[i].attempts = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));
	}
	SPI_finish();
	PopActiveSnapshot();
	SetUserIdAndSecContext(userid, security);
	return due;
}

static void
wait_told(FunctionCallInfo fcinfo, const Due *due, int64 until_us, RfLook *look)
{
	(void) rf_waiter_begin(due->id);
	PG_TRY();
	{
		wait_for(fcinfo, due, until_us, look);
	}
	PG_FINALLY();
	{
		rf_waiter_end();
	}
	PG_END_TRY();
}

/* Nobody tells of a job that waits again, so it is looked at often. */
static void
wait_for(FunctionCallInfo fcinfo, const Due *due, int64 until_us, RfLook *look)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "roleferry look",
												  ALLOCSET_SMALL_SIZES);

	for (;;)
	{
		MemoryContext old;
		int64		now_us;

		MemoryContextReset(context);
		old = MemoryContextSwitchTo(context);
		rf_result_look(fcinfo, due->id, look);
		MemoryContextSwitchTo(old);
		now_us = rf_gate_now_us();
		if (!look->found || look->ended || now_us >= until_us ||
			(look->waits && DatumGetInt32(look->values[RF_RESULT_ATTEMPTS]) > due->attempts))
			return;
		rf_call_nap(Min(until_us, now_us + LOOK_US));
	}
}

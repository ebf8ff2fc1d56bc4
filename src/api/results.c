/*-------------------------------------------------------------------------
 *
 * results.c
 *	  roleferry.result() and wait_for(): what became of a job, for who may know.
 *
 * The tables are read by a SQL function as the owner of this one, as for
 * job_report().  A wait is a look with a snapshot of its own, then sleep on
 * the latch until somebody tells that the job has ended: see
 * shmem/waiter.h.  Whatever ends a statement ends the wait at once.
 *
 * IDENTIFICATION
 *	  src/api/results.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "api/caller.h"
#include "api/results.h"
#include "api/timeout.h"
#include "api/version.h"
#include "errors.h"
#include "shmem/call.h"
#include "shmem/gate.h"
#include "shmem/waiter.h"

#define DEFAULT_TIMEOUT_US	INT64CONST(30000000)

/* Whoever is told by nobody looks by himself. */
#define LOOK_US				INT64CONST(1000000)
#define LOOK_UNTOLD_US		INT64CONST(100000)

/* Columns of roleferry.job_outcome(). */
enum
{
	O_TASK = 1,
	O_STATE,
	O_RESULT,
	O_REASON,
	O_ATTEMPTS,
	O_FINISHED_AT,
	O_INSERTED_BY
};

static void wait_for_end(FunctionCallInfo fcinfo, int64 job_id, int64 timeout_us, RfLook *look);
static void read_outcome(HeapTuple tuple, TupleDesc desc, MemoryContext context, RfLook *look);
static void refuse(int64 job_id, const RfLook *look);

PG_FUNCTION_INFO_V1(roleferry_result);
PG_FUNCTION_INFO_V1(roleferry_wait_for);

Datum
roleferry_result(PG_FUNCTION_ARGS)
{
	RfLook		look;

	rf_result_look(fcinfo, PG_GETARG_INT64(0), &look);
	if (!look.found || look.nulls[3])
		PG_RETURN_NULL();
	PG_RETURN_DATUM(look.values[3]);
}

Datum
roleferry_wait_for(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		timeout_us;
	int64		job_id;
	RfLook		look;

	rf_version_require_arguments(fcinfo, 2);
	timeout_us = rf_timeout_parameter(fcinfo, 1, DEFAULT_TIMEOUT_US);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT), errmsg("\"job_id\" is null")));
	job_id = PG_GETARG_INT64(0);
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, RF_RESULT_COLUMNS);

	(void) rf_waiter_begin(job_id);
	PG_TRY();
	{
		wait_for_end(fcinfo, job_id, timeout_us, &look);
	}
	PG_FINALLY();
	{
		rf_waiter_end();
	}
	PG_END_TRY();

	if (look.ended)
		rf_result_flush();
	tuplestore_putvalues(result->setResult, result->setDesc, look.values, look.nulls);
	return (Datum) 0;
}

static void
wait_for_end(FunctionCallInfo fcinfo, int64 job_id, int64 timeout_us, RfLook *look)
{
	int64		until_us = rf_gate_now_us() + timeout_us;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "roleferry look",
												  ALLOCSET_SMALL_SIZES);

	for (;;)
	{
		MemoryContext old;
		int64		now_us;

		MemoryContextReset(context);
		old = MemoryContextSwitchTo(context);
		rf_result_look(fcinfo, job_id, look);
		MemoryContextSwitchTo(old);
		if (!look->found || look->own)
			refuse(job_id, look);
		now_us = rf_gate_now_us();
		if (look->ended || now_us >= until_us)
			return;
		rf_call_nap(Min(until_us, now_us + (rf_waiter_is_told() ? LOOK_US : LOOK_UNTOLD_US)));
	}
}

/* With a snapshot of its own: the transaction's may be older than the end. */
void
rf_result_look(FunctionCallInfo fcinfo, int64 job_id, RfLook *look)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[2] = {INT8OID, TEXTOID};
	Datum		values[2];
	Oid			userid;
	int			security;

	memset(look, 0, sizeof(*look));
	values[0] = Int64GetDatum(job_id);
	values[1] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	look->values[0] = Int64GetDatum(job_id);

	rf_caller_become_owner(fcinfo, &userid, &security);
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_connect();
	if (SPI_execute_with_args("SELECT o.* FROM roleferry.job_outcome($1, $2) AS o",
							  2, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read the job's outcome");
	if (SPI_processed > 0)
		read_outcome(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, context, look);
	SPI_finish();
	PopActiveSnapshot();
	SetUserIdAndSecContext(userid, security);
}

static void
read_outcome(HeapTuple tuple, TupleDesc desc, MemoryContext context, RfLook *look)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		isnull;
	Datum		inserted_by = SPI_getbinval(tuple, desc, O_INSERTED_BY, &isnull);

	look->found = true;
	look->own = !isnull && TransactionIdIsCurrentTransactionId(DatumGetTransactionId(inserted_by));
	for (int column = O_TASK; column <= O_FINISHED_AT; column++)
	{
		Datum		value = SPI_getbinval(tuple, desc, column, &look->nulls[column]);
		Form_pg_attribute attribute = TupleDescAttr(desc, column - 1);

		if (!look->nulls[column])
			look->values[column] = datumCopy(value, attribute->attbyval, attribute->attlen);
	}
	look->ended = !look->nulls[O_FINISHED_AT];
	look->waits = strcmp(TextDatumGetCString(look->values[O_STATE]), "waiting") == 0;
	MemoryContextSwitchTo(old);
}

/*
 * Settlements are visible a moment before they are on disk.  Who is told that
 * a job has ended can rely on it.
 */
void
rf_result_flush(void)
{
	XLogRecPtr	end;

	if (RecoveryInProgress())
		return;
	end = GetXLogInsertRecPtr();

	/* At the start of a page that is still to come: the header is not there. */
	if (XLogSegmentOffset(end, wal_segment_size) == SizeOfXLogLongPHD)
		end -= SizeOfXLogLongPHD;
	else if (end % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		end -= SizeOfXLogShortPHD;
	XLogFlush(end);
}

static void
refuse(int64 job_id, const RfLook *look)
{
	if (look->own)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("job " INT64_FORMAT " was enqueued by this transaction and cannot end before it commits", job_id),
				 errhint("Commit first.")));
	ereport(ERROR,
			(errcode(RF_ERRCODE_NOT_FOUND),
			 errmsg("there is no job " INT64_FORMAT " that you may ask about", job_id),
			 errdetail("It was not committed, is another role's, or its result is no longer kept.")));
}

/*-------------------------------------------------------------------------
 *
 * job_control.c
 *	  roleferry.cancel() and retry(): a job's owner has it ended or begun anew.
 *
 * The tables are changed by SQL functions as the owner of these, as for
 * job_report(); they are told who asks.
 *
 * IDENTIFICATION
 *	  src/api/job_control.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/caller.h"
#include "api/version.h"
#include "outbox/order.h"
#include "shmem/shared.h"

static Datum run_as_owner(FunctionCallInfo fcinfo, const char *sql, int nargs,
						  Oid *types, Datum *values);

PG_FUNCTION_INFO_V1(roleferry_cancel);
PG_FUNCTION_INFO_V1(roleferry_retry);

Datum
roleferry_cancel(PG_FUNCTION_ARGS)
{
	Oid			types[2] = {INT8OID, TEXTOID};
	Datum		values[2];

	rf_version_require_arguments(fcinfo, 1);
	values[0] = PG_GETARG_DATUM(0);
	values[1] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	if (!DatumGetBool(run_as_owner(fcinfo, "SELECT roleferry.job_cancel($1, $2)", 2, types, values)))
		PG_RETURN_BOOL(false);
	rf_order_note_ended(PG_GETARG_INT64(0));
	PG_RETURN_BOOL(true);
}

Datum
roleferry_retry(PG_FUNCTION_ARGS)
{
	Oid			types[3] = {INT8OID, TEXTOID, BOOLOID};
	Datum		values[3];

	rf_shared_require();
	rf_version_require_arguments(fcinfo, 2);
	values[0] = PG_GETARG_DATUM(0);
	values[1] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	values[2] = PG_GETARG_DATUM(1);
	(void) run_as_owner(fcinfo, "SELECT roleferry.job_again($1, $2, $3, 'retry')", 3, types, values);
	PG_RETURN_VOID();
}

/* The one value that the statement returns, if it is by value. */
static Datum
run_as_owner(FunctionCallInfo fcinfo, const char *sql, int nargs, Oid *types,
			 Datum *values)
{
	Oid			userid;
	int			security;
	Datum		result;
	bool		isnull;

	rf_caller_become_owner(fcinfo, &userid, &security);
	SPI_connect();
	if (SPI_execute_with_args(sql, nargs, types, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", sql);
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	SPI_finish();
	SetUserIdAndSecContext(userid, security);
	return result;
}

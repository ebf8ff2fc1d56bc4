/*-------------------------------------------------------------------------
 *
 * job_report.c
 *	  roleferry.job_report(): the life of one job, for who may know it.
 *
 * Senders may read none of the tables, so the lines are gathered by a SQL
 * function that runs as this one's owner.  Unlike a SECURITY DEFINER function
 * this one still sees who calls it: session_user and the setting "role" name
 * the superuser whose ANALYZE or REINDEX runs an index function of somebody
 * else's, and not whose function that is.
 *
 * IDENTIFICATION
 *	  src/api/job_report.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/caller.h"

static void put_lines(ReturnSetInfo *result, Datum job_id, const char *asker);

PG_FUNCTION_INFO_V1(roleferry_job_report);

Datum
roleferry_job_report(PG_FUNCTION_ARGS)
{
	char	   *asker = GetUserNameFromId(GetUserId(), false);
	Oid			userid;
	int			context;

	InitMaterializedSRF(fcinfo, 0);
	rf_caller_become_owner(fcinfo, &userid, &context);
	put_lines((ReturnSetInfo *) fcinfo->resultinfo, PG_GETARG_DATUM(0), asker);
	SetUserIdAndSecContext(userid, context);
	return (Datum) 0;
}

static void
put_lines(ReturnSetInfo *result, Datum job_id, const char *asker)
{
	Oid			types[2] = {INT8OID, TEXTOID};
	Datum		values[2];

	values[0] = job_id;
	values[1] = CStringGetTextDatum(asker);

	SPI_connect();
	if (SPI_execute_with_args("SELECT l.* FROM roleferry.job_lines($1, $2) AS l",
							  2, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the job's lines");
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
}

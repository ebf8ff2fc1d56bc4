/*-------------------------------------------------------------------------
 *
 * timeout.c
 *	  The parameter "timeout" of functions that wait.
 *
 * IDENTIFICATION
 *	  src/api/timeout.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "errors.h"
#include "api/timeout.h"

#define MAX_TIMEOUT_US	INT64CONST(86400000000)

int64
rf_timeout_parameter(FunctionCallInfo fcinfo, int which, int64 otherwise_us)
{
	Interval   *interval;

	if (PG_ARGISNULL(which))
		return otherwise_us;
	interval = PG_GETARG_INTERVAL_P(which);
	if (interval->month != 0 || interval->day != 0 ||
		interval->time <= 0 || interval->time > MAX_TIMEOUT_US)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"timeout\" is not between 1 microsecond and 24 hours")));
	return interval->time;
}

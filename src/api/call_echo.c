/*-------------------------------------------------------------------------
 *
 * call_echo.c
 *	  A call that comes back as it was, so that tests can measure the way.
 *
 * Tests create the SQL function themselves; a production build does not have
 * it.
 *
 * IDENTIFICATION
 *	  src/api/call_echo.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef RF_FAULTS

#include "fmgr.h"

#include "shmem/call.h"
#include "shmem/shared.h"

#define TIMEOUT_US INT64CONST(10000000)

PG_FUNCTION_INFO_V1(roleferry_call_echo);

/* roleferry_call_echo(bytea) returns bytea */
Datum
roleferry_call_echo(PG_FUNCTION_ARGS)
{
	bytea	   *request = PG_GETARG_BYTEA_PP(0);
	RfCallResult result;
	bytea	   *answer;

	rf_shared_require();
	rf_call_perform(RF_CALL_ECHO, VARDATA_ANY(request), VARSIZE_ANY_EXHDR(request),
					TIMEOUT_US, &result);
	if (result.end != RF_CALL_ANSWERED)
		PG_RETURN_NULL();
	answer = palloc(VARHDRSZ + result.answer_len);
	SET_VARSIZE(answer, VARHDRSZ + result.answer_len);
	memcpy(VARDATA(answer), result.answer, result.answer_len);
	PG_RETURN_BYTEA_P(answer);
}

#endif							/* RF_FAULTS */

/*-------------------------------------------------------------------------
 *
 * test_calls.c
 *	  Calls by themselves, so that tests can measure the way there and back.
 *
 * Tests create the SQL functions; a production build does not have them.
 *
 * IDENTIFICATION
 *	  src/api/test_calls.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef RF_FAULTS

#include "fmgr.h"

#include "compat.h"
#include "shmem/call.h"
#include "shmem/shared.h"

#define TIMEOUT_US INT64CONST(10000000)

static bytea *perform(RfCallKind kind, const void *request, Size len);

PG_FUNCTION_INFO_V1(roleferry_call_echo);

/* roleferry_call_echo(bytea) returns bytea: as it was, NULL without an answer */
Datum
roleferry_call_echo(PG_FUNCTION_ARGS)
{
	bytea	   *request = PG_GETARG_BYTEA_PP(0);
	bytea	   *answer;

	rf_shared_require();
	answer = perform(RF_CALL_ECHO, VARDATA_ANY(request), VARSIZE_ANY_EXHDR(request));
	if (answer == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(answer);
}

static bytea *
perform(RfCallKind kind, const void *request, Size len)
{
	RfCallResult result;
	bytea	   *answer;

	rf_call_perform(kind, request, len, TIMEOUT_US, &result);
	if (result.end != RF_CALL_ANSWERED)
		return NULL;
	answer = palloc(VARHDRSZ + result.answer_len);
	SET_VARSIZE(answer, VARHDRSZ + result.answer_len);
	memcpy(VARDATA(answer), result.answer, result.answer_len);
	return answer;
}

#endif							/* RF_FAULTS */

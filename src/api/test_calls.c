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
#include "foreign/foreign.h"
#include "utils/builtins.h"

#include "compat.h"
#include "shmem/call.h"
#include "shmem/shared.h"
#include "worker/fetches.h"

#define TIMEOUT_US INT64CONST(10000000)

static bytea *perform(RfCallKind kind, const void *request, Size len);

PG_FUNCTION_INFO_V1(roleferry_call_echo);
PG_FUNCTION_INFO_V1(roleferry_call_fetch);

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

/*
 * roleferry_call_fetch(account text, path text, body text) returns text: the
 * status and what was answered, or why nothing was asked
 */
Datum
roleferry_call_fetch(PG_FUNCTION_ARGS)
{
	ForeignServer *server = GetForeignServerByName(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	char	   *path = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *body = text_to_cstring(PG_GETARG_TEXT_PP(2));
	Size		len;
	void	   *request = rf_fetch_pack(server->serverid, path, body, strlen(body), &len);
	bytea	   *bytes;
	RfFetchAnswer *answer;

	rf_shared_require();
	bytes = perform(RF_CALL_FETCH, request, len);
	if (bytes == NULL)
		PG_RETURN_NULL();
	answer = palloc(VARSIZE_ANY_EXHDR(bytes) + 1);
	memcpy(answer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	((char *) answer)[VARSIZE_ANY_EXHDR(bytes)] = '\0';
	PG_RETURN_TEXT_P(cstring_to_text(answer->asked ?
									 psprintf("%d %s", answer->outcome.http_status, (char *) (answer + 1)) :
									 psprintf("not asked: %s", answer->outcome.reason)));
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

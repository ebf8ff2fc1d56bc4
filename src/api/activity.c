/*-------------------------------------------------------------------------
 *
 * activity.c
 *	  What the dispatcher has under way, as rows.
 *
 * IDENTIFICATION
 *	  src/api/activity.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "api/version.h"
#include "errors.h"
#include "shmem/call.h"
#include "shmem/shared.h"
#include "worker/activity.h"

/* A dispatcher that is well answers within a turn. */
#define TIMEOUT_US	INT64CONST(2000000)

#define COLUMNS		8

static void put(ReturnSetInfo *result, const RfActivity *activity);
static const char *account_name(Oid server);

PG_FUNCTION_INFO_V1(roleferry_requests_under_way);

/* No rows where no dispatcher runs: then nothing is under way. */
Datum
roleferry_requests_under_way(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RfCallResult answer;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, COLUMNS);
	if (rf_shared_find_dispatcher(MyDatabaseId) == NULL)
		return (Datum) 0;
	rf_call_perform(RF_CALL_ACTIVITY, "", 1, TIMEOUT_US, &answer);
	if (answer.end == RF_CALL_DISPATCHER_GONE)
		return (Datum) 0;
	if (answer.end != RF_CALL_ANSWERED)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_REACHED),
				 errmsg("the dispatcher did not answer within 2 s"),
				 errhint("Its line in pg_stat_activity says what it waits for.")));
	for (Size i = 0; i < answer.answer_len / sizeof(RfActivity); i++)
		put(result, (RfActivity *) answer.answer + i);
	return (Datum) 0;
}

static void
put(ReturnSetInfo *result, const RfActivity *activity)
{
	const char *account = account_name(activity->server);
	Interval	age = {.time = activity->age_us};
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};

	nulls[0] = nulls[1] = nulls[3] = activity->job_id == 0;
	values[0] = Int64GetDatum(activity->job_id);
	values[1] = CStringGetTextDatum(activity->task);
	nulls[2] = account == NULL;
	values[2] = CStringGetTextDatum(account != NULL ? account : "");
	values[3] = Int32GetDatum(activity->attempt);
	values[4] = CStringGetTextDatum(activity->sent ? "waiting for the answer" : "connecting");
	values[5] = IntervalPGetDatum(&age);
	values[6] = BoolGetDatum(activity->reused);
	values[7] = BoolGetDatum(activity->awaited);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static const char *
account_name(Oid server)
{
	ListCell   *lc;

	foreach(lc, rf_account_list())
		if (((RfAccount *) lfirst(lc))->serverid == server)
		return ((RfAccount *) lfirst(lc))->name;
	return NULL;				/* dropped meanwhile */
}

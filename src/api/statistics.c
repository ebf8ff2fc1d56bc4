/*-------------------------------------------------------------------------
 *
 * statistics.c
 *	  What accounts have done, and what became of jobs: counters as rows.
 *
 * IDENTIFICATION
 *	  src/api/statistics.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "api/version.h"
#include "errors.h"
#include "outbox/statement.h"
#include "shmem/shared.h"
#include "shmem/stat.h"

#define ACCOUNT_COLUMNS (9 + RF_OUTCOME_CLASSES)

static void put_account(ReturnSetInfo *result, const RfAccount *account,
						const RfStatAccountView *view);
static Datum milliseconds(int64 us);

PG_FUNCTION_INFO_V1(roleferry_account_statistics);
PG_FUNCTION_INFO_V1(roleferry_job_statistics);
PG_FUNCTION_INFO_V1(roleferry_stat_reset);

/* One row an account that has been asked for something. */
Datum
roleferry_account_statistics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *accounts;
	RfStatAccountView view;
	int			i = 0;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, ACCOUNT_COLUMNS + 5);
	accounts = rf_account_list();
	while (rf_stat_next(MyDatabaseId, &i, &view))
	{
		ListCell   *lc;

		foreach(lc, accounts)
			if (((RfAccount *) lfirst(lc))->serverid == view.server)
			put_account(result, lfirst(lc), &view);
	}
	return (Datum) 0;
}

static void
put_account(ReturnSetInfo *result, const RfAccount *account,
			const RfStatAccountView *view)
{
	static const double quantiles[] = {0.50, 0.95, 0.99};
	Datum		values[ACCOUNT_COLUMNS + 5];
	bool		nulls[ACCOUNT_COLUMNS + 5] = {false};
	uint64		calls = 0;
	int			n = 0;

	for (int i = 0; i < RF_OUTCOME_CLASSES; i++)
		calls += view->outcomes[i];
	values[n++] = CStringGetTextDatum(account->name);
	values[n++] = CStringGetTextDatum(account->provider->name);
	values[n++] = Int64GetDatum((int64) calls);
	for (int i = 0; i < RF_OUTCOME_CLASSES; i++)
		values[n++] = Int64GetDatum((int64) view->outcomes[i]);
	values[n++] = Int64GetDatum((int64) view->sent_bytes);
	values[n++] = Int64GetDatum((int64) view->received_bytes);
	values[n++] = Int64GetDatum((int64) view->reused);
	nulls[n] = calls == 0;
	values[n++] = milliseconds(calls > 0 ? (int64) (view->latency_sum_us / calls) : 0);
	for (int i = 0; i < lengthof(quantiles); i++)
	{
		nulls[n] = calls == 0;
		values[n++] = milliseconds(rf_histogram_quantile(view->latency, quantiles[i]));
	}
	for (int i = 0; i < 3; i++)
		nulls[n + i] = view->failed_at == 0;
	values[n++] = TimestampTzGetDatum(view->failed_at);
	values[n++] = CStringGetTextDatum(rf_outcome_class_text(view->failed_class));
	values[n++] = CStringGetTextDatum(rf_text_to_server(view->failed_reason));
	values[n++] = TimestampTzGetDatum(view->since);
	Assert(n == lengthof(values));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* What became of jobs, by the names of the columns. */
Datum
roleferry_job_statistics(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	uint64		jobs[RF_STAT_JOBS];
	Datum		values[RF_STAT_JOBS];
	bool		nulls[RF_STAT_JOBS] = {false};

	rf_shared_require();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	rf_version_require_columns(desc, lengthof(values));
	rf_stat_jobs(MyDatabaseId, jobs);
	for (int i = 0; i < RF_STAT_JOBS; i++)
		values[i] = Int64GetDatum((int64) jobs[i]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Begin anew: one account's numbers, or (NULL) all of this database. */
Datum
roleferry_stat_reset(PG_FUNCTION_ARGS)
{
	RfAccount  *account = NULL;

	rf_shared_require();
	if (!PG_ARGISNULL(0))
	{
		char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

		account = rf_account_by_name(name);
		if (account == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value for \"account\": there is no account \"%s\"", name),
					 errhint("See roleferry.accounts.")));
	}
	rf_stat_reset(MyDatabaseId, account != NULL ? account->serverid : InvalidOid);
	PG_RETURN_VOID();
}

static Datum
milliseconds(int64 us)
{
	return Float8GetDatum(Max(us, 0) / 1000.0);
}

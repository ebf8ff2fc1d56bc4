/*-------------------------------------------------------------------------
 *
 * limits.c
 *	  SQL functions about rate limits and circuits.
 *
 * IDENTIFICATION
 *	  src/api/limits.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "outbox/rate.h"
#include "settings.h"
#include "shmem/limit.h"
#include "shmem/wake.h"
#include "api/version.h"

static void check_fit(List *rules);
static void check_count(List *rules);

PG_FUNCTION_INFO_V1(roleferry_rules_changed);
PG_FUNCTION_INFO_V1(roleferry_circuit_states);
PG_FUNCTION_INFO_V1(roleferry_rate_limit_check);
PG_FUNCTION_INFO_V1(roleferry_rate_windows);

/* After each statement.  A restore into a server without us is let pass. */
Datum
roleferry_rate_limit_check(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("rate_limit_check() is a trigger function")));
	if (rf_shared == NULL)
		return PointerGetDatum(NULL);
	rf_shared_require();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (!TRIGGER_FIRED_BY_DELETE(((TriggerData *) fcinfo->context)->tg_event) &&
		!TRIGGER_FIRED_BY_TRUNCATE(((TriggerData *) fcinfo->context)->tg_event))
	{
		List	   *rules = rf_rate_rules();

		check_fit(rules);
		check_count(rules);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "could not disconnect from SPI");
	rf_wake_note_rules();
	return PointerGetDatum(NULL);
}

/* One row for each window. */
Datum
roleferry_rate_windows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		now_us = rf_gate_now_us();
	TimestampTz now = GetCurrentTimestamp();
	RfLimitView *views;
	int			nviews;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, 4);
	nviews = rf_limit_list(MyDatabaseId, &views, now_us);
	for (int i = 0; i < nviews; i++)
	{
		int64		next_us = views[i].next_us;
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = Int64GetDatum(views[i].key.limit_id);
		values[1] = Int32GetDatum((int32) views[i].used);
		values[2] = Int32GetDatum((int32) views[i].free);
		nulls[3] = next_us == 0 || next_us == RF_RATE_WHEN_ENDED;
		values[3] = nulls[3] ? (Datum) 0 : TimestampTzGetDatum(now + Max(next_us - now_us, 0));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* After each statement that changes what forces circuits. */
Datum
roleferry_rules_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("rules_changed() is a trigger function")));
	if (rf_shared != NULL)
		rf_wake_note_rules();
	return PointerGetDatum(NULL);
}

/* One row for each account. */
Datum
roleferry_circuit_states(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, 5);
	foreach(lc, rf_account_list())
	{
		const RfAccount *account = lfirst(lc);
		RfCircuitView view;
		Datum		values[5];
		bool		nulls[5] = {false, false, false, false, false};

		rf_gate_look_circuit(MyDatabaseId, account->serverid, &view);
		values[0] = CStringGetTextDatum(account->name);
		values[1] = CStringGetTextDatum(view.state);
		values[2] = Int32GetDatum((int32) view.calls);
		values[3] = Int32GetDatum((int32) view.failures);
		values[4] = Int32GetDatum((int32) Min(view.failures_in_row, INT_MAX));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* By key, there must be room for one window at least. */
static void
check_fit(List *rules)
{
	int64		needed = rf_limit_units_elsewhere(MyDatabaseId);
	ListCell   *lc;

	foreach(lc, rules)
		needed += rf_limit_units(((RfRateRule *) lfirst(lc))->max, ((RfRateRule *) lfirst(lc))->credits);
	if (needed > rf_limit_total_units())
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("rate limits do not fit into roleferry.limiter_memory"),
				 errdetail("All of them take " INT64_FORMAT " kB of %d kB.",
						   needed * rf_limiter_memory / rf_limit_total_units(), rf_limiter_memory),
				 errhint("Raise roleferry.limiter_memory and restart the server, or allow fewer requests in a shorter time.")));
}

static void
check_count(List *rules)
{
	ListCell   *lc;

	foreach(lc, rules)
	{
		const RfRateRule *rule = lfirst(lc);
		ListCell   *other;
		int			count = 0;

		foreach(other, rules)
			count += strcmp(((RfRateRule *) lfirst(other))->account, rule->account) == 0;
		if (count > RF_LIMITS_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("account \"%s\" has more than %d rate limits", rule->account, RF_LIMITS_MAX),
					 errhint("Delete one of them first.")));
	}
}

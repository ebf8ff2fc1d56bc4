/*-------------------------------------------------------------------------
 *
 * operations.c
 *	  SQL functions for operators: wake, identity, activation, gates.
 *
 * IDENTIFICATION
 *	  src/api/operations.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "account/secret.h"
#include "errors.h"
#include "outbox/activation.h"
#include "shmem/limit.h"
#include "shmem/wake.h"
#include "api/version.h"

static bool is_limited(const RfAccount *account, int64 *until_us);
static const char *gate_state_text(RfGateState state);

PG_FUNCTION_INFO_V1(roleferry_wake);
PG_FUNCTION_INFO_V1(roleferry_server_identity);
PG_FUNCTION_INFO_V1(roleferry_activation_state);
PG_FUNCTION_INFO_V1(roleferry_account_gates);

Datum
roleferry_wake(PG_FUNCTION_ARGS)
{
	rf_shared_require();
	rf_wake_note_everything();
	PG_RETURN_VOID();
}

Datum
roleferry_server_identity(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false, false, false, false};
	uint8		random[8];
	char		hex[17];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	rf_version_require_columns(desc, lengthof(values));
	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not get random bytes")));
	for (int i = 0; i < 8; i++)
		snprintf(hex + 2 * i, 3, "%02x", random[i]);

	values[0] = Int64GetDatum((int64) GetSystemIdentifier());
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	if (RecoveryInProgress())
		nulls[2] = true;
	else
		values[2] = Int32GetDatum((int32) GetWALInsertionTimeLine());
	values[3] = CStringGetTextDatum(hex);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/* May this database send, and if not, why? */
Datum
roleferry_activation_state(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	RfActivation activation;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	rf_activation_read(&activation);

	values[0] = CStringGetTextDatum(rf_activation_state_text(activation.state));
	values[1] = CStringGetTextDatum(activation.why);
	nulls[1] = activation.why[0] == '\0';
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/* One row an account: can a mail go out by it now? */
Datum
roleferry_account_gates(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, 4);
	foreach(lc, rf_account_list())
	{
		RfAccount  *account = lfirst(lc);
		RfGateView	view;
		char		why[RF_SECRET_WHY_MAX];
		Datum		values[4];
		bool		nulls[4] = {false, false, true, true};

		rf_gate_look(MyDatabaseId, account->serverid, true, &view);
		values[0] = CStringGetTextDatum(account->name);
		values[1] = CStringGetTextDatum(view.state == RF_GATE_PAUSED && view.paused_by == RF_OUTCOME_QUOTA ?
										"stopped" : gate_state_text(view.state));
		if (view.state == RF_GATE_READY &&
			is_limited(account, &view.opens_at_us))
		{
			values[1] = CStringGetTextDatum("limited");
			strlcpy(view.reason, "a rate limit is used up: see roleferry.rate_limits", sizeof(view.reason));
		}
		if (view.reason[0] != '\0')
		{
			values[2] = CStringGetTextDatum(view.reason);
			nulls[2] = false;
		}
		if (view.opens_at_us > 0 && view.opens_at_us < INT64_MAX)
		{
			values[3] = TimestampTzGetDatum(GetCurrentTimestamp() +
											view.opens_at_us - rf_gate_now_us());
			nulls[3] = false;
		}
		if (account->secret_name == NULL)
		{
			values[1] = CStringGetTextDatum("unusable");
			values[2] = CStringGetTextDatum("option \"secret\" is not set");
			nulls[2] = false;
		}
		else if (!rf_secret_check(account->secret_name, why))
		{
			values[1] = CStringGetTextDatum("unusable");
			values[2] = CStringGetTextDatum(why);
			nulls[2] = false;
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* By a window of its own, or of an account that it shares them with. */
static bool
is_limited(const RfAccount *account, int64 *until_us)
{
	int64		now_us = rf_gate_now_us();
	bool		limited = false;
	ListCell   *lc;

	*until_us = 0;
	foreach(lc, rf_account_list())
	{
		const RfAccount *other = lfirst(lc);
		int64		next_us;

		if (!rf_account_shares(account, other) ||
			!rf_limit_is_full(MyDatabaseId, other->serverid, now_us, &next_us))
			continue;
		limited = true;
		*until_us = Max(*until_us, next_us);
	}
	return limited;
}

static const char *
gate_state_text(RfGateState state)
{
	switch (state)
	{
		case RF_GATE_READY:
			return "ready";
		case RF_GATE_PROBE:
			return "probing";
		case RF_GATE_PAUSED:
			return "paused";
		case RF_GATE_OPEN:
			return "open";
	}
	return "unknown";			/* keep compiler quiet */
}

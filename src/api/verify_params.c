/*-------------------------------------------------------------------------
 *
 * verify_params.c
 *	  The parameters that verify_emails() and enqueue_verify_emails() share, and
 *	  the latter.
 *
 * IDENTIFICATION
 *	  src/api/verify_params.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/enqueue_params.h"
#include "api/verify_params.h"
#include "api/version.h"
#include "errors.h"
#include "outbox/verify_args.h"
#include "shmem/server_mode.h"
#include "shmem/shared.h"

enum
{
	P_EMAILS,
	P_ACCOUNT,
	P_MAX_AGE,
	P_IDEMPOTENCY_KEY,
	P_RUN_AT,
	P_PRIORITY,
	P_QUEUE,
	P_EXPIRES_AT,
	P_MAX_ATTEMPTS,
	P_TENANT_KEY,
	P_ON_CONFLICT,
	P_ON_DONE,
	NPARAMETERS
};

static char *text_parameter(FunctionCallInfo fcinfo, int which);

void
rf_verify_params_read(FunctionCallInfo fcinfo, int emails, int account,
					  int max_age, RfVerifyParams *params)
{
	Datum	   *elements;
	bool	   *nulls;

	memset(params, 0, sizeof(*params));
	if (PG_ARGISNULL(emails))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"emails\" is null"),
				 errhint("An empty list is '{}'.")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(emails), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &params->nemails);
	params->emails = MemoryContextAllocHuge(CurrentMemoryContext, (params->nemails + 1) * sizeof(char *));
	for (int i = 0; i < params->nemails; i++)
		params->emails[i] = nulls[i] ? NULL : TextDatumGetCString(elements[i]);
	params->account = text_parameter(fcinfo, account);
	params->max_age_us = PG_INT64_MAX;
	if (PG_ARGISNULL(max_age))
		return;
	if (!rf_verify_age_us(PG_GETARG_INTERVAL_P(max_age), &params->max_age_us))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"max_age\" is negative or longer than 1000 years")));
	params->max_age = DatumGetCString(DirectFunctionCall1(interval_out, PG_GETARG_DATUM(max_age)));
}

void
rf_verify_params_draft(const RfVerifyParams *params, char **emails,
					   int nemails, RfJobDraft *draft)
{
	memset(draft, 0, sizeof(*draft));
	draft->task = "verify_emails";
	draft->mode = rf_mode_for_new_job();
	draft->role = GetUserNameFromId(GetUserId(), false);
	draft->args = rf_verify_args_make(emails, nemails, params->account, params->max_age);
	draft->run_at = GetCurrentTransactionStartTimestamp();
	draft->expires_at = DT_NOEND;
	draft->priority = RF_DEFAULT_PRIORITY;
}

PG_FUNCTION_INFO_V1(roleferry_enqueue_verify_emails);

Datum
roleferry_enqueue_verify_emails(PG_FUNCTION_ARGS)
{
	static const RfEnqueueParams at = {
		P_IDEMPOTENCY_KEY, P_RUN_AT, P_PRIORITY, P_QUEUE, P_EXPIRES_AT, P_MAX_ATTEMPTS, -1, P_TENANT_KEY, -1, -1,
		P_ON_CONFLICT, P_ON_DONE
	};
	RfVerifyParams params;
	RfJobDraft	draft;
	bool		reject;

	rf_shared_require();
	rf_version_require_arguments(fcinfo, NPARAMETERS);
	rf_verify_params_read(fcinfo, P_EMAILS, P_ACCOUNT, P_MAX_AGE, &params);
	rf_verify_params_draft(&params, params.emails, params.nemails, &draft);
	reject = rf_enqueue_params_read(fcinfo, &at, &draft);
	PG_RETURN_INT64(rf_enqueue_params_finish(&draft, reject, NULL));
}

static char *
text_parameter(FunctionCallInfo fcinfo, int which)
{
	return PG_ARGISNULL(which) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(which));
}

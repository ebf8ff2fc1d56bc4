/*-------------------------------------------------------------------------
 *
 * enqueue_email.c
 *	  roleferry.enqueue_email(): one e-mail into the outbox.
 *
 * Turns its parameters into args, checks the job as the outbox's trigger does,
 * and inserts one finished row, as the outbox's owner but in the caller's name.
 *
 * IDENTIFICATION
 *	  src/api/enqueue_email.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "api/email_params.h"
#include "api/version.h"
#include "errors.h"
#include "outbox/insert.h"
#include "outbox/suppression.h"
#include "shmem/shared.h"

/* Parameters after those of every mail, in the SQL function's order. */
typedef enum Parameter
{
	P_RUN_AT = RF_P_OWN,
	P_PRIORITY,
	P_QUEUE,
	P_EXPIRES_AT,
	P_MAX_ATTEMPTS,
	P_ORDER_KEY,
	P_TENANT_KEY,
	P_ON_INVALID,
	P_STREAM
} Parameter;

#define NPARAMETERS (P_STREAM + 1)

static bool wants_reject(FunctionCallInfo fcinfo);
static void fill_draft(FunctionCallInfo fcinfo, RfJobDraft *draft);

PG_FUNCTION_INFO_V1(roleferry_enqueue_email);

Datum
roleferry_enqueue_email(PG_FUNCTION_ARGS)
{
	bool		reject;
	RfJobDraft	draft;
	RfJobProblem problem;

	rf_shared_require();
	rf_version_require_arguments(fcinfo, NPARAMETERS);
	reject = wants_reject(fcinfo);
	fill_draft(fcinfo, &draft);
	if (rf_job_check(&draft, &problem))
	{
		const char *why = rf_suppression_of_mail(draft.args, NULL);

		if (why != NULL)
			PG_RETURN_INT64(rf_insert_suppressed(&draft, why));
		PG_RETURN_INT64(rf_insert_waiting(&draft, NULL));
	}
	if (!reject)
		rf_job_raise(&problem);
	PG_RETURN_INT64(rf_insert_dead_letter(&draft, &problem));
}

static bool
wants_reject(FunctionCallInfo fcinfo)
{
	char	   *on_invalid = rf_email_params_text(fcinfo, P_ON_INVALID);

	if (on_invalid == NULL || strcmp(on_invalid, "error") == 0)
		return false;
	if (strcmp(on_invalid, "reject") == 0)
		return true;
	ereport(ERROR,
			(errcode(RF_ERRCODE_BAD_ARGUMENT),
			 errmsg("\"on_invalid\" is not a way to treat a bad mail"),
			 errhint("Valid values are: error, reject.")));
	return false;				/* keep compiler quiet */
}

static void
fill_draft(FunctionCallInfo fcinfo, RfJobDraft *draft)
{
	memset(draft, 0, sizeof(*draft));
	draft->task = "send_email";
	draft->role = GetUserNameFromId(GetUserId(), false);
	draft->args = rf_email_params_args(fcinfo, P_STREAM);
	draft->queue = rf_email_params_text(fcinfo, P_QUEUE);
	draft->tenant_key = rf_email_params_text(fcinfo, P_TENANT_KEY);
	draft->order_key = rf_email_params_text(fcinfo, P_ORDER_KEY);
	draft->idempotency_key = rf_email_params_text(fcinfo, RF_P_IDEMPOTENCY_KEY);
	draft->delivery = rf_email_params_text(fcinfo, RF_P_DELIVERY);
	draft->expires_at = PG_ARGISNULL(P_EXPIRES_AT) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(P_EXPIRES_AT);
	draft->max_attempts = PG_ARGISNULL(P_MAX_ATTEMPTS) ? 0 : PG_GETARG_INT32(P_MAX_ATTEMPTS);
	draft->priority = PG_ARGISNULL(P_PRIORITY) ? RF_DEFAULT_PRIORITY : PG_GETARG_INT32(P_PRIORITY);
	draft->run_at = PG_ARGISNULL(P_RUN_AT) ? GetCurrentTransactionStartTimestamp() :
		PG_GETARG_TIMESTAMPTZ(P_RUN_AT);

	/* Before it is cut to the column's width. */
	if (draft->priority < 0 || draft->priority > 10)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"priority\" is not between 0 and 10"),
				 errhint("10 goes first.")));
	if (!PG_ARGISNULL(P_MAX_ATTEMPTS) &&
		(draft->max_attempts < 1 || draft->max_attempts > 1000))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"max_attempts\" is not between 1 and 1000")));
}

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

#include "api/email_params.h"
#include "api/enqueue_params.h"
#include "api/version.h"
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
	P_STREAM,
	P_ON_CONFLICT,
	P_UNSUBSCRIBE,
	P_ON_DONE
} Parameter;

#define NPARAMETERS (P_ON_DONE + 1)

static const char *why_suppressed(const RfJobDraft *draft);

PG_FUNCTION_INFO_V1(roleferry_enqueue_email);

Datum
roleferry_enqueue_email(PG_FUNCTION_ARGS)
{
	RfJobDraft	draft;
	bool		reject;

	rf_shared_require();
	reject = rf_enqueue_email_draft(fcinfo, &draft);
	PG_RETURN_INT64(rf_enqueue_params_finish(&draft, reject, why_suppressed));
}

bool
rf_enqueue_email_draft(FunctionCallInfo fcinfo, RfJobDraft *draft)
{
	static const RfEnqueueParams at = {
		RF_P_IDEMPOTENCY_KEY, P_RUN_AT, P_PRIORITY, P_QUEUE, P_EXPIRES_AT, P_MAX_ATTEMPTS, P_ORDER_KEY,
		P_TENANT_KEY, RF_P_DELIVERY, P_ON_INVALID, P_ON_CONFLICT, P_ON_DONE
	};

	rf_version_require_arguments(fcinfo, NPARAMETERS);
	memset(draft, 0, sizeof(*draft));
	draft->task = "send_email";
	draft->args = rf_email_params_args(fcinfo, P_STREAM, P_UNSUBSCRIBE);
	return rf_enqueue_params_read(fcinfo, &at, draft);
}

static const char *
why_suppressed(const RfJobDraft *draft)
{
	return rf_suppression_of_mail(draft->args, NULL);
}

/*-------------------------------------------------------------------------
 *
 * send_email.c
 *	  roleferry.send_email(): one e-mail, and what became of it.
 *
 * Where no rollback can follow, the session hands the mail to the dispatcher
 * and waits: the dispatcher records it, sends it and settles it in its own
 * transactions, and answers when the settlement is on disk.  Anywhere else the
 * mail goes into the outbox with the caller's transaction.
 *
 * A mail's fate is a row, never an error.  Errors are bad arguments, missing
 * rights, and that nobody is there to send it.
 *
 * IDENTIFICATION
 *	  src/api/send_email.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/email_params.h"
#include "api/timeout.h"
#include "api/top_level.h"
#include "api/version.h"
#include "errors.h"
#include "outbox/handover.h"
#include "outbox/insert.h"
#include "outbox/receipt.h"
#include "outbox/statement.h"
#include "settings.h"
#include "shmem/call.h"
#include "shmem/server_mode.h"
#include "shmem/shared.h"

/* The parameters after those of every mail. */
#define P_TIMEOUT	RF_P_OWN
#define P_STREAM	(P_TIMEOUT + 1)
#define P_UNSUBSCRIBE	(P_STREAM + 1)
#define NPARAMETERS	(P_UNSUBSCRIBE + 1)

/* Longer than a connection and a request may take by default. */
#define DEFAULT_TIMEOUT_US	INT64CONST(60000000)

#define NCOLUMNS 6

static void fill_draft(FunctionCallInfo fcinfo, RfJobDraft *draft);
static void refuse_in_transaction(void);
static void queue(const RfJobDraft *draft, RfReceipt *receipt);
static void send_and_wait(const RfJobDraft *draft, int64 timeout, RfReceipt *receipt);
static void raise_not_taken(const RfCallResult *result, int64 timeout);
static void raise_unknown(const RfCallResult *result);
static void put_receipt(ReturnSetInfo *result, const RfReceipt *receipt);

PG_FUNCTION_INFO_V1(roleferry_send_email);

Datum
roleferry_send_email(PG_FUNCTION_ARGS)
{
	int64		timeout;
	RfJobDraft	draft;
	RfJobProblem problem;
	RfReceipt	receipt;

	rf_shared_require();
	rf_version_require_arguments(fcinfo, NPARAMETERS);
	PreventCommandIfReadOnly("send_email()");
	PreventCommandDuringRecovery("send_email()");
	InitMaterializedSRF(fcinfo, 0); /* whatever can fail comes before it */
	rf_version_require_columns(((ReturnSetInfo *) fcinfo->resultinfo)->setDesc, NCOLUMNS);
	timeout = rf_timeout_parameter(fcinfo, P_TIMEOUT, DEFAULT_TIMEOUT_US);
	fill_draft(fcinfo, &draft);
	if (!rf_job_check(&draft, &problem))
		rf_job_raise(&problem);

	if (rf_top_level_is_alone(fcinfo))
		send_and_wait(&draft, timeout, &receipt);
	else
	{
		if (rf_send_in_transaction == RF_SEND_ERROR)
			refuse_in_transaction();
		queue(&draft, &receipt);
	}
	put_receipt((ReturnSetInfo *) fcinfo->resultinfo, &receipt);
	return (Datum) 0;
}

static void
fill_draft(FunctionCallInfo fcinfo, RfJobDraft *draft)
{
	memset(draft, 0, sizeof(*draft));
	draft->task = "send_email";
	draft->mode = rf_mode_for_new_job();
	draft->role = GetUserNameFromId(GetUserId(), false);
	draft->args = rf_email_params_args(fcinfo, P_STREAM, P_UNSUBSCRIBE);
	draft->idempotency_key = rf_email_params_text(fcinfo, RF_P_IDEMPOTENCY_KEY);
	draft->delivery = rf_email_params_text(fcinfo, RF_P_DELIVERY);
	draft->run_at = GetCurrentTransactionStartTimestamp();
	draft->expires_at = DT_NOEND;
	draft->priority = RF_DEFAULT_PRIORITY;
}

static void
refuse_in_transaction(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("send_email() cannot wait here: a rollback could follow"),
			 errdetail("It waits only where it is all that a SELECT outside a transaction block does, and roleferry.send_in_transaction is \"error\"."),
			 errhint("Use enqueue_email(): the mail leaves when the transaction commits.")));
}

static void
queue(const RfJobDraft *draft, RfReceipt *receipt)
{
	bool		existed;
	RfJobProblem problem;
	int64		id;

	if (!rf_insert_waiting(draft, &id, &existed, &problem))
		rf_job_raise(&problem);
	rf_receipt_init(receipt, "queued", id);
	if (existed)
	{
		Oid			userid;
		int			context;

		rf_insert_begin_as_owner(&userid, &context);
		rf_receipt_find(id, receipt);
		rf_insert_end_as_owner(userid, context);
	}
}

static void
send_and_wait(const RfJobDraft *draft, int64 timeout, RfReceipt *receipt)
{
	Size		len;
	void	   *request;
	RfCallResult result;

	if (rf_session_mode() == RF_MODE_OFF)
		rf_mode_require_live();
	request = rf_handover_pack(draft, &len);
	rf_call_perform(RF_CALL_SEND_EMAIL, request, len, timeout, &result);
	pfree(request);
	switch (result.end)
	{
		case RF_CALL_ANSWERED:
			memcpy(receipt, result.answer, sizeof(*receipt));
			break;
		case RF_CALL_NOT_TAKEN:
			raise_not_taken(&result, timeout);
			break;
		case RF_CALL_STILL_RUNNING:
		case RF_CALL_DISPATCHER_GONE:
			if (!result.was_taken)
				raise_not_taken(&result, timeout);
			if (result.end == RF_CALL_DISPATCHER_GONE || result.job_id == 0)
				raise_unknown(&result);
			rf_receipt_init(receipt, "running", result.job_id);
			strlcpy(receipt->reason, "no answer yet: it goes on", sizeof(receipt->reason));
			break;
	}
	if (receipt->sqlerrcode != 0)
		ereport(ERROR,
				(errcode(receipt->sqlerrcode),
				 errmsg_internal("%s", receipt->reason),
				 receipt->hint[0] ? errhint("%s", receipt->hint) : 0));
}

static void
raise_not_taken(const RfCallResult *result, int64 timeout)
{
	if (result->end == RF_CALL_DISPATCHER_GONE)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("the dispatcher ended before it took the mail"),
				 errdetail("Nothing was recorded, nothing is sent."),
				 errhint("Try again: the launcher starts another dispatcher in a moment.")));
	ereport(ERROR,
			(errcode(RF_ERRCODE_NOT_READY),
			 errmsg("the dispatcher did not take the mail within %lld ms",
					(long long) (timeout / 1000)),
			 errdetail("Nothing was recorded, nothing is sent.")));
}

static void
raise_unknown(const RfCallResult *result)
{
	const char *why = result->end == RF_CALL_DISPATCHER_GONE ?
		"the dispatcher ended while it had the mail" :
		"the mail was still being recorded when the time was over";

	ereport(ERROR,
			(errcode(RF_ERRCODE_UNKNOWN),
			 errmsg("%s", why),
			 result->job_id != 0 ?
			 errdetail("It is job %lld.", (long long) result->job_id) : 0,
			 errhint("What became of it stands in roleferry.jobs: look there before you send it again.")));
}

static void
put_receipt(ReturnSetInfo *result, const RfReceipt *receipt)
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];
	const char *texts[] = {receipt->status, receipt->message_id, receipt->provider};

	for (int i = 0; i < 3; i++)
	{
		values[i] = CStringGetTextDatum(rf_text_to_server(texts[i]));
		nulls[i] = texts[i][0] == '\0';
	}
	values[3] = Int64GetDatum(receipt->job_id);
	nulls[3] = false;
	values[4] = CStringGetTextDatum(rf_text_to_server(receipt->reason));
	nulls[4] = receipt->reason[0] == '\0';
	values[5] = Int32GetDatum(receipt->http_status);
	nulls[5] = receipt->http_status == 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*-------------------------------------------------------------------------
 *
 * verify_emails.c
 *	  roleferry.verify_emails(): verdicts on addresses, for a caller who waits.
 *
 * What is known is read from the cache, without the dispatcher.  The rest
 * becomes a job, which somebody waits for; it is done when its verdicts are in
 * the cache, and there they are read, with a snapshot of their own, so that a
 * transaction with an old one sees them, too.  Nothing that was paid for is lost
 * by a rollback, so it waits anywhere.
 *
 * IDENTIFICATION
 *	  src/api/verify_emails.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/timeout.h"
#include "api/verify_params.h"
#include "api/version.h"
#include "errors.h"
#include "outbox/handover.h"
#include "outbox/insert.h"
#include "outbox/receipt.h"
#include "outbox/statement.h"
#include "outbox/verdict.h"
#include "shmem/call.h"
#include "shmem/server_mode.h"
#include "shmem/shared.h"

enum
{
	P_EMAILS,
	P_ACCOUNT,
	P_TIMEOUT,
	P_MAX_AGE,
	NPARAMETERS
};

#define NCOLUMNS 7
#define DEFAULT_TIMEOUT_US	INT64CONST(60000000)

/* One element of the list. */
typedef struct Asked
{
	char	   *given;			/* NULL: a null */
	const char *folded;			/* NULL: it is not asked about */
	const char *status;			/* without being asked; NULL: see kept */
	RfKeptVerdict *kept;
} Asked;

/* The whole list, and each address of it once. */
typedef struct Question
{
	Asked	   *asked;
	int			nasked;
	const char **emails;
	RfKeptVerdict *kept;
	bool	   *answered;
	int			nemails;
	int			nmissing;
	TimestampTz since;
	int64		max_age_us;
} Question;

static void read_list(RfVerifyParams *params, Question *question);
static void fold_one(Asked *asked);
static int	compare_asked(const void *a, const void *b);
static void look(Question *question);
static void wait_for_rest(const Question *question, const RfVerifyParams *params,
						  RfJobDraft *draft, int64 timeout_us);
static void judge_end(const RfCallResult *result, int64 timeout_us);
static void put_rows(ReturnSetInfo *result, const Question *question, TimestampTz since);
static void put_row(ReturnSetInfo *result, const Asked *asked, bool answered, TimestampTz since);

PG_FUNCTION_INFO_V1(roleferry_verify_emails);

Datum
roleferry_verify_emails(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RfVerifyParams params;
	Question	question;
	RfJobDraft	draft;
	RfJobProblem problem;
	int64		timeout_us;

	rf_shared_require();
	rf_version_require_arguments(fcinfo, NPARAMETERS);
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, NCOLUMNS);
	timeout_us = rf_timeout_parameter(fcinfo, P_TIMEOUT, DEFAULT_TIMEOUT_US);
	rf_verify_params_read(fcinfo, P_EMAILS, P_ACCOUNT, P_MAX_AGE, &params);

	/*
	 * Rights first, and an account that is there: for a verdict that is kept,
	 * too.
	 */
	rf_verify_params_draft(&params, NULL, 0, &draft);
	if (!rf_job_check(&draft, &problem))
		rf_job_raise(&problem);

	read_list(&params, &question);
	look(&question);
	if (question.nmissing > 0)
	{
		wait_for_rest(&question, &params, &draft, timeout_us);
		look(&question);
	}
	put_rows(result, &question, question.since);
	return (Datum) 0;
}

/* Each address once, in order, so that the list can point to it. */
static void
read_list(RfVerifyParams *params, Question *question)
{
	Asked	  **sorted = MemoryContextAllocHuge(CurrentMemoryContext, (params->nemails + 1) * sizeof(Asked *));
	int			nsorted = 0;

	memset(question, 0, sizeof(*question));
	question->since = GetCurrentTimestamp();
	question->max_age_us = params->max_age_us;
	question->nasked = params->nemails;
	question->asked = MemoryContextAllocHuge(CurrentMemoryContext, (params->nemails + 1) * sizeof(Asked));
	question->emails = MemoryContextAllocHuge(CurrentMemoryContext, (params->nemails + 1) * sizeof(char *));
	question->kept = MemoryContextAllocHuge(CurrentMemoryContext, (params->nemails + 1) * sizeof(RfKeptVerdict));
	question->answered = MemoryContextAllocHuge(CurrentMemoryContext, (params->nemails + 1) * sizeof(bool));
	for (int i = 0; i < params->nemails; i++)
	{
		Asked	   *asked = &question->asked[i];

		memset(asked, 0, sizeof(*asked));
		asked->given = params->emails[i];
		fold_one(asked);
		if (asked->folded != NULL)
			sorted[nsorted++] = asked;
	}
	qsort(sorted, nsorted, sizeof(Asked *), compare_asked);
	for (int i = 0; i < nsorted; i++)
	{
		if (i == 0 || strcmp(sorted[i]->folded, sorted[i - 1]->folded) != 0)
			question->emails[question->nemails++] = sorted[i]->folded;
		sorted[i]->kept = &question->kept[question->nemails - 1];
	}
}

/* What is no address is invalid, and costs nothing. */
static void
fold_one(Asked *asked)
{
	char		folded[RF_VERIFY_ADDRESS_MAX + 1];
	RfText		address;

	asked->status = "invalid";
	if (asked->given == NULL)
		return;
	address.data = asked->given;
	address.len = strlen(asked->given);
	switch (rf_verify_address(address, folded))
	{
		case RF_ADDRESS_OK:
			asked->folded = pstrdup(folded);
			asked->status = NULL;
			break;
		case RF_ADDRESS_NON_ASCII:
			asked->status = "unknown";
			break;
		case RF_ADDRESS_EMPTY:
		case RF_ADDRESS_CONTROL:
		case RF_ADDRESS_TWO:
		case RF_ADDRESS_TOO_LONG:
		case RF_ADDRESS_SYNTAX:
			break;
	}
}

static int
compare_asked(const void *a, const void *b)
{
	return strcmp((*(Asked *const *) a)->folded, (*(Asked *const *) b)->folded);
}

static void
look(Question *question)
{
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext context = CurrentMemoryContext;
	Oid			userid;
	int			sec_context;

	if (question->nemails == 0)
		return;
	rf_insert_begin_as_owner(&userid, &sec_context);
	MemoryContextSwitchTo(context);
	rf_verdict_find(question->emails, question->nemails, true, question->kept);
	for (int i = 0; i < question->nemails; i++)
	{
		RfKeptVerdict *kept = &question->kept[i];

		/* Beyond SPI, which frees its rows. */
		if (kept->found && kept->flags != (Datum) 0)
			kept->flags = PointerGetDatum(PG_DETOAST_DATUM_COPY(kept->flags));
	}
	rf_insert_end_as_owner(userid, sec_context);
	MemoryContextSwitchTo(context);

	question->nmissing = 0;
	for (int i = 0; i < question->nemails; i++)
	{
		question->answered[i] = rf_verdict_answers(&question->kept[i], question->since,
												   question->max_age_us, now);
		question->nmissing += question->answered[i] ? 0 : 1;
	}
}

/* A job that this session waits for. */
static void
wait_for_rest(const Question *question, const RfVerifyParams *params,
			  RfJobDraft *draft, int64 timeout_us)
{
	char	  **missing = MemoryContextAllocHuge(CurrentMemoryContext, question->nmissing * sizeof(char *));
	int			nmissing = 0;
	RfJobProblem problem;
	RfCallResult result;
	void	   *request;
	Size		len;

	rf_mode_require_live();
	PreventCommandIfReadOnly("verify_emails()");
	PreventCommandDuringRecovery("verify_emails()");
	for (int i = 0; i < question->nemails; i++)
	{
		if (!question->answered[i])
			missing[nmissing++] = unconstify(char *, question->emails[i]);
	}
	rf_verify_params_draft(params, missing, nmissing, draft);
	if (!rf_job_check(draft, &problem))
		rf_job_raise(&problem);
	draft->wait_us = timeout_us;
	request = rf_handover_pack(draft, &len);
	rf_call_perform(RF_CALL_SEND_EMAIL, request, len, timeout_us, &result);
	pfree(request);
	judge_end(&result, timeout_us);
}

/* It goes on wherever it was taken: what has no verdict yet is pending. */
static void
judge_end(const RfCallResult *result, int64 timeout_us)
{
	const RfReceipt *receipt = result->answer;

	if (result->end == RF_CALL_ANSWERED)
	{
		if (receipt->sqlerrcode != 0)
			ereport(ERROR,
					(errcode(receipt->sqlerrcode),
					 errmsg_internal("%s", rf_text_to_server(receipt->reason)),
					 receipt->hint[0] ? errdetail_internal("%s", rf_text_to_server(receipt->hint)) : 0,
					 receipt->job_id != 0 ?
					 errhint("It is job %lld: roleferry.jobs tells what becomes of it.", (long long) receipt->job_id) : 0));
		return;
	}
	if (result->was_taken && result->job_id != 0)
		return;
	if (result->end == RF_CALL_DISPATCHER_GONE)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("the dispatcher ended before it took the addresses"),
				 errhint("Try again: the launcher starts another dispatcher in a moment. Nothing is paid for twice.")));
	ereport(ERROR,
			(errcode(RF_ERRCODE_NOT_READY),
			 errmsg("the dispatcher did not take the addresses within %lld ms",
					(long long) (timeout_us / 1000))));
}

static void
put_rows(ReturnSetInfo *result, const Question *question, TimestampTz since)
{
	for (int i = 0; i < question->nasked; i++)
	{
		const Asked *asked = &question->asked[i];
		bool		answered = asked->kept != NULL && question->answered[asked->kept - question->kept];

		put_row(result, asked, answered, since);
	}
}

static void
put_row(ReturnSetInfo *result, const Asked *asked, bool answered, TimestampTz since)
{
	const RfKeptVerdict *kept = answered ? asked->kept : NULL;
	const char *status = asked->status != NULL ? asked->status : kept != NULL ? kept->status : "pending";
	const char *source = asked->status != NULL ? "syntax" :
		kept == NULL ? NULL : kept->checked_at >= since ? kept->provider : "cache";
	const char *texts[NCOLUMNS] = {
		asked->given, status, kept ? kept->raw : NULL, NULL, kept ? kept->suggestion : NULL, NULL, source
	};
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];

	for (int i = 0; i < NCOLUMNS; i++)
	{
		nulls[i] = texts[i] == NULL;
		values[i] = texts[i] != NULL ? CStringGetTextDatum(texts[i]) : (Datum) 0;
	}
	if (kept != NULL)
	{
		nulls[3] = kept->flags == (Datum) 0;
		values[3] = kept->flags;
		nulls[5] = false;
		values[5] = TimestampTzGetDatum(kept->checked_at);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

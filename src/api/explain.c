/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  roleferry.explain_email() and explain(): what would become of a job.
 *
 * The session checks the job as if it were enqueued, and asks the dispatcher
 * about its gates: those who decide are asked, and nothing is done.  The last
 * row says it all in one word.
 *
 * IDENTIFICATION
 *	  src/api/explain.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "api/email_params.h"
#include "api/rendered.h"
#include "api/version.h"
#include "outbox/email_args.h"
#include "outbox/handover.h"
#include "outbox/suppression.h"
#include "outbox/statement.h"
#include "outbox/task.h"
#include "settings.h"
#include "shmem/call.h"
#include "shmem/server_mode.h"
#include "shmem/shared.h"
#include "worker/explain.h"

/* A dispatcher that is well answers within a turn. */
#define TIMEOUT_US	INT64CONST(2000000)

#define NCOLUMNS	6

/* What is being explained. */
typedef struct Explain
{
	ReturnSetInfo *result;
	RfJobDraft	draft;
	bool		mail;
	RfMode		mode;
	char	   *suppressed;		/* why it gets no mail */
	RfExplained *answer;		/* the dispatcher's; NULL: there is none */
	const char *taken;			/* the account; NULL: none now */
	TimestampTz until;			/* when one opens; 0: not known */
} Explain;

static void explain(Explain *e);
static void explain_mode(Explain *e);
static void explain_suppression(Explain *e);
static void explain_task(Explain *e);
static void ask_dispatcher(Explain *e);
static void explain_accounts(Explain *e);
static void explain_left_out(Explain *e);
static void explain_end(Explain *e);
static const char *why_left_out(const RfAccount *account, Oid roleid, const RfEmail *email);
static void put(Explain *e, const char *item, const char *name, const char *verdict,
				const char *reason, TimestampTz until, Jsonb *request);

PG_FUNCTION_INFO_V1(roleferry_explain_email);
PG_FUNCTION_INFO_V1(roleferry_explain);

Datum
roleferry_explain_email(PG_FUNCTION_ARGS)
{
	Explain		e = {.result = (ReturnSetInfo *) fcinfo->resultinfo,.mail = true};

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(e.result->setDesc, NCOLUMNS);
	(void) rf_enqueue_email_draft(fcinfo, &e.draft);
	explain(&e);
	return (Datum) 0;
}

Datum
roleferry_explain(PG_FUNCTION_ARGS)
{
	Explain		e = {.result = (ReturnSetInfo *) fcinfo->resultinfo};

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(e.result->setDesc, NCOLUMNS);
	e.draft.task = text_to_cstring(PG_GETARG_TEXT_PP(0));
	e.draft.args = PG_GETARG_JSONB_P(1);
	e.draft.mode = rf_mode_for_new_job();
	e.draft.role = GetUserNameFromId(GetUserId(), false);
	e.draft.priority = RF_DEFAULT_PRIORITY;
	e.draft.run_at = GetCurrentTransactionStartTimestamp();
	e.draft.expires_at = DT_NOEND;
	e.mail = strcmp(e.draft.task, "send_email") == 0;
	explain(&e);
	return (Datum) 0;
}

static void
explain(Explain *e)
{
	RfJobProblem problem;

	if (!rf_job_check(&e->draft, &problem))
	{
		put(e, "result", NULL, "refused", problem.message, 0, NULL);
		return;
	}
	e->mode = rf_mode_stricter(e->draft.mode, rf_server_mode());
	ask_dispatcher(e);
	if (e->answer == NULL || e->answer->active)
		put(e, "queue", e->draft.effective_queue,
			e->answer != NULL && e->answer->queue_closed ? "closed" : "open",
			e->answer == NULL || !e->answer->queue_closed ? NULL :
			e->answer->queue_opens_in_us != 0 ? "it is paused" : "as many of its jobs are under way as may be",
			e->answer != NULL && e->answer->queue_opens_in_us > 0 && e->answer->queue_opens_in_us < PG_INT64_MAX ?
			GetCurrentTimestamp() + e->answer->queue_opens_in_us : 0, NULL);
	else
		put(e, "queue", e->draft.effective_queue, "closed", psprintf("this database is not active: %s", e->answer->why), 0, NULL);
	if (!rf_job_is_built_in(e->draft.task))
		explain_task(e);
	else
	{
		explain_mode(e);
		if (e->mail)
			explain_suppression(e);
		explain_accounts(e);
		if (e->mail)
			explain_left_out(e);
	}
	explain_end(e);
}

static void
explain_mode(Explain *e)
{
	static const char *const verdicts[] = {
		[RF_MODE_SENDS] = "sends",
		[RF_MODE_TESTS] = "tests",
		[RF_MODE_KEEPS] = "captures",
		[RF_MODE_WAITS] = "waits",
		[RF_MODE_REFUSES] = "refuses"
	};

	put(e, "mode", rf_mode_text(e->mode), verdicts[rf_mode_decide(e->mode, e->mail)],
		e->mode == rf_server_mode() ? "the server's" : "this session's", 0, NULL);
	if (e->mail && rf_redirect_all_to != NULL && rf_redirect_all_to[0] != '\0')
		put(e, "redirect", rf_redirect_all_to, "redirected", "roleferry.redirect_all_to takes the place of all recipients", 0, NULL);
}

static void
explain_suppression(Explain *e)
{
	List	   *taken_off;

	e->suppressed = rf_suppression_of_mail(e->draft.args, &taken_off);
	put(e, "suppression", NULL, e->suppressed ? "suppressed" : "clear",
		e->suppressed ? e->suppressed :
		taken_off != NIL ? psprintf("%d of those in copy are taken off", list_length(taken_off)) : NULL, 0, NULL);
}

/* Function, role and policy of a SQL task, as its row has them. */
static void
explain_task(Explain *e)
{
	RfTaskTold	told;

	if (!rf_task_tell(e->draft.task, &told))
		return;
	put(e, "function", told.function, "runs", told.policy, 0, NULL);
	put(e, "role", told.run_as ? told.run_as : e->draft.role, "runs",
		told.run_as == NULL || strcmp(told.run_as, e->draft.role) == 0 ? "who enqueues it" : "the task's run_as", 0, NULL);
	e->taken = told.function;
}

static void
ask_dispatcher(Explain *e)
{
	RfCallResult result;
	Size		len;
	void	   *request;

	if (rf_shared_find_dispatcher(MyDatabaseId) == NULL)
	{
		put(e, "dispatcher", NULL, "absent", "none serves this database: see roleferry.doctor()", 0, NULL);
		return;
	}
	request = rf_handover_pack(&e->draft, &len);
	rf_call_perform(RF_CALL_EXPLAIN, request, len, TIMEOUT_US, &result);
	pfree(request);
	if (result.end == RF_CALL_ANSWERED && result.answer_len == sizeof(RfExplained))
		e->answer = result.answer;
	else
		put(e, "dispatcher", NULL, "silent", "it did not answer within 2 s: its line in pg_stat_activity says what it waits for", 0, NULL);
}

static void
explain_accounts(Explain *e)
{
	static const char *const verdicts[] = {"taken", "busy", "next", "passed over"};
	ListCell   *lc;

	foreach(lc, e->draft.accounts)
	{
		int			i = foreach_current_index(lc);
		const char *name = lfirst(lc);
		const RfExplainedAccount *account;
		TimestampTz until = 0;

		if (e->answer == NULL || i >= e->answer->naccounts)
		{
			put(e, "account", name, "candidate", NULL, 0, NULL);
			continue;
		}
		account = &e->answer->accounts[i];
		if (account->opens_in_us > 0)
			until = GetCurrentTimestamp() + account->opens_in_us;
		if (until != 0 && (e->until == 0 || until < e->until))
			e->until = until;
		if (account->verdict == RF_EXPLAIN_TAKEN)
			e->taken = name;
		put(e, "account", name, verdicts[account->verdict],
			account->reason[0] ? account->reason : NULL, until, NULL);
	}
}

/* Those that a mail without "accounts" would have had, too. */
static void
explain_left_out(Explain *e)
{
	Oid			roleid = GetUserId();
	RfEmail		email;
	RfFieldError error;
	List	   *wanted;
	ListCell   *lc;

	if (!rf_email_from_args(e->draft.args, &email, &wanted, &error))
		return;
	foreach(lc, rf_job_candidate_accounts(wanted))
	{
		const char *name = lfirst(lc);
		const RfAccount *account = rf_account_by_name(name);
		const char *why = why_left_out(account, roleid, &email);

		if (why != NULL)
			put(e, "account", name, "left out", why, 0, NULL);
	}
}

static const char *
why_left_out(const RfAccount *account, Oid roleid, const RfEmail *email)
{
	if (account == NULL)
		return "there is no such account";
	if (!account->provider->sends_email)
		return NULL;
	if (!rf_account_usable(account, roleid))
		return "the role has no USAGE on it";
	if (!account->provider->mail_fits(email))
		return "the mail is too large for it";
	return NULL;
}

/* In the order in which the dispatcher asks. */
static void
explain_end(Explain *e)
{
	bool		ready = e->answer != NULL && e->answer->active && !e->answer->queue_closed;
	const RfAccount *account;
	Jsonb	   *request = NULL;
	char	   *problem = NULL;

	if (!rf_job_is_built_in(e->draft.task))
	{
		put(e, "result", e->taken, ready ? "runs" : "waits", NULL, 0, NULL);
		return;
	}
	if (e->suppressed != NULL)
	{
		put(e, "result", NULL, "suppressed", e->suppressed, 0, NULL);
		return;
	}
	account = rf_account_by_name(e->taken ? e->taken : linitial(e->draft.accounts));
	if (e->mail && account != NULL)
		request = rf_rendered_request(account, 0, e->draft.args, "0", e->mode == RF_MODE_SANDBOX, &problem);
	switch (rf_mode_decide(e->mode, e->mail))
	{
		case RF_MODE_SENDS:
		case RF_MODE_TESTS:
			if (ready && e->taken != NULL)
				put(e, "result", e->taken, e->mode == RF_MODE_SANDBOX ? "tests" : "sends", problem, 0, request);
			else
				put(e, "result", NULL, "waits", problem, e->taken == NULL ? e->until : 0, request);
			break;
		case RF_MODE_KEEPS:
			put(e, "result", account ? account->name : NULL, "captured", problem, 0, request);
			break;
		case RF_MODE_WAITS:
			put(e, "result", NULL, "waits", "roleferry.mode is \"off\"", 0, request);
			break;
		case RF_MODE_REFUSES:
			put(e, "result", NULL, "fails", "roleferry.mode is \"sandbox\", and there is no test mode for it", 0, NULL);
			break;
	}
}

static void
put(Explain *e, const char *item, const char *name, const char *verdict,
	const char *reason, TimestampTz until, Jsonb *request)
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS] = {false};

	values[0] = CStringGetTextDatum(item);
	nulls[1] = name == NULL;
	values[1] = name ? CStringGetTextDatum(name) : (Datum) 0;
	values[2] = CStringGetTextDatum(verdict);
	nulls[3] = reason == NULL;
	values[3] = reason ? CStringGetTextDatum(rf_text_to_server(reason)) : (Datum) 0;
	nulls[4] = until == 0;
	values[4] = TimestampTzGetDatum(until);
	nulls[5] = request == NULL;
	values[5] = request ? JsonbPGetDatum(request) : (Datum) 0;
	tuplestore_putvalues(e->result->setResult, e->result->setDesc, values, nulls);
}

/*-------------------------------------------------------------------------
 *
 * enqueue_params.c
 *	  Parameters that all functions which enqueue have, and their end.
 *
 * IDENTIFICATION
 *	  src/api/enqueue_params.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/enqueue_params.h"
#include "errors.h"
#include "outbox/insert.h"
#include "shmem/server_mode.h"

static bool given(FunctionCallInfo fcinfo, int which);
static char *text_of(FunctionCallInfo fcinfo, int which);
static bool is_word(const char *value, const char *field, const char *otherwise, const char *word);
static RfOnConflict conflict_of(const char *value);

bool
rf_enqueue_params_read(FunctionCallInfo fcinfo, const RfEnqueueParams *at,
					   RfJobDraft *draft)
{
	draft->mode = rf_mode_for_new_job();
	draft->role = GetUserNameFromId(GetUserId(), false);
	draft->idempotency_key = text_of(fcinfo, at->idempotency_key);
	draft->queue = text_of(fcinfo, at->queue);
	draft->order_key = text_of(fcinfo, at->order_key);
	draft->tenant_key = text_of(fcinfo, at->tenant_key);
	draft->delivery = text_of(fcinfo, at->delivery);
	draft->on_done = text_of(fcinfo, at->on_done);
	draft->on_conflict = conflict_of(text_of(fcinfo, at->on_conflict));
	draft->expires_at = given(fcinfo, at->expires_at) ? PG_GETARG_TIMESTAMPTZ(at->expires_at) : DT_NOEND;
	draft->max_attempts = given(fcinfo, at->max_attempts) ? PG_GETARG_INT32(at->max_attempts) : 0;
	draft->priority = given(fcinfo, at->priority) ? PG_GETARG_INT32(at->priority) : RF_DEFAULT_PRIORITY;
	draft->run_at = given(fcinfo, at->run_at) ? PG_GETARG_TIMESTAMPTZ(at->run_at) :
		GetCurrentTransactionStartTimestamp();

	/* Before it is cut to the column's width. */
	if (draft->priority < 0 || draft->priority > 10)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"priority\" is not between 0 and 10"),
				 errhint("10 goes first.")));
	if (given(fcinfo, at->max_attempts) && (draft->max_attempts < 1 || draft->max_attempts > 1000))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"max_attempts\" is not between 1 and 1000")));
	if (draft->on_conflict != RF_CONFLICT_ERROR && draft->idempotency_key == NULL)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"on_conflict\" is of no use without an idempotency_key")));
	return is_word(text_of(fcinfo, at->on_invalid), "on_invalid", "error", "reject");
}

int64
rf_enqueue_params_finish(RfJobDraft *draft, bool reject,
						 const char *(*suppressed) (const RfJobDraft *draft))
{
	RfJobProblem problem;
	int64		id;

	if (rf_job_check(draft, &problem))
	{
		const char *why = NULL;

		/* What it is to replace has to go: the claim will ask. */
		if (suppressed != NULL && draft->on_conflict != RF_CONFLICT_REPLACE)
			why = suppressed(draft);
		if (why != NULL ? rf_insert_suppressed(draft, why, &id, &problem) :
			rf_insert_waiting(draft, &id, NULL, &problem))
			return id;
	}
	if (!reject)
		rf_job_raise(&problem);
	return rf_insert_dead_letter(draft, &problem);
}

static bool
given(FunctionCallInfo fcinfo, int which)
{
	return which >= 0 && !PG_ARGISNULL(which);
}

static char *
text_of(FunctionCallInfo fcinfo, int which)
{
	return given(fcinfo, which) ? text_to_cstring(PG_GETARG_TEXT_PP(which)) : NULL;
}

/* NULL means the one that stands for it. */
static bool
is_word(const char *value, const char *field, const char *otherwise, const char *word)
{
	if (value == NULL || strcmp(value, otherwise) == 0)
		return false;
	if (strcmp(value, word) != 0)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"%s\" is not a way to treat a bad job", field),
				 errhint("Valid values are: %s, %s.", otherwise, word)));
	return true;
}

static RfOnConflict
conflict_of(const char *value)
{
	if (value == NULL)
		return RF_CONFLICT_ERROR;
	if (strcmp(value, "keep") == 0)
		return RF_CONFLICT_KEEP;
	if (strcmp(value, "replace") == 0)
		return RF_CONFLICT_REPLACE;
	ereport(ERROR,
			(errcode(RF_ERRCODE_BAD_ARGUMENT),
			 errmsg("\"on_conflict\" is not a way to treat a job whose idempotency_key is known"),
			 errhint("Valid values are: keep, replace.")));
	return RF_CONFLICT_ERROR;	/* keep compiler quiet */
}

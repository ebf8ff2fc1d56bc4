/*-------------------------------------------------------------------------
 *
 * task_failure.c
 *	  What an error of a SQL task means for its job.
 *
 * IDENTIFICATION
 *	  src/worker/task_failure.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "core/backoff.h"
#include "core/task_retry.h"
#include "worker/task_failure.h"

/* Of each text of an error. */
#define MAX_TEXT	1000

static char *text_of(const char *said, bool one_line);
static Jsonb *error_as_jsonb(const ErrorData *error);
static void push(JsonbParseState **state, const char *key, const char *value);

void
rf_task_describe_failure(const RfRunJob *job, const ErrorData *error,
						 const char *state, const char *why,
						 RfRunFailure *failure)
{
	RfBackoffPolicy policy = {job->retry_base_us, job->retry_cap_us};
	const char **give_up_on = palloc((list_length(job->give_up_on) + 1) * sizeof(char *));
	const char *sqlstate;
	bool		again;
	int			count = 0;
	ListCell   *lc;

	memset(failure, 0, sizeof(*failure));
	failure->job = job;
	if (error == NULL)
	{
		failure->state = state;
		failure->outcome = "permanent";
		failure->reason = pstrdup(why);
		return;
	}

	sqlstate = unpack_sql_state(error->sqlerrcode);
	foreach(lc, job->give_up_on)
		give_up_on[count++] = lfirst(lc);
	again = rf_task_retries(sqlstate, give_up_on, count, job->failures, job->max_attempts);
	failure->state = again ? NULL : "failed";
	failure->outcome = rf_task_retries(sqlstate, give_up_on, count, 0, 2) ? "transient" : "permanent";
	failure->reason = psprintf("%s: %s", sqlstate, text_of(error->message, true));
	failure->error = error_as_jsonb(error);
	if (again)
		failure->run_at = GetCurrentTimestamp() +
			rf_backoff_delay_us(&policy, job->failures + 1, -1, 0, pg_prng_uint64(&pg_global_prng_state));
}

/* Cut at a character, and fit for a table whatever somebody put into it. */
static char *
text_of(const char *said, bool one_line)
{
	int			length = said ? (int) strlen(said) : 0;
	char	   *copy = pnstrdup(said ? said : "", pg_mbcliplen(said ? said : "", length, MAX_TEXT));

	if (!pg_verifymbstr(copy, strlen(copy), true))
	{
		for (char *p = copy; *p; p++)
			if (IS_HIGHBIT_SET(*p))
				*p = '?';
	}
	for (char *p = copy; one_line && *p; p++)
		if ((unsigned char) *p < ' ')
			*p = ' ';
	return copy;
}

static Jsonb *
error_as_jsonb(const ErrorData *error)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push(&state, "sqlstate", unpack_sql_state(error->sqlerrcode));
	push(&state, "message", error->message);
	push(&state, "detail", error->detail);
	push(&state, "hint", error->hint);
	push(&state, "context", error->context);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
push(JsonbParseState **state, const char *key, const char *value)
{
	JsonbValue	string;

	if (value == NULL)
		return;
	string.type = jbvString;
	string.val.string.val = pstrdup(key);
	string.val.string.len = strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &string);
	string.val.string.val = text_of(value, false);
	string.val.string.len = strlen(string.val.string.val);
	(void) pushJsonbValue(state, WJB_VALUE, &string);
}

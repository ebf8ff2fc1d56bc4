/*-------------------------------------------------------------------------
 *
 * queued.c
 *	  Handlers that are left to jobs.
 *
 * Queued ones from the start, inline ones once they have failed.  The job
 * commits with the event's row, is claimed and retried as any other, and ends
 * as a dead letter that names the event.
 *
 * IDENTIFICATION
 *	  src/inbox/queued.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "core/backoff.h"
#include "inbox/attempt.h"
#include "inbox/queued.h"
#include "outbox/handler_job.h"
#include "outbox/insert.h"
#include "shmem/server_mode.h"

/* A job that is to run again. */
typedef struct Rerun
{
	int64		job_id;
	bool		dead;
} Rerun;

static void hurry(void *arg);
static bool find_findings(RfHandler *handler, Jsonb *args);
static Jsonb *args_of(const char *source, const RfIncoming *event, const RfHandler *handler);
static TimestampTz again_at(const RfHandler *handler);
static int64 *copy_id(int64 id);

void
rf_queued_note(RfIncoming *event, RfHandler *handler, const char *failure)
{
	RfQueued   *queued = palloc(sizeof(RfQueued));

	queued->handler = handler;
	queued->job_id = rf_insert_next_id();
	queued->failure = failure;
	event->to_enqueue = lappend(event->to_enqueue, queued);
	event->pending = lappend(event->pending, copy_id(handler->id));
	event->jobs = lappend(event->jobs, copy_id(queued->job_id));
}

void
rf_queued_note_all(RfIncoming *event, List *handlers)
{
	ListCell   *lc;

	foreach(lc, handlers)
	{
		RfHandler  *handler = lfirst(lc);

		if (handler->queued && rf_handler_wants(handler, event))
			rf_queued_note(event, handler, NULL);
	}
}

/* One that has had its last attempt, or can never run, is a dead letter at once. */
void
rf_queued_enqueue(const char *source, RfIncoming *event)
{
	ListCell   *lc;

	foreach(lc, event->to_enqueue)
	{
		const RfQueued *queued = lfirst(lc);
		RfHandler  *handler = queued->handler;
		int			left = handler->max_attempts - (queued->failure != NULL ? 1 : 0);
		Jsonb	   *args = args_of(source, event, handler);
		bool		good = find_findings(handler, args);
		RfJobDraft	draft = handler->draft;
		int64		id;

		draft.id = queued->job_id;
		draft.args = args;
		draft.max_attempts = left;
		draft.run_at = queued->failure != NULL ? again_at(handler) : GetCurrentTransactionStartTimestamp();
		if (good && left > 0)
			(void) rf_insert_waiting(&draft, &id, NULL, NULL);	/* it has no key */
		else
		{
			RfJobProblem problem = {0};

			problem.message = pstrdup(good ? queued->failure : handler->problem);
			(void) rf_insert_dead_letter(&draft, &problem);
		}
	}
	event->to_enqueue = NIL;
}

/* NULL: done; else why not. */
char *
rf_queued_hurry(int64 job_id, bool dead)
{
	Rerun		rerun = {job_id, dead};

	return rf_attempt(hurry, &rerun);
}

static void
hurry(void *arg)
{
	const Rerun *rerun = arg;

	rf_handler_job_hurry(rerun->job_id, rerun->dead);
}

/* What the check of a job finds is the same for all of a handler. */
static bool
find_findings(RfHandler *handler, Jsonb *args)
{
	RfJobProblem problem;

	if (!handler->checked)
	{
		handler->draft.task = RF_HANDLER_TASK;
		handler->draft.mode = rf_mode_to_follow();
		handler->draft.role = handler->role;
		handler->draft.args = args;
		handler->draft.expires_at = DT_NOEND;
		handler->draft.priority = RF_DEFAULT_PRIORITY;
		handler->draft.follows = true;
		handler->draft.run_at = GetCurrentTransactionStartTimestamp();
		if (!rf_job_check(&handler->draft, &problem))
			handler->problem = problem.message;
		handler->checked = true;
	}
	return handler->problem == NULL;
}

/* The ids are for us, the rest is for whoever reads the job. */
static Jsonb *
args_of(const char *source, const RfIncoming *event, const RfHandler *handler)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "{\"event\": " INT64_FORMAT ", \"handler\": " INT64_FORMAT ", \"source\": ",
					 event->row_id, handler->id);
	escape_json(&out, source);
	appendStringInfoString(&out, ", \"event_id\": ");
	escape_json(&out, event->event_id);
	appendStringInfoString(&out, ", \"type\": ");
	escape_json(&out, event->type);
	appendStringInfoString(&out, ", \"function\": ");
	escape_json(&out, handler->function);
	appendStringInfoChar(&out, '}');
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data)));
}

static TimestampTz
again_at(const RfHandler *handler)
{
	RfBackoffPolicy policy = {handler->retry_base_us, handler->retry_cap_us};

	return GetCurrentTimestamp() +
		rf_backoff_delay_us(&policy, 1, -1, 0, pg_prng_uint64(&pg_global_prng_state));
}

static int64 *
copy_id(int64 id)
{
	int64	   *copy = palloc(sizeof(int64));

	*copy = id;
	return copy;
}

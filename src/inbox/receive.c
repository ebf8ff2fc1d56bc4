/*-------------------------------------------------------------------------
 *
 * receive.c
 *	  A webhook takes effect, once.
 *
 *	verify -> split -> record -> built-in handling -> handlers
 *	            |         `------ one subtransaction ------'
 *	            `- rejected: noted in shared memory, nothing is written
 *
 * All events of a request go through together.  Only if that fails, it is taken
 * back and they go one by one, each step in a subtransaction of its own: an
 * event whose handler fails is recorded as failed, and the others lose nothing.
 * What was recorded commits with its effects, or not at all; so do the jobs to
 * which handlers are left.
 *
 * IDENTIFICATION
 *	  src/inbox/receive.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "inbox/attempt.h"
#include "inbox/handler.h"
#include "inbox/headers.h"
#include "inbox/queued.h"
#include "outbox/handler_job.h"
#include "outbox/event.h"
#include "outbox/statement.h"
#include "shmem/fault.h"
#include "shmem/rejection.h"
#include "shmem/wake.h"
#include "webhook/content.h"
#include "inbox/receive.h"

/* A body that fails to verify is looked at no further if it is larger. */
#define LOOK_AT_MAX (256 * 1024)

/* The arguments of what is attempted. */
typedef struct Step
{
	const RfIntake *intake;
	List	   *handlers;
	RfIncoming *event;
	RfHandler  *handler;
} Step;

static void reject(const RfSource *source, int64 body_len, int http_status,
				   const char *reason, RfText body, RfReceived *out);
static int	status_for(RfSignStatus status);
static void take_together(void *arg);
static void take_apart(Step *step);
static void record(const Step *step);
static void forget_fates(const RfIntake *intake);
static void forget_jobs(RfIncoming *event);
static bool is_taken(const RfIncoming *event);
static void apply_builtin(const RfIntake *intake, RfIncoming *events, int nevents);
static void apply_one(void *arg);
static void run_one(void *arg);
static void run_handlers(Step *step);
static void run_pending(Step *step, List *pending, List *jobs);
static void rerun(Step *step, int64 job_id, bool dead);

void
rf_receive(const char *name, Jsonb *headers, int64 body_len,
		   RfText (*fetch) (void *arg), void *arg, RfReceived *out)
{
	RfSource   *source = name != NULL ? rf_source_find(name) : NULL;
	RfText		body = {"", 0};
	RfSignHeaders found;
	RfSigned	what;
	RfSignStatus status;
	Step		step = {0};

	memset(out, 0, sizeof(*out));
	out->http_status = 200;
	if (source == NULL)
	{
		reject(NULL, body_len, 404, "there is no such source, or it is not enabled", body, out);
		return;
	}
	if (body_len > source->max_body)
	{
		reject(source, body_len, 413, "the body is too large", body, out);
		return;
	}
	body = fetch(arg);
	status = headers == NULL || !rf_headers_read(headers, &found) ? RF_SIGN_MISSING :
		rf_source_verify(source, &found, body, &what);
	if (status != RF_SIGN_OK)
	{
		if (status != RF_SIGN_MISMATCH)
			body.len = 0;
		reject(source, body_len, status_for(status), rf_sign_status_text(status), body, out);
		return;
	}
	RF_FAULT("webhook_verified");
	if (!rf_intake_read(source, body, &what, &out->intake))
	{
		body.len = 0;
		reject(source, body_len, 413, "there are too many events in it", body, out);
		return;
	}
	step.intake = &out->intake;
	step.handlers = source->shadow ? NIL : rf_handler_list(source->name);
	if (rf_attempt(take_together, &step) != NULL)
		take_apart(&step);
	RF_FAULT("webhook_received");

	/* A hint: whoever polls for what it is about had better look now. */
	if (source->scheme == RF_SCHEME_NONE && !source->shadow)
		rf_wake_note_everything();
}

/* Of one that failed only what failed, of one in shadow everything. */
bool
rf_receive_again(const RfSource *source, RfIncoming *event, bool with_handlers)
{
	RfIntake	intake = {source, event, 1};
	Step		step = {&intake, rf_handler_list(source->name), event, NULL};
	List	   *pending = event->pending;
	List	   *jobs = event->jobs;
	bool		all = event->fate == RF_FATE_SHADOW;

	event->error = NULL;
	event->fate = RF_FATE_APPLIED;
	if (!event->builtin_done)
	{
		event->error = rf_attempt(apply_one, &step);
		event->builtin_done = event->error == NULL;
	}
	if (with_handlers)
	{
		event->pending = event->jobs = NIL;
		if (all)
		{
			rf_queued_note_all(event, step.handlers);
			run_handlers(&step);
		}
		else
			run_pending(&step, pending, jobs);
	}
	if (event->error != NULL)
		event->fate = RF_FATE_FAILED;
	rf_intake_settle(event);
	rf_queued_enqueue(source->name, event);
	return event->fate == RF_FATE_APPLIED;
}

static void
reject(const RfSource *source, int64 body_len, int http_status, const char *reason,
	   RfText body, RfReceived *out)
{
	RfRejection rejection = {0};

	rejection.body_bytes = body_len;
	rejection.http_status = http_status;
	if (source != NULL)
		strlcpy(rejection.source, source->name, sizeof(rejection.source));
	strlcpy(rejection.reason, reason, sizeof(rejection.reason));
	rejection.reencoded = body.len <= LOOK_AT_MAX && rf_content_is_json(body);
	rf_rejection_note(&rejection);
	out->rejected = true;
	out->http_status = http_status;
}

/* Without a key it is our fault: they are to try again. */
static int
status_for(RfSignStatus status)
{
	return status == RF_SIGN_NO_KEY ? 503 : 401;
}

/* Everything at once; raises if anything fails. */
static void
take_together(void *arg)
{
	Step	   *step = arg;
	const RfIntake *intake = step->intake;

	record(step);
	RF_FAULT("webhook_recorded");
	apply_builtin(intake, intake->events, intake->nevents);
	RF_FAULT("webhook_applied");
	for (int i = 0; i < intake->nevents; i++)
	{
		ListCell   *lc;

		if (!is_taken(&intake->events[i]))
			continue;
		foreach(lc, step->handlers)
		{
			step->event = &intake->events[i];
			step->handler = lfirst(lc);
			if (!step->handler->queued && rf_handler_wants(step->handler, step->event))
				run_one(step);
		}
		rf_queued_enqueue(intake->source->name, &intake->events[i]);
	}
}

/* One by one; what fails is recorded with its reason. */
static void
take_apart(Step *step)
{
	const RfIntake *intake = step->intake;

	forget_fates(intake);
	record(step);
	for (int i = 0; i < intake->nevents; i++)
	{
		RfIncoming *event = &intake->events[i];

		if (!is_taken(event))
			continue;
		step->event = event;
		event->error = rf_attempt(apply_one, step);
		event->builtin_done = event->error == NULL;
		run_handlers(step);
		if (event->error != NULL)
		{
			event->fate = RF_FATE_FAILED;
			rf_intake_settle(event);
		}
		rf_queued_enqueue(intake->source->name, event);
	}
}

/* With the jobs that their handlers are left to; those of a duplicate exist. */
static void
record(const Step *step)
{
	const RfIntake *intake = step->intake;

	for (int i = 0; i < intake->nevents; i++)
		if (is_taken(&intake->events[i]))
			rf_queued_note_all(&intake->events[i], step->handlers);
	rf_intake_record(intake, intake->events, intake->nevents);
	for (int i = 0; i < intake->nevents; i++)
		if (!is_taken(&intake->events[i]))
			forget_jobs(&intake->events[i]);
}

/* As they were read: whoever was a duplicate may be so no longer. */
static void
forget_fates(const RfIntake *intake)
{
	for (int i = 0; i < intake->nevents; i++)
	{
		RfIncoming *event = &intake->events[i];

		event->first = NULL;
		forget_jobs(event);
		event->fate = event->event.kind == RF_EVENT_UNREADABLE ? RF_FATE_DEAD :
			(intake->source->shadow ? RF_FATE_SHADOW : RF_FATE_NEW);
	}
}

static void
forget_jobs(RfIncoming *event)
{
	event->pending = event->jobs = event->to_enqueue = NIL;
}

/* Is it for us to give it effect? */
static bool
is_taken(const RfIncoming *event)
{
	return event->fate == RF_FATE_NEW;
}

static void
apply_builtin(const RfIntake *intake, RfIncoming *events, int nevents)
{
	const RfEvent **taken = palloc_array(const RfEvent *, Max(nevents, 1));
	int64	   *rows = palloc_array(int64, Max(nevents, 1));
	RfEventEffect *effects = palloc0_array(RfEventEffect, Max(nevents, 1));
	int			n = 0;

	for (int i = 0; i < nevents; i++)
	{
		if (!is_taken(&events[i]) && events[i].fate != RF_FATE_APPLIED)
			continue;
		taken[n] = &events[i].event;
		rows[n++] = events[i].row_id;
	}
	if (n > 0)
		rf_events_apply(taken, rows, n, intake->source->name, effects);
}

static void
apply_one(void *arg)
{
	Step	   *step = arg;

	apply_builtin(step->intake, step->event, 1);
}

static void
run_one(void *arg)
{
	Step	   *step = arg;

	rf_handler_run(step->handler, step->intake->source->name, step->event->raw);
}

/* Each in a subtransaction; those that fail are left to jobs. */
static void
run_handlers(Step *step)
{
	ListCell   *lc;

	foreach(lc, step->handlers)
	{
		char	   *problem;

		step->handler = lfirst(lc);
		if (step->handler->queued || !rf_handler_wants(step->handler, step->event))
			continue;
		problem = rf_attempt(run_one, step);
		if (problem == NULL)
			continue;
		step->event->error = psprintf("%s: %s", step->handler->function, problem);
		rf_queued_note(step->event, step->handler, problem);
	}
}

/* Handlers that are gone have nothing to do. */
static void
run_pending(Step *step, List *pending, List *jobs)
{
	RfColumn	ids;
	Datum		array;
	ListCell   *lc;

	rf_column_init(&ids, INT8OID);
	foreach(lc, jobs)
		rf_column_add(&ids, Int64GetDatum(*(int64 *) lfirst(lc)), false);
	array = rf_column_array(&ids);
	foreach(lc, pending)
	{
		bool		dead = false;
		int64		job_id;

		step->handler = rf_handler_find(step->handlers, *(int64 *) lfirst(lc));
		job_id = rf_handler_job_find(array, *(int64 *) lfirst(lc), &dead);
		if (step->handler != NULL)
			rerun(step, job_id, dead);
		else if (job_id != 0)
			rf_handler_job_drop(job_id);
	}
}

/* An inline one here and now; a queued one as the job that it is, or a new one. */
static void
rerun(Step *step, int64 job_id, bool dead)
{
	RfIncoming *event = step->event;
	char	   *problem = NULL;

	if (!step->handler->queued)
		problem = rf_attempt(run_one, step);
	else if (job_id != 0)
		problem = rf_queued_hurry(job_id, dead);
	if (problem != NULL)
		event->error = psprintf("%s: %s", step->handler->function, problem);
	if (problem == NULL && !step->handler->queued)
	{
		if (job_id != 0)
			rf_handler_job_drop(job_id);
	}
	else if (job_id == 0)
		rf_queued_note(event, step->handler, problem);
	else
	{
		event->pending = lappend(event->pending, &step->handler->id);
		event->jobs = lappend(event->jobs, memcpy(palloc(sizeof(int64)), &job_id, sizeof(int64)));
	}
}

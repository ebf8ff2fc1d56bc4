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
 * What was recorded commits with its effects, or not at all.
 *
 * IDENTIFICATION
 *	  src/inbox/receive.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "inbox/attempt.h"
#include "inbox/handler.h"
#include "inbox/headers.h"
#include "outbox/event.h"
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
	const RfHandler *handler;
} Step;

static void reject(const RfSource *source, int64 body_len, int http_status,
				   const char *reason, RfText body, RfReceived *out);
static int	status_for(RfSignStatus status);
static void take_together(void *arg);
static void take_apart(Step *step);
static void forget_fates(const RfIntake *intake);
static bool is_taken(const RfIncoming *event);
static void apply_builtin(const RfIntake *intake, RfIncoming *events, int nevents);
static void apply_one(void *arg);
static void run_one(void *arg);
static void run_handlers(Step *step, List *only);
static bool is_among(List *ids, int64 id);

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
rf_receive_again(const RfSource *source, RfIncoming *event)
{
	RfIntake	intake = {source, event, 1};
	Step		step = {&intake, rf_handler_list(source->name), event, NULL};
	List	   *only = event->pending;
	bool		all = event->fate == RF_FATE_SHADOW;

	event->error = NULL;
	event->pending = NIL;
	event->fate = RF_FATE_APPLIED;
	if (!event->builtin_done)
	{
		event->error = rf_attempt(apply_one, &step);
		event->builtin_done = event->error == NULL;
	}
	if (all || only != NIL)
		run_handlers(&step, only);
	if (event->error != NULL)
		event->fate = RF_FATE_FAILED;
	rf_intake_settle(event);
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

	rf_intake_record(intake, intake->events, intake->nevents);
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
			if (rf_handler_wants(step->handler, step->event))
				run_one(step);
		}
	}
}

/* One by one; what fails is recorded with its reason. */
static void
take_apart(Step *step)
{
	const RfIntake *intake = step->intake;

	forget_fates(intake);
	rf_intake_record(intake, intake->events, intake->nevents);
	for (int i = 0; i < intake->nevents; i++)
	{
		RfIncoming *event = &intake->events[i];

		if (!is_taken(event))
			continue;
		step->event = event;
		event->error = rf_attempt(apply_one, step);
		event->builtin_done = event->error == NULL;
		run_handlers(step, NIL);
		if (event->error == NULL)
			continue;
		event->fate = RF_FATE_FAILED;
		rf_intake_settle(event);
	}
}

/* As they were read: whoever was a duplicate may be so no longer. */
static void
forget_fates(const RfIntake *intake)
{
	for (int i = 0; i < intake->nevents; i++)
	{
		RfIncoming *event = &intake->events[i];

		event->first = NULL;
		event->fate = event->event.kind == RF_EVENT_UNREADABLE ? RF_FATE_DEAD :
			(intake->source->shadow ? RF_FATE_SHADOW : RF_FATE_NEW);
	}
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

/* Each in a subtransaction; those that fail stay pending. */
static void
run_handlers(Step *step, List *only)
{
	ListCell   *lc;

	foreach(lc, step->handlers)
	{
		char	   *problem;

		step->handler = lfirst(lc);
		if (!rf_handler_wants(step->handler, step->event) ||
			(only != NIL && !is_among(only, step->handler->id)))
			continue;
		problem = rf_attempt(run_one, step);
		if (problem == NULL)
			continue;
		step->event->error = psprintf("%s: %s", step->handler->function, problem);
		step->event->pending = lappend(step->event->pending, unconstify(int64 *, &step->handler->id));
	}
}

static bool
is_among(List *ids, int64 id)
{
	ListCell   *lc;

	foreach(lc, ids)
	{
		if (*(int64 *) lfirst(lc) == id)
			return true;
	}
	return false;
}

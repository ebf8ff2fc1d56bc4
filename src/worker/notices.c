/*-------------------------------------------------------------------------
 *
 * notices.c
 *	  Lines in the log for changes of state that matter.
 *
 * IDENTIFICATION
 *	  src/worker/notices.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"

#include "core/log_pace.h"
#include "outbox/suppression.h"
#include "settings.h"
#include "worker/notices.h"
#include "worker/state.h"

/* Lines a minute: of jobs that ended in the same way, of one account. */
#define JOB_LINES		10
#define ACCOUNT_LINES	10

/* How often to look whether something was withheld. */
#define FLUSH_US		INT64CONST(1000000)

static RfLogPace failed_pace;
static RfLogPace unknown_pace;

static RfLogPace *pace_of(const RfSettlement *s);
static void tell_job(const RfSettlement *s);
static void tell_withheld(RfLogPace *pace, const char *state);
static const char *pause_text(int64 pause_us);

void
rf_notices_prepare(RfDispatcher *d)
{
	ListCell   *lc;

	if (rf_log_recipients == RF_LOG_RECIPIENTS_OFF)
		return;
	foreach(lc, d->settlements)
	{
		RfSettlement *s = lfirst(lc);

		if (pace_of(s) != NULL && s->to_addr != NULL && s->to_key[0] == '\0')
			rf_suppression_log_key(s->to_addr, s->to_key);
	}
}

void
rf_notices_settled(RfDispatcher *d)
{
	int64		now_us = rf_gate_now_us();
	ListCell   *lc;

	foreach(lc, d->settlements)
	{
		const RfSettlement *s = lfirst(lc);
		RfLogPace  *pace = pace_of(s);

		if (pace != NULL && rf_log_pace_admit(pace, now_us, JOB_LINES))
			tell_job(s);
	}
}

void
rf_notices_gate(RfRosterEntry *entry, const RfGateView *view,
				const RfOutcome *outcome, int64 pause_us)
{
	const char *what = NULL;
	const char *state = NULL;

	switch (view->state)
	{
		case RF_GATE_READY:
			what = "circuit closed";
			state = "ready";
			break;
		case RF_GATE_PROBE:
			return;
		case RF_GATE_OPEN:
			what = "circuit opened";
			state = "open";
			break;
		case RF_GATE_PAUSED:
			/* credits.c tells of accounts without credit */
			if (view->paused_by == RF_OUTCOME_QUOTA)
				return;
			state = "paused";
			break;
	}
	if (!rf_notices_admit(entry))
		return;
	ereport(LOG,
			(what == NULL ? errmsg("account \"%s\" is paused: %s", entry->name, view->reason) :
			 view->state == RF_GATE_READY ? errmsg("account \"%s\": %s", entry->name, what) :
			 errmsg("account \"%s\": %s: %s", entry->name, what, view->reason),
			 errdetail("account=%s provider=%s state=%s outcome=%s http_status=%d%s",
					   entry->name, entry->provider->name, state, rf_outcome_class_text(outcome->class),
					   outcome->http_status, what == NULL ? pause_text(pause_us) : "")));
}

bool
rf_notices_admit(RfRosterEntry *entry)
{
	return rf_log_pace_admit(&entry->notices, rf_gate_now_us(), ACCOUNT_LINES);
}

void
rf_notices_flush(void)
{
	static int64 next_us = 0;
	int64		now_us = rf_gate_now_us();

	if (now_us < next_us)
		return;
	next_us = now_us + FLUSH_US;
	tell_withheld(&failed_pace, "failed");
	tell_withheld(&unknown_pace, "unknown");
	for (int i = 0; rf_roster_at(i) != NULL; i++)
	{
		RfRosterEntry *entry = rf_roster_at(i);
		uint64		n = rf_log_pace_withheld(&entry->notices, now_us);

		if (n > 0)
			ereport(LOG,
					(errmsg("account \"%s\" has changed its state " UINT64_FORMAT " times more in a minute", entry->name, n),
					 errdetail("account=%s provider=%s changes=" UINT64_FORMAT, entry->name, entry->provider->name, n)));
	}
}

/* NULL: nothing to tell of it. */
static RfLogPace *
pace_of(const RfSettlement *s)
{
	if (s->kind != RF_SETTLE_DEAD)
		return NULL;
	if (strcmp(s->state, "failed") == 0)
		return &failed_pace;
	return strcmp(s->state, "unknown") == 0 ? &unknown_pace : NULL;
}

static void
tell_job(const RfSettlement *s)
{
	ereport(LOG,
			(errmsg("job " INT64_FORMAT " ended as %s: %s", s->job_id, s->state,
					s->outcome.reason[0] != '\0' ? s->outcome.reason : "no reason is known"),
			 errdetail("job=" INT64_FORMAT " state=%s outcome=%s http_status=%d account=%s attempt=%d%s%s",
					   s->job_id, s->state, rf_outcome_class_text(s->outcome.class), s->outcome.http_status,
					   s->account ? s->account : "", s->attempt,
					   s->to_key[0] != '\0' ? " recipient=" : "", s->to_key)));
}

static void
tell_withheld(RfLogPace *pace, const char *state)
{
	uint64		n = rf_log_pace_withheld(pace, rf_gate_now_us());

	if (n > 0)
		ereport(LOG,
				(errmsg(UINT64_FORMAT " jobs more ended as %s in a minute", n, state),
				 errdetail("state=%s jobs=" UINT64_FORMAT, state, n),
				 errhint("They are in roleferry.dead_letters.")));
}

static const char *
pause_text(int64 pause_us)
{
	return pause_us == INT64_MAX ? " pause_ms=" : psprintf(" pause_ms=" INT64_FORMAT, pause_us / 1000);
}

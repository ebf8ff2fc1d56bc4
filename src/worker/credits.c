/*-------------------------------------------------------------------------
 *
 * credits.c
 *	  What requests cost, and accounts that have no credit left.
 *
 * What a request may cost is taken out of its account's budgets before it
 * leaves, as the tokens of any window (limits.c).  What it did cost is what its
 * answer says; of an answer that never came or says nothing, all of it; of a
 * proven refusal, nothing.  It is written with the settlements, so that a job
 * and its cost are on disk together; of a call without a job, in the same turn.
 *
 * An account without credit is stopped at once in shared memory, and for good
 * when the row is written.  A crash in between costs one more refusal.
 *
 * IDENTIFICATION
 *	  src/worker/credits.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "codec/retry_after.h"
#include "outbox/credit.h"
#include "worker/credits.h"
#include "worker/limits.h"
#include "worker/question.h"
#include "worker/session.h"
#include "worker/state.h"

/* A reset time that is further away is believed to be a mistake. */
#define MAX_STOP_S	INT64CONST(2678400) /* 31 days */

static List *uses = NIL;		/* of RfCreditUse, not written yet */
static List *stops = NIL;		/* of RfAccountStop, the same */

static uint32 spent(const RfFlight *flight, const RfOutcome *outcome);
static int64 credits_of_page(const RfFlight *flight);
static void note_use(const RfFlight *flight, uint32 credits);
static void note_stop(const RfFlight *flight, const RfOutcome *outcome);
static void write_work(void *arg);
static void stop_one(RfRosterEntry *entry, List *written);
static void forget_use(RfCreditUse *use);
static void forget_stop(RfAccountStop *stop);

void
rf_credits_end(RfFlight *flight, RfOutcome *outcome)
{
	bool		left = flight->transfer.end != RF_TRANSFER_NOT_SENT;
	int64_t		wait_s;
	uint32		credits = left ? spent(flight, outcome) : 0;

	rf_limits_end(flight, left, credits);
	if (flight->transfer.end == RF_TRANSFER_ANSWERED)
		rf_limits_learn(flight);
	if (credits > 0)
		note_use(flight, credits);
	if (outcome->class != RF_OUTCOME_QUOTA || !outcome->account_wide ||
		outcome->taken != RF_TAKEN_NO)
		return;
	if (rf_retry_after_parse(rf_response_header(&flight->transfer.response, "Retry-After"),
							 (int64_t) time(NULL), &wait_s))
		outcome->retry_after_s = wait_s;
	note_stop(flight, outcome);
}

int64
rf_credits_stop_us(const RfOutcome *outcome)
{
	if (outcome->retry_after_s < 0 || outcome->retry_after_s > MAX_STOP_S)
		return INT64_MAX;
	return Max(outcome->retry_after_s, 1) * INT64CONST(1000000);
}

void
rf_credits_write(void)
{
	ListCell   *lc;

	rf_credit_record(uses);
	foreach(lc, stops)
		rf_credit_stop(lfirst(lc));
}

void
rf_credits_written(bool committed)
{
	ListCell   *lc;

	if (!committed)
		return;
	foreach(lc, uses)
		forget_use(lfirst(lc));
	foreach(lc, stops)
		forget_stop(lfirst(lc));
	list_free(uses);
	list_free(stops);
	uses = stops = NIL;
}

void
rf_credits_flush(void)
{
	static int64 next_us = 0;	/* not before, after one that failed */
	bool		missing;
	bool		written;

	if ((uses == NIL && stops == NIL) || rf_gate_now_us() < next_us)
		return;
	written = rf_session_run(write_work, NULL, RF_COMMIT_FLUSHED, "recording credits", &missing);
	rf_credits_written(written);
	next_us = written ? 0 : rf_gate_now_us() + RF_RETRY_WRITE_US;
}

void
rf_credits_refresh(void)
{
	List	   *written = rf_credit_stops();

	for (int i = 0; rf_roster_at(i) != NULL; i++)
		if (rf_roster_at(i)->present)
			stop_one(rf_roster_at(i), written);
}

static uint32
spent(const RfFlight *flight, const RfOutcome *outcome)
{
	int64		page_credits = credits_of_page(flight);

	if (flight->spent_known)
		return flight->spent;
	if (page_credits >= 0)
		return (uint32) Min(page_credits, RF_RATE_MAX_CREDITS);
	return outcome->taken == RF_TAKEN_NO ? 0 : rf_limits_cost(flight, flight->entry);
}

/* What the answer to a search says that it cost; -1: nothing. */
static int64
credits_of_page(const RfFlight *flight)
{
	const RfResponse *response = &flight->transfer.response;
	const RfPeopleCalls *people = flight->entry->provider->people;
	RfPeoplePage page;
	RfOutcome	outcome;
	int64		credits;

	if (flight->question == NULL || people == NULL || !people->search_costs ||
		flight->transfer.end != RF_TRANSFER_ANSWERED)
		return -1;
	people->read_search(response, (int64_t) time(NULL), &flight->question->query,
						flight->question->page, &page, &outcome);
	credits = page.credits;
	rf_people_page_free(&page);
	return credits;
}

static void
note_use(const RfFlight *flight, uint32 credits)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	RfCreditUse *use = palloc(sizeof(RfCreditUse));

	use->at = GetCurrentTimestamp();
	use->server = flight->entry->server;
	use->account = pstrdup(flight->entry->name);
	use->endpoint = pstrdup(rf_limits_endpoint(flight));
	use->job_id = flight->job != NULL ? flight->job->id : 0;
	use->credits = credits;
	uses = lappend(uses, use);
	MemoryContextSwitchTo(old);
}

static void
note_stop(const RfFlight *flight, const RfOutcome *outcome)
{
	int64		stop_us = rf_credits_stop_us(outcome);
	MemoryContext old;
	RfAccountStop *stop;
	ListCell   *lc;

	foreach(lc, stops)
	{
		if (((RfAccountStop *) lfirst(lc))->server == flight->entry->server)
			return;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	stop = palloc(sizeof(RfAccountStop));
	stop->server = flight->entry->server;
	stop->account = pstrdup(flight->entry->name);
	stop->reason = pstrdup(outcome->reason);
	stop->until = stop_us == INT64_MAX ? DT_NOEND : GetCurrentTimestamp() + stop_us;
	stops = lappend(stops, stop);
	MemoryContextSwitchTo(old);
	ereport(LOG,
			(errmsg("account \"%s\" is stopped: %s", stop->account, stop->reason),
			 errdetail("account=%s provider=%s state=stopped outcome=%s http_status=%d", stop->account,
					   flight->entry->provider->name, rf_outcome_class_text(outcome->class), outcome->http_status),
			 errhint("When it has credit again: SELECT roleferry.resume_account('%s').", stop->account)));
}

static void
write_work(void *arg)
{
	rf_credits_write();
}

/* A stop that is not written yet holds as well. */
static void
stop_one(RfRosterEntry *entry, List *written)
{
	TimestampTz now = GetCurrentTimestamp();
	RfGateView	view;
	ListCell   *lc;

	foreach(lc, written)
	{
		const RfAccountStop *stop = lfirst(lc);

		if (stop->server != entry->server)
			continue;
		(void) rf_gate_pause(MyDatabaseId, entry->server, RF_OUTCOME_QUOTA, stop->reason,
							 TIMESTAMP_IS_NOEND(stop->until) ? INT64_MAX : stop->until - now);
		return;
	}
	foreach(lc, stops)
	{
		if (((RfAccountStop *) lfirst(lc))->server == entry->server)
			return;
	}
	rf_gate_look(MyDatabaseId, entry->server, false, &view);
	if (view.state != RF_GATE_PAUSED || view.paused_by != RF_OUTCOME_QUOTA)
		return;
	rf_gate_resume(MyDatabaseId, entry->server);
	ereport(LOG,
			(errmsg("account \"%s\" is resumed", entry->name)));
}

static void
forget_use(RfCreditUse *use)
{
	pfree(use->account);
	pfree(use->endpoint);
	pfree(use);
}

static void
forget_stop(RfAccountStop *stop)
{
	pfree(stop->account);
	pfree(stop->reason);
	pfree(stop);
}

/*-------------------------------------------------------------------------
 *
 * questions.c
 *	  Questions that somebody waits for: a request without a job.
 *
 * Taken at every turn, outside any transaction, so that a question is not held
 * up by a claim that waits for the disk.  The same gates, keys, connections
 * and breakers as for mail; what comes back is handed to the session as it is,
 * which reads it.
 *
 * IDENTIFICATION
 *	  src/worker/questions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "shmem/call.h"
#include "shmem/server_mode.h"
#include "worker/activity.h"
#include "worker/redact.h"
#include "worker/credits.h"
#include "worker/departure.h"
#include "worker/explain.h"
#include "worker/roster.h"
#include "worker/limits.h"
#include "worker/question.h"
#include "worker/state.h"

static RfFlight *make_flight(RfDispatcher *d, RfCallSlot *slot,
							 const void *request, Size len);
static void abort_abandoned(RfDispatcher *d);
static void serve(RfDispatcher *d, RfFlight *flight);
static bool may_be_new(RfDispatcher *d, RfFlight *flight);
static void keep(RfDispatcher *d, RfFlight *flight);
static void refuse(RfDispatcher *d, RfFlight *flight, const char *why);
static bool build(RfFlight *flight);
static void classify(RfFlight *flight, RfOutcome *outcome);
static void read_paid(RfDispatcher *d, RfFlight *flight);
static void answer_unread(RfCallSlot *slot);
static void answer_closed(RfFlight *flight, RfAnswerEnd end, const char *why);
static void answer_body(RfFlight *flight, const RfOutcome *outcome);

/* Is there one that a claim could help on? */
bool
rf_questions_want_grant(RfDispatcher *d)
{
	ListCell   *lc;

	foreach(lc, d->questions)
	{
		if (((RfFlight *) lfirst(lc))->wants_grant)
			return true;
	}
	return false;
}

bool
rf_questions_waiting(RfDispatcher *d)
{
	return pg_atomic_read_u32(&d->slot->questions) != 0;
}

void
rf_questions_serve(RfDispatcher *d)
{
	List	   *again = d->questions;
	RfCallKind	kind;
	RfCallSlot *slot;
	void	   *request;
	Size		len;
	ListCell   *lc;

	abort_abandoned(d);
	d->questions = NIL;
	foreach(lc, again)
		serve(d, lfirst(lc));
	list_free(again);

	if (!rf_questions_waiting(d))
		return;
	pg_atomic_exchange_u32(&d->slot->questions, 0);
	while ((slot = rf_call_take(d->incarnation, RF_CALL_QUESTIONS, &kind, &request, &len)) != NULL)
	{
		if (kind == RF_CALL_KEEP)
			rf_kept_take(d, slot, request, len);
		else if (request == NULL)
			answer_unread(slot);
		else if (kind == RF_CALL_ACTIVITY)
			rf_activity_answer(d, slot);
		else if (kind == RF_CALL_EXPLAIN)
			rf_explain_answer(d, slot, request, len);
		else if (kind == RF_CALL_ECHO)
			rf_call_answer(slot, request, len);
		else if (!rf_asked_join(d, slot, request, len))
			serve(d, make_flight(d, slot, request, len));
		if (request != NULL)
			pfree(request);
	}
}

void
rf_questions_land(RfDispatcher *d, RfFlight *flight)
{
	RfTransfer *transfer = &flight->transfer;
	RfOutcome	outcome;

	flight->entry->in_flight--;
	if (transfer->end == RF_TRANSFER_ANSWERED)
	{
		classify(flight, &outcome);
		if (flight->entry->provider->people->search_costs && outcome.class == RF_OUTCOME_OK)
			read_paid(d, flight);
	}
	else
		rf_flight_classify(flight, &outcome);
	rf_credits_end(flight, &outcome);
	rf_flight_tell_gate(flight, &outcome);
	answer_body(flight, &outcome);
	d->answered_us = rf_gate_now_us();
	rf_http_release(transfer);
	rf_fleet_free(d, flight);
}

/*
 * Of a success only that it is one: the asker reads it, on a core of its own.
 * What is refused is short, and its meaning is the account's business.
 */
static void
classify(RfFlight *flight, RfOutcome *outcome)
{
	const RfResponse *response = &flight->transfer.response;
	RfPeoplePage page;

	rf_redact_answer(&flight->transfer);
	if (response->status >= 200 && response->status < 300)
	{
		rf_outcome_init(outcome, RF_OUTCOME_OK, response->status);
		return;
	}
	flight->entry->provider->people->read_search(response, (int64_t) time(NULL),
												 &flight->question->query,
												 flight->question->page, &page, outcome);
	rf_people_page_free(&page);
}

/* What it says is kept here, and not by the session: that may be gone. */
static void
read_paid(RfDispatcher *d, RfFlight *flight)
{
	RfPeoplePage page;
	RfOutcome	outcome;

	flight->entry->provider->people->read_search(&flight->transfer.response, (int64_t) time(NULL),
												 &flight->question->query,
												 flight->question->page, &page, &outcome);
	if ((outcome.class == RF_OUTCOME_OK || outcome.class == RF_OUTCOME_MISS) && !page.filters_ignored)
		rf_kept_page(d, flight, &page);
	rf_people_page_free(&page);
}

static RfFlight *
make_flight(RfDispatcher *d, RfCallSlot *slot, const void *request, Size len)
{
	MemoryContext context = AllocSetContextCreate(d->flights_context, "roleferry transfer",
												  ALLOCSET_DEFAULT_SIZES);	/* one block: it is kept */
	RfFlight   *flight = MemoryContextAllocZero(context, sizeof(RfFlight));
	MemoryContext old;
	void	   *bytes;

	flight->context = context;
	flight->slot = -1;
	flight->asker = slot;
	bytes = MemoryContextAllocHuge(context, len);
	memcpy(bytes, request, len);
	flight->question_bytes = bytes;
	flight->question_len = len;
	rf_asked_add(d, flight);
	old = MemoryContextSwitchTo(context);
	flight->question = palloc(sizeof(RfQuestion));
	rf_question_unpack(bytes, flight->question);
	MemoryContextSwitchTo(old);
	d->ncall_flights++;
	return flight;
}

/* Nobody waits for the answer, and nothing was paid for it. */
static void
abort_abandoned(RfDispatcher *d)
{
	for (int i = 0; d->ncall_flights > 0 && i < d->nflights; i++)
	{
		RfFlight   *flight = d->flights[i];

		if (flight->asker == NULL || flight->aborted || !rf_asked_is_abandoned(flight) ||
			flight->entry->provider->people->search_costs)
			continue;
		flight->aborted = true;
		rf_http_abort(d->engine, &flight->transfer, "nobody waits for the answer", rf_gate_now_us());
	}
}

/* Start it, answer it, or keep it until its host is known. */
static void
serve(RfDispatcher *d, RfFlight *flight)
{
	RfRosterEntry *entry = rf_roster_find_server(flight->question->server);
	bool		closed = true;

	flight->entry = entry;
	if (d->drain_until_us != 0)
		refuse(d, flight, "the dispatcher is stopping");
	else if (rf_lookout_finds_mute(d))
		refuse(d, flight, d->activation.why);
	else if (rf_server_mode() != RF_MODE_LIVE)
		refuse(d, flight, psprintf("roleferry.mode is \"%s\"", rf_mode_text(rf_server_mode())));
	else if (!d->started_up || d->activation.state != RF_ACTIVATION_ACTIVE || !rf_limit_rules_are_known())
		keep(d, flight);
	else if (entry == NULL && may_be_new(d, flight))
		keep(d, flight);
	else if (entry == NULL || entry->provider->people == NULL)
		refuse(d, flight, "the account does not exist any more");
	else if (rf_roster_capacity(entry, d->engine, rf_gate_now_us(), &closed) == 0 && !closed)
		keep(d, flight);
	else if (closed || !rf_limits_admit(flight, entry, rf_gate_now_us()) ||
			 !rf_gate_enter(MyDatabaseId, entry->server, &flight->generation))
		refuse(d, flight, NULL);
	else if (!rf_limits_take(flight))
	{
		/* Its token is to be on disk first, with the next claim. */
		rf_gate_withdraw(MyDatabaseId, entry->server, flight->generation);
		flight->wants_grant = true;
		keep(d, flight);
	}
	else if (!build(flight))
	{
		rf_limits_withdraw(flight);
		rf_gate_withdraw(MyDatabaseId, entry->server, flight->generation);
		refuse(d, flight, "the request could not be built");
	}
	else
	{
		flight->wants_grant = false;
		entry->in_flight++;
		rf_fleet_add(d, flight);
		if (!rf_departure_start(flight, d->engine))
			rf_fleet_land(d, flight);
	}
}

/* The asker sees accounts at once, we at our next look around: now, then. */
static bool
may_be_new(RfDispatcher *d, RfFlight *flight)
{
	bool		first = !flight->looked_around;

	flight->looked_around = true;
	d->look_everywhere |= first;
	return d->look_everywhere;
}

static void
keep(RfDispatcher *d, RfFlight *flight)
{
	MemoryContext old = MemoryContextSwitchTo(d->flights_context);

	d->questions = lappend(d->questions, flight);
	MemoryContextSwitchTo(old);
}

static void
refuse(RfDispatcher *d, RfFlight *flight, const char *why)
{
	bool		ready = d->drain_until_us == 0 && rf_server_mode() == RF_MODE_LIVE &&
		d->activation.state == RF_ACTIVATION_ACTIVE;

	answer_closed(flight, ready ? RF_ANSWER_CLOSED : RF_ANSWER_NOT_READY, why);
	rf_fleet_free(d, flight);
}

static bool
build(RfFlight *flight)
{
	RfRosterEntry *entry = flight->entry;
	const RfSecret *secret = rf_roster_secret(entry, false);
	RfAccountConfig config;

	if (secret == NULL)
		return false;
	memset(&config, 0, sizeof(config));
	config.base_url = entry->base_url;
	config.region = entry->region;
	config.domain = entry->domain;
	config.dialect = entry->dialect;
	config.secret = rf_secret_text(secret);
	flight->transfer.owner = flight;
	return entry->provider->people->build_search(&config, &flight->question->query,
												 flight->question->page,
												 &flight->transfer.request);
}

static void
answer_unread(RfCallSlot *slot)
{
	static const char why[] = "the question could not be read from shared memory";
	RfAnswer	answer;

	memset(&answer, 0, sizeof(answer));
	answer.end = RF_ANSWER_CLOSED;
	rf_outcome_init(&answer.outcome, RF_OUTCOME_TRANSIENT, 0);
	rf_outcome_set_reason(&answer.outcome, why, strlen(why));
	rf_call_answer(slot, &answer, sizeof(answer));
}

static void
answer_closed(RfFlight *flight, RfAnswerEnd end, const char *why)
{
	RfRosterEntry *entry = flight->entry;
	RfAnswer	answer;
	RfGateView	view;
	int64		limited_until_us;

	memset(&answer, 0, sizeof(answer));
	answer.end = end;
	rf_outcome_init(&answer.outcome, RF_OUTCOME_TRANSIENT, 0);
	if (entry != NULL && why == NULL)
	{
		limited_until_us = rf_limits_turn(flight, entry, rf_gate_now_us());
		rf_gate_look(MyDatabaseId, entry->server, true, &view);
		if (entry->paused_until_us > rf_gate_now_us())
		{
			limited_until_us = entry->paused_until_us;
			why = "it is paused by a person: see roleferry.accounts";
		}
		view.opens_at_us = Max(view.opens_at_us, limited_until_us);
		answer.circuit_open = view.state == RF_GATE_OPEN;
		answer.outcome.class = view.state == RF_GATE_PAUSED ? view.paused_by : RF_OUTCOME_TRANSIENT;
		answer.opens_in_us = view.opens_at_us > 0 && view.opens_at_us < PG_INT64_MAX ?
			Max(view.opens_at_us - rf_gate_now_us(), 0) : 0;
		if (why == NULL)
			why = view.reason[0] != '\0' ? view.reason :
				limited_until_us > 0 ? "a rate limit is used up" : "too many requests are under way";
	}
	rf_outcome_set_reason(&answer.outcome, why, strlen(why));
	rf_asked_answer(flight, &answer, sizeof(answer));
}

static void
answer_body(RfFlight *flight, const RfOutcome *outcome)
{
	const RfResponse *response = &flight->transfer.response;
	Size		body_len = response->body != NULL ? response->body_len : 0;
	Size		len = sizeof(RfAnswer) + body_len;
	RfAnswer   *answer = MemoryContextAllocHuge(CurrentMemoryContext, len);

	memset(answer, 0, sizeof(*answer));
	answer->end = flight->transfer.end == RF_TRANSFER_ANSWERED ? RF_ANSWER_GIVEN : RF_ANSWER_NONE;
	answer->outcome = *outcome;
	answer->body_len = body_len;
	if (body_len > 0)
		memcpy(answer + 1, response->body, body_len);
	rf_asked_answer(flight, answer, len);
	pfree(answer);
}

/*-------------------------------------------------------------------------
 *
 * fetches.c
 *	  Questions that somebody waits for: a request without a job.
 *
 * Taken at every turn, outside any transaction, so that a question is not held
 * up by a claim that waits for the disk.  The same gates, keys, connections
 * and breakers as for mail; what comes back is handed to the session as it is,
 * which reads it.
 *
 * IDENTIFICATION
 *	  src/worker/fetches.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "provider/fetch.h"
#include "shmem/call.h"
#include "worker/redact.h"
#include "worker/roster.h"
#include "worker/state.h"
#include "worker/fetches.h"

static RfFlight *make_flight(RfDispatcher *d, RfCallSlot *slot,
							 const void *request, Size len);
static void abort_abandoned(RfDispatcher *d);
static void serve(RfDispatcher *d, RfFlight *flight);
static void keep(RfDispatcher *d, RfFlight *flight);
static void refuse(RfDispatcher *d, RfFlight *flight, const char *why);
static bool build(RfFlight *flight, const RfFetchHead *head);
static void answer_closed(RfCallSlot *slot, RfRosterEntry *entry, bool ready,
						  const char *why);
static void answer_body(RfFlight *flight, const RfOutcome *outcome);

bool
rf_fetches_waiting(RfDispatcher *d)
{
	return pg_atomic_read_u32(&d->slot->fetches) != 0;
}

void
rf_fetches_serve(RfDispatcher *d)
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

	if (!rf_fetches_waiting(d))
		return;
	pg_atomic_exchange_u32(&d->slot->fetches, 0);
	while ((slot = rf_call_take(d->incarnation, RF_CALL_QUESTIONS, &kind, &request, &len)) != NULL)
	{
		if (request == NULL)
			answer_closed(slot, NULL, true, "the question could not be read from shared memory");
		else if (kind == RF_CALL_ECHO)
			rf_call_answer(slot, request, len);
		else
			serve(d, make_flight(d, slot, request, len));
		if (request != NULL)
			pfree(request);
	}
}

void
rf_fetches_land(RfDispatcher *d, RfFlight *flight)
{
	RfTransfer *transfer = &flight->transfer;
	RfOutcome	outcome;

	flight->entry->in_flight--;
	rf_flight_classify(flight, &outcome);
	rf_flight_tell_gate(flight, &outcome);
	answer_body(flight, &outcome);
	rf_http_release(transfer);
	rf_fleet_free(d, flight);
}

static RfFlight *
make_flight(RfDispatcher *d, RfCallSlot *slot, const void *request, Size len)
{
	MemoryContext context = AllocSetContextCreate(d->flights_context, "roleferry transfer",
												  ALLOCSET_SMALL_SIZES);
	RfFlight   *flight = MemoryContextAllocZero(context, sizeof(RfFlight));

	flight->context = context;
	flight->slot = -1;
	flight->fetch = slot;
	flight->question = MemoryContextAllocHuge(context, len);
	memcpy(flight->question, request, len);
	d->ncall_flights++;
	return flight;
}

/* Nobody waits for the answer, and nothing depends on it. */
static void
abort_abandoned(RfDispatcher *d)
{
	for (int i = 0; d->ncall_flights > 0 && i < d->nflights; i++)
	{
		RfFlight   *flight = d->flights[i];

		if (flight->fetch == NULL || flight->aborted || !rf_call_is_abandoned(flight->fetch))
			continue;
		flight->aborted = true;
		rf_http_abort(d->engine, &flight->transfer, "nobody waits for the answer", rf_gate_now_us());
	}
}

/* Start it, answer it, or keep it until its host is known. */
static void
serve(RfDispatcher *d, RfFlight *flight)
{
	const RfFetchHead *head = flight->question;
	RfRosterEntry *entry = rf_roster_find_server(head->server);
	bool		closed = true;

	flight->entry = entry;
	if (d->drain_until_us != 0)
		refuse(d, flight, "the dispatcher is stopping");
	else if (!d->started_up)
		keep(d, flight);
	else if (d->activation.state != RF_ACTIVATION_ACTIVE)
		refuse(d, flight, d->activation.why);
	else if (entry == NULL)
		refuse(d, flight, "the account does not exist any more");
	else if (rf_roster_capacity(entry, d->engine, rf_gate_now_us(), &closed) == 0 && !closed)
		keep(d, flight);
	else if (closed ||
			 !rf_gate_enter(MyDatabaseId, entry->server, &flight->generation))
		refuse(d, flight, NULL);
	else if (!build(flight, head))
	{
		rf_gate_withdraw(MyDatabaseId, entry->server, flight->generation);
		refuse(d, flight, "the request could not be built");
	}
	else
	{
		entry->in_flight++;
		rf_fleet_add(d, flight);
		if (!rf_http_start(d->engine, &flight->transfer, rf_gate_now_us()))
			rf_fleet_land(d, flight);
	}
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
	bool		ready = d->drain_until_us == 0 && d->activation.state == RF_ACTIVATION_ACTIVE;

	answer_closed(flight->fetch, flight->entry, ready, why);
	rf_fleet_free(d, flight);
}

static bool
build(RfFlight *flight, const RfFetchHead *head)
{
	const char *path = (const char *) (head + 1);
	const RfSecret *secret = rf_roster_secret(flight->entry, false);
	RfAccountConfig config;

	if (secret == NULL)
		return false;
	memset(&config, 0, sizeof(config));
	config.base_url = flight->entry->base_url;
	config.region = flight->entry->region;
	config.domain = flight->entry->domain;
	config.secret = rf_secret_text(secret);
	flight->transfer.owner = flight;
	return rf_fetch_build(flight->entry->provider, &config, path,
						  path + head->path_size, head->body_len,
						  &flight->transfer.request);
}

static void
answer_closed(RfCallSlot *slot, RfRosterEntry *entry, bool ready, const char *why)
{
	RfFetchAnswer answer;
	RfGateView	view;

	memset(&answer, 0, sizeof(answer));
	answer.not_ready = !ready;
	rf_outcome_init(&answer.outcome, RF_OUTCOME_TRANSIENT, 0);
	if (entry != NULL && why == NULL)
	{
		rf_gate_look(MyDatabaseId, entry->server, true, &view);
		answer.outcome.class = view.state == RF_GATE_PAUSED ? view.paused_by : RF_OUTCOME_TRANSIENT;
		answer.opens_in_us = view.opens_at_us > 0 ? Max(view.opens_at_us - rf_gate_now_us(), 0) : 0;
		why = view.reason[0] != '\0' ? view.reason : "the account is busy";
	}
	rf_outcome_set_reason(&answer.outcome, why, strlen(why));
	rf_call_answer(slot, &answer, sizeof(answer));
}

static void
answer_body(RfFlight *flight, const RfOutcome *outcome)
{
	const RfResponse *response = &flight->transfer.response;
	Size		body_len = response->body != NULL ? response->body_len : 0;
	Size		len = sizeof(RfFetchAnswer) + body_len;
	RfFetchAnswer *answer = MemoryContextAllocHuge(CurrentMemoryContext, len);

	memset(answer, 0, sizeof(*answer));
	answer->asked = flight->transfer.end != RF_TRANSFER_NOT_SENT;
	answer->outcome = *outcome;
	answer->body_len = body_len;
	if (body_len > 0)
		memcpy(answer + 1, response->body, body_len);
	rf_call_answer(flight->fetch, answer, len);
	pfree(answer);
}

void *
rf_fetch_pack(Oid server, const char *path, const char *body, Size body_len,
			  Size *len)
{
	Size		path_size = strlen(path) + 1;
	RfFetchHead *head;

	*len = sizeof(RfFetchHead) + path_size + body_len;
	head = MemoryContextAllocHuge(CurrentMemoryContext, *len);
	memset(head, 0, sizeof(*head));
	head->server = server;
	head->path_size = path_size;
	head->body_len = body_len;
	memcpy(head + 1, path, path_size);
	memcpy((char *) (head + 1) + path_size, body, body_len);
	return head;
}

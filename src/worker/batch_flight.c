/*-------------------------------------------------------------------------
 *
 * batch_flight.c
 *	  The requests of a batch: one at a time, through the gates of its account.
 *
 * A request waits for its token and its turn in the claim's transaction, as any
 * job does, and takes no place of roleferry.max_in_flight.
 *
 * IDENTIFICATION
 *	  src/worker/batch_flight.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/lookup_job.h"
#include "settings.h"
#include "shmem/fault.h"
#include "shmem/server_mode.h"
#include "worker/batches.h"
#include "worker/credits.h"
#include "worker/departure.h"
#include "worker/limits.h"
#include "worker/redact.h"

/* While its account is closed: how soon to look again. */
#define CLOSED_US		INT64CONST(1000000)

static bool give_up_waiting(RfBatchRun *run, const char *why);
static bool build(RfDispatcher *d, RfFlight *flight);
static void could_not_build(RfDispatcher *d, RfFlight *flight);
static void never_left(RfDispatcher *d, RfFlight *flight, bool entered, const char *why);
static void end_without_answer(RfBatchRun *run, const char *why, bool account_wide);
static void read_transfer(RfDispatcher *d, RfFlight *flight);
static int64 age_us(const RfBatchRun *run);
static int64 give_up_us(void);

/* In the claim's transaction: who is due takes off with it. */
void
rf_batches_due(RfDispatcher *d)
{
	int64		now_us = rf_gate_now_us();
	ListCell   *lc;

	foreach(lc, rf_batch_runs)
	{
		RfBatchRun *run = lfirst(lc);
		RfRosterEntry *entry;
		bool		closed;

		if (run->flight != NULL || run->moved || run->due_us > now_us)
			continue;
		entry = rf_roster_find(run->row.account);
		if (entry == NULL || !rf_lookup_task(run->row.task)->serves(entry->provider))
		{
			if (!give_up_waiting(run, "its account does not exist any more"))
				run->due_us = now_us + CLOSED_US;
		}
		else if (rf_server_mode() != RF_MODE_LIVE)
		{
			if (!give_up_waiting(run, "roleferry.mode was not live for too long"))
				run->due_us = now_us + CLOSED_US;
		}
		else if (rf_roster_capacity(entry, d->engine, now_us, &closed) > 0)
			rf_batches_take_off(d, run, entry);
		else if (!give_up_waiting(run, "its account was closed for too long"))
			run->due_us = now_us + (closed ? CLOSED_US : CLOSED_US / 50);
	}
}

/* It is to start when this claim is committed. */
void
rf_batches_take_off(RfDispatcher *d, RfBatchRun *run, RfRosterEntry *entry)
{
	MemoryContext context = AllocSetContextCreate(d->flights_context, "roleferry transfer",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old;
	RfFlight   *flight = MemoryContextAllocZero(context, sizeof(RfFlight));

	flight->context = context;
	flight->slot = -1;
	flight->batch = run;
	flight->entry = entry;
	flight->wants_grant = true;
	flight->endpoint = run->row.step != RF_BATCH_SEND || run->row.single ? run->row.task :
		run->kind->endpoint;
	flight->cost = run->row.step == RF_BATCH_SEND ? (uint32) run->row.items_total : 0;
	run->flight = flight;
	d->ncall_flights++;
	old = MemoryContextSwitchTo(d->flights_context);
	d->starting = lappend(d->starting, flight);
	MemoryContextSwitchTo(old);
}

void
rf_batches_start(RfDispatcher *d, RfFlight *flight)
{
	RfRosterEntry *entry = flight->entry;
	const RfSecret *secret = entry->present ? rf_roster_secret(entry, false) : NULL;

	if (secret == NULL || !rf_gate_enter(MyDatabaseId, entry->server, &flight->generation))
	{
		never_left(d, flight, false, "its account was closed");
		return;
	}
	if (!rf_limits_take(flight))
	{
		never_left(d, flight, true, "its account has no request left");
		return;
	}
	flight->secret_version = rf_secret_version(secret);
	flight->transfer.owner = flight;
	flight->started_at = GetCurrentTimestamp();
	if (!build(d, flight))
	{
		could_not_build(d, flight);
		return;
	}
	entry->in_flight++;
	rf_fleet_add(d, flight);
	RF_FAULT("before_batch_transfer");
	if (!rf_departure_start(flight, d->engine))
		rf_fleet_land(d, flight);
}

void
rf_batches_land(RfDispatcher *d, RfFlight *flight)
{
	RfBatchRun *run = flight->batch;

	flight->entry->in_flight--;
	RF_FAULT("batch_answer");
	memset(&run->answer, 0, sizeof(run->answer));
	run->answer.items_done = -1;
	if (flight->transfer.starved)
	{
		rf_limits_withdraw(flight);
		rf_gate_withdraw(MyDatabaseId, flight->entry->server, flight->generation);
		rf_outcome_init(&run->answer.outcome, RF_OUTCOME_TRANSIENT, 0);
		run->answer.outcome.account_wide = true;	/* no fault of the jobs' */
		rf_outcome_set_reason(&run->answer.outcome, flight->transfer.why, strlen(flight->transfer.why));
	}
	else
	{
		read_transfer(d, flight);
		rf_credits_end(flight, &run->answer.outcome);
		rf_flight_tell_gate(flight, &run->answer.outcome);
	}
	rf_batches_conclude(run);
	rf_http_release(&flight->transfer);
	rf_fleet_free(d, flight);
}

/* What follows: to be written before anything else happens. */
void
rf_batches_conclude(RfBatchRun *run)
{
	RfBatchFacts facts;

	memset(&facts, 0, sizeof(facts));
	facts.step = run->row.step;
	facts.can_find = run->kind->can_find(&run->row);
	facts.answers_at_once = run->kind->answers_at_once(&run->row);
	facts.more = run->answer.more;
	facts.tries = run->tries;
	facts.misses = run->misses;
	facts.age_us = age_us(run);
	facts.give_up_us = give_up_us();
	facts.poll_us = run->kind->poll_us();
	facts.retry_after_max_s = rf_retry_after_max;
	run->next = rf_batch_next(&facts, &run->answer.outcome);
	run->moved = true;
}

/* Nobody can be asked, and it has been long enough. */
static bool
give_up_waiting(RfBatchRun *run, const char *why)
{
	if (age_us(run) < give_up_us())
		return false;
	end_without_answer(run, why, false);
	return true;
}

static bool
build(RfDispatcher *d, RfFlight *flight)
{
	RfBatchRun *run = flight->batch;
	RfRosterEntry *entry = flight->entry;
	RfAccountConfig config;

	memset(&config, 0, sizeof(config));
	config.base_url = entry->base_url;
	config.region = entry->region;
	config.domain = entry->domain;
	config.dialect = entry->dialect;
	config.secret = rf_secret_text(rf_roster_secret(entry, false));
	return !RF_FAULT_FAILS("batch_build") &&
		run->kind->build(&run->row, entry->provider, &config, rf_batches_name(d, run),
						 run->items, run->nitems, &flight->transfer.request);
}

/*
 * No memory, or something that no request can be made of.  As with an answer
 * that fails: it counts as a try of the jobs' or the batch's own, and comes
 * again ever more rarely until there were enough.
 */
static void
could_not_build(RfDispatcher *d, RfFlight *flight)
{
	rf_limits_withdraw(flight);
	rf_gate_withdraw(MyDatabaseId, flight->entry->server, flight->generation);
	rf_request_free(&flight->transfer.request);
	end_without_answer(flight->batch, "the request could not be built", false);
	rf_fleet_free(d, flight);
}

/* Sent by nobody: a paid request is given up, any other comes again. */
static void
never_left(RfDispatcher *d, RfFlight *flight, bool entered, const char *why)
{
	RfBatchRun *run = flight->batch;

	if (entered)
		rf_gate_withdraw(MyDatabaseId, flight->entry->server, flight->generation);
	rf_request_free(&flight->transfer.request);
	if (run->row.step == RF_BATCH_SEND)
		end_without_answer(run, why, true);
	else
		run->due_us = rf_gate_now_us() + CLOSED_US / 10;
	rf_fleet_free(d, flight);
}

static void
end_without_answer(RfBatchRun *run, const char *why, bool account_wide)
{
	memset(&run->answer, 0, sizeof(run->answer));
	run->answer.items_done = -1;
	rf_outcome_init(&run->answer.outcome, RF_OUTCOME_TRANSIENT, 0);
	run->answer.outcome.account_wide = account_wide;
	rf_outcome_set_reason(&run->answer.outcome, why, strlen(why));
	rf_batches_conclude(run);
}

static void
read_transfer(RfDispatcher *d, RfFlight *flight)
{
	RfTransfer *transfer = &flight->transfer;
	RfBatchRun *run = flight->batch;
	RfOutcome  *outcome = &run->answer.outcome;

	switch (transfer->end)
	{
		case RF_TRANSFER_ANSWERED:
			rf_redact_answer(transfer);
			run->kind->read(&run->row, flight->entry->provider, &transfer->response,
							(int64) time(NULL), rf_batches_name(d, run),
							run->items, run->nitems, &run->answer);
			return;
		case RF_TRANSFER_NOT_SENT:
			rf_outcome_init(outcome, RF_OUTCOME_TRANSIENT, 0);
			break;
		case RF_TRANSFER_AMBIGUOUS:
			rf_outcome_init(outcome, RF_OUTCOME_AMBIGUOUS, 0);
			break;
	}
	rf_outcome_set_reason(outcome, transfer->why, strlen(transfer->why));
}

static int64
age_us(const RfBatchRun *run)
{
	return Max(GetCurrentTimestamp() - run->row.created_at, 0);
}

static int64
give_up_us(void)
{
	return (int64) rf_batch_give_up * 1000000;
}

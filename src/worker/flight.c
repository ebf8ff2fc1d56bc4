/*-------------------------------------------------------------------------
 *
 * flight.c
 *	  One job under way: from its claim to its settlement.
 *
 * Everything here is about one job; the dispatcher decides when, and
 * core/outcome.c what an outcome means.
 *
 * IDENTIFICATION
 *	  src/worker/flight.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/backoff.h"
#include "outbox/found.h"
#include "settings.h"
#include "shmem/fault.h"
#include "shmem/server_mode.h"
#include "worker/batch_kind.h"
#include "worker/choice.h"
#include "worker/credits.h"
#include "worker/departure.h"
#include "worker/limits.h"
#include "worker/metrics.h"
#include "worker/render.h"
#include "worker/retries.h"
#include "worker/search.h"

static RfStart fail_unsent(RfFlight *flight, const char *why);
static bool follow(RfFlight *flight, const RfOutcome *outcome, RfDecision decision,
				   RfSettlement *settlement);
static bool key_was_replaced(RfFlight *flight, const RfOutcome *outcome);
static void record_attempt(RfFlight *flight, const RfOutcome *outcome,
						   RfSettlement *settlement);
static void take_excerpt(RfFlight *flight, RfSettlement *settlement);
static TimestampTz next_run_at(RfFlight *flight, const RfOutcome *outcome,
							   bool charged);

RfFlight *
rf_flight_create(RfClaimedJob *job)
{
	MemoryContext context = GetMemoryChunkContext(job);
	RfFlight   *flight = MemoryContextAllocZero(context, sizeof(RfFlight));
	Oid			roleid = get_role_oid(job->role, true);
	MemoryContext old = CurrentMemoryContext;
	ListCell   *lc;

	flight->job = job;
	flight->mode = rf_mode_stricter(job->mode, rf_server_mode());
	flight->gathers = rf_batch_kind_of(job) != NULL;
	flight->context = context;
	flight->slot = -1;
	flight->ownerless = !OidIsValid(roleid);
	foreach(lc, job->accounts)
	{
		RfAccount  *account = rf_account_by_name(lfirst(lc));
		int			position = foreach_current_index(lc);

		if (position < RF_ROUTE_MAX_ACCOUNTS && account != NULL &&
			OidIsValid(roleid) && rf_account_usable(account, roleid))
			flight->usable |= UINT32_C(1) << position;
	}
	if (rf_found_exists(job))
		flight->usable &= (uint32) (UINT64_C(1) << rf_found_position(job));
	flight->suppressed = rf_suppression_at_claim(job, &flight->taken_off);
	rf_search_begin(flight);

	/* Last: where an error came before, nobody would count it out again. */
	flight->queue = rf_queues_enter(job->queue ? job->queue : "");

	/*
	 * A statement leaves us in a context of SPI's, which ends with the claim;
	 * who lists this flight means his own.
	 */
	MemoryContextSwitchTo(old);
	return flight;
}

RfStart
rf_flight_start(RfFlight *flight, RfHttpEngine *engine,
				const char *installation, RfSettlement *settlement)
{
	RfClaimedJob *job = flight->job;
	const RfSecret *secret;
	char		why[RF_REASON_MAX + 1];
	RfStart		end;
	bool		never;
	int			position;

	if (job->expires_at < GetCurrentTimestamp())
		return rf_flight_bury(flight, "expired", psprintf("not sent before %s",
														  timestamptz_to_str(job->expires_at)), settlement);
	if (flight->suppressed != NULL)
		return rf_flight_bury(flight, "suppressed", flight->suppressed, settlement);
	if (rf_departure_is_barred(flight, installation, settlement, &end))
		return end;
	position = rf_choice_account(flight, engine, &never);
	if (position == RF_NO_ACCOUNT)
	{
		if (!never)
			return rf_flight_give_back(flight, settlement);
		return rf_flight_bury(flight, "failed", rf_choice_why_never(flight), settlement);
	}

	flight->position = position;
	flight->entry = rf_roster_find(list_nth(job->accounts, position));
	secret = rf_roster_secret(flight->entry, false);
	if (secret == NULL || rf_queues_paused(flight->queue) ||
		!rf_gate_enter(MyDatabaseId, flight->entry->server, &flight->generation))
		return rf_flight_give_back(flight, settlement);
	if (!rf_limits_take(flight))
	{
		/* The claim did not foresee it: the next one will. */
		rf_gate_withdraw(MyDatabaseId, flight->entry->server, flight->generation);
		(void) rf_flight_give_back(flight, settlement);
		settlement->run_at = GetCurrentTimestamp() + RF_UNGRANTED_US;
		return RF_START_CANNOT;
	}

	memset(&flight->transfer, 0, sizeof(flight->transfer));
	flight->transfer.owner = flight;
	flight->aborted = false;
	flight->secret_version = rf_secret_version(secret);
	flight->started_at = GetCurrentTimestamp();
	switch (rf_render_request(flight, rf_secret_text(secret), installation, why))
	{
		case RF_RENDERED:
			break;
		case RF_RENDER_NEVER:
			rf_limits_withdraw(flight);
			rf_gate_withdraw(MyDatabaseId, flight->entry->server, flight->generation);
			rf_request_free(&flight->transfer.request);
			return rf_flight_bury(flight, "failed", why, settlement);
		case RF_RENDER_NO_MEMORY:
			return fail_unsent(flight, why);
	}

	flight->entry->in_flight++;
	RF_FAULT("before_transfer");
	return rf_departure_start(flight, engine) ? RF_START_FLYING : RF_START_FINISHED;
}

bool
rf_flight_land(RfFlight *flight, RfHttpEngine *engine, bool draining,
			   RfSettlement *settlement)
{
	RfOutcome	outcome;
	RfJobFacts	facts;
	RfDecision	decision;
	bool		again = false;

	flight->entry->in_flight--;
	if (flight->transfer.starved)
	{
		rf_limits_withdraw(flight);
		/* Our shortage: neither the account nor the job has failed. */
		rf_gate_withdraw(MyDatabaseId, flight->entry->server, flight->generation);
		(void) rf_flight_give_back(flight, settlement);
		rf_http_release(&flight->transfer);
		return false;
	}
	rf_flight_classify(flight, &outcome);
	rf_credits_end(flight, &outcome);
	record_attempt(flight, &outcome, settlement);

	if (key_was_replaced(flight, &outcome) && !draining)
	{
		rf_gate_withdraw(MyDatabaseId, flight->entry->server, flight->generation);
		settlement->kind = RF_SETTLE_NONE;
		settlement->verdict = "again_with_the_new_key";
		rf_metrics_transfer(flight, &outcome);
		rf_http_release(&flight->transfer);
		return true;
	}
	rf_flight_tell_gate(flight, &outcome);
	if (flight->search != NULL && (outcome.class == RF_OUTCOME_OK || outcome.class == RF_OUTCOME_MISS))
	{
		again = rf_search_landed(flight, settlement);
		if (again && draining)
			rf_flight_return(flight, settlement);
		rf_http_release(&flight->transfer);
		return again && !draining;
	}

	flight->tried |= UINT32_C(1) << flight->position;
	facts.delivery = flight->job->delivery;
	facts.more_accounts = !draining && rf_choice_has_another(flight, engine);
	facts.waits_for_events = rf_resend_unknown_after > 0 && flight->search == NULL;
	facts.failures = flight->job->failures;
	facts.max_attempts = rf_retries_of(flight->job, outcome.class).max_attempts;
	decision = rf_outcome_decide(&outcome, &facts);
	again = follow(flight, &outcome, decision, settlement);
	rf_http_release(&flight->transfer);
	return again;
}

/* True: to its next account. */
static bool
follow(RfFlight *flight, const RfOutcome *outcome, RfDecision decision,
	   RfSettlement *settlement)
{
	settlement->charged = decision.charge ? 1 : 0;
	switch (decision.action)
	{
		case RF_ACTION_SENT:
			settlement->kind = RF_SETTLE_SENT;
			settlement->verdict = NULL;
			break;
		case RF_ACTION_NEXT_ACCOUNT:
			settlement->kind = RF_SETTLE_NONE;
			settlement->verdict = "next_account";
			return true;
		case RF_ACTION_RETRY:
			settlement->kind = RF_SETTLE_WAIT;
			settlement->verdict = "retry";
			settlement->run_at = next_run_at(flight, outcome, decision.charge);
			break;
		case RF_ACTION_UNKNOWN:
			settlement->kind = RF_SETTLE_DEAD;
			settlement->state = settlement->verdict = "unknown";
			break;
		case RF_ACTION_FAIL:
			settlement->kind = RF_SETTLE_DEAD;
			settlement->state = settlement->verdict = "failed";
			break;
	}
	return false;
}

void
rf_flight_return(RfFlight *flight, RfSettlement *settlement)
{
	memset(settlement, 0, sizeof(*settlement));
	settlement->job_id = flight->job->id;
	settlement->kind = RF_SETTLE_WAIT;
	settlement->run_at = flight->job->run_at;
}

void
rf_flight_free(RfFlight *flight)
{
	rf_queues_leave(flight->queue);
	MemoryContextDelete(flight->context);
}

/* When it may go depends on the accounts it may use: not before one opens. */
RfStart
rf_flight_give_back(RfFlight *flight, RfSettlement *settlement)
{
	memset(settlement, 0, sizeof(*settlement));
	settlement->kind = RF_SETTLE_GIVE_BACK;
	settlement->job_id = flight->job->id;
	settlement->run_at = rf_choice_next_opening(flight);
	return RF_START_CANNOT;
}

/*
 * As if its transfer had not been sent, which is tried again later and not for
 * ever; the account is not to blame.
 */
static RfStart
fail_unsent(RfFlight *flight, const char *why)
{
	RfTransfer *transfer = &flight->transfer;

	rf_request_free(&transfer->request);
	transfer->end = RF_TRANSFER_NOT_SENT;
	strlcpy(transfer->why, why, sizeof(transfer->why));
	transfer->started_us = transfer->finished_us = rf_gate_now_us();
	flight->aborted = true;
	flight->entry->in_flight++;
	return RF_START_FINISHED;
}

RfStart
rf_flight_bury(RfFlight *flight, const char *state, const char *reason,
			   RfSettlement *settlement)
{
	memset(settlement, 0, sizeof(*settlement));
	settlement->kind = RF_SETTLE_DEAD;
	settlement->job_id = flight->job->id;
	settlement->state = state;
	rf_outcome_init(&settlement->outcome, RF_OUTCOME_PERMANENT, 0);
	rf_outcome_set_reason(&settlement->outcome, reason, strlen(reason));
	return RF_START_DEAD;
}

/* The key was refused, and the file holds another one by now: worth one more try. */
static bool
key_was_replaced(RfFlight *flight, const RfOutcome *outcome)
{
	const RfSecret *secret;

	if (outcome->class != RF_OUTCOME_CREDENTIAL || flight->secret_reread ||
		!flight->entry->present)
		return false;
	flight->secret_reread = true;
	secret = rf_roster_secret(flight->entry, true);
	return secret != NULL && rf_secret_version(secret) != flight->secret_version;
}

static void
record_attempt(RfFlight *flight, const RfOutcome *outcome,
			   RfSettlement *settlement)
{
	RfTransfer *transfer = &flight->transfer;

	memset(settlement, 0, sizeof(*settlement));
	settlement->job_id = flight->job->id;
	settlement->account = pstrdup(flight->entry->name);
	settlement->provider = flight->entry->provider->name;
	settlement->attempt = flight->job->attempts;
	settlement->started_at = flight->started_at;
	settlement->took_us = Max(transfer->finished_us - transfer->started_us, 0);
	settlement->outcome = *outcome;
	settlement->note = flight->tests ? RF_SANDBOX_NOTE : NULL;
	if (outcome->taken != RF_TAKEN_YES)
		take_excerpt(flight, settlement);
}

static void
take_excerpt(RfFlight *flight, RfSettlement *settlement)
{
	const RfResponse *response = &flight->transfer.response;
	const RfSecret *secret;

	if (response->body == NULL || response->body_len == 0)
		return;
	secret = flight->entry->secret_name ? rf_roster_secret(flight->entry, false) : NULL;
	settlement->excerpt = palloc(RF_EXCERPT_MAX);
	settlement->excerpt_len = rf_text_excerpt(response->body, response->body_len,
											  secret ? rf_secret_text(secret) : "",
											  secret ? rf_secret_len(secret) : 0,
											  settlement->excerpt, RF_EXCERPT_MAX);
}

/*
 * A failure that counts waits by the backoff table.  A refusal that does not
 * (the account is paused) waits for the first of its accounts to open.
 */
static TimestampTz
next_run_at(RfFlight *flight, const RfOutcome *outcome, bool charged)
{
	RfBackoffPolicy policy = rf_retries_of(flight->job, outcome->class).backoff;

	if (!charged)
		return rf_choice_next_opening(flight);
	return GetCurrentTimestamp() +
		rf_backoff_delay_us(&policy, flight->job->failures + 1,
							outcome->retry_after_s, rf_retry_after_max,
							pg_prng_uint64(&pg_global_prng_state));
}

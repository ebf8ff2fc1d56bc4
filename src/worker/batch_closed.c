/*-------------------------------------------------------------------------
 *
 * batch_closed.c
 *	  Gathered jobs for which no account is open now.
 *
 * A job goes back to the outbox until one opens.  Who waits for it is told why,
 * unless it opens before his time is over; the job goes on all the same, and so
 * a second call for the same pays nothing twice.
 *
 * IDENTIFICATION
 *	  src/worker/batch_closed.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "settings.h"
#include "worker/batches.h"
#include "worker/choice.h"
#include "worker/limits.h"
#include "worker/retries.h"

/* An account that is only busy is asked again so soon. */
#define BUSY_US			INT64CONST(20000)

/* A job whose accounts are closed is looked at no sooner. */
#define CLOSED_US		INT64CONST(1000000)

/* Gathered jobs that wait here rather than in the outbox. */
#define WAITING_MAX		10000

static RfRosterEntry *first_usable(const RfFlight *flight);
static bool has_another(RfDispatcher *d, RfMember *member);
static const char *first_refused(const RfFlight *flight);
static void give_back(RfDispatcher *d, RfMember *member, int64 opens_us);

/*
 * None of its accounts took it.  A failure of its own counts and is tried again
 * later; an account in trouble is waited for.
 */
void
rf_batches_refused(RfDispatcher *d, RfMember *member)
{
	RfClaimedJob *job = member->flight->job;
	RfOutcome  *refusal = member->refusal;
	const char *account = first_refused(member->flight);
	RfRetry		retry = rf_retries_of(job, refusal->class);
	RfSettlement settlement;
	RfReceipt	receipt;

	member->flight->tried = 0;
	member->refusal = NULL;
	if (!member->charge)
	{
		rf_batches_closed(d, member);
		return;
	}
	memset(&settlement, 0, sizeof(settlement));
	settlement.kind = job->failures + 1 < retry.max_attempts ? RF_SETTLE_WAIT : RF_SETTLE_DEAD;
	settlement.state = "failed";
	settlement.verdict = settlement.kind == RF_SETTLE_WAIT ? "retry" : "failed";
	settlement.job_id = job->id;
	settlement.charged = 1;
	settlement.account = account;
	settlement.attempt = job->attempts;
	settlement.started_at = GetCurrentTimestamp();
	settlement.outcome = *refusal;
	settlement.run_at = settlement.started_at +
		rf_backoff_delay_us(&retry.backoff, job->failures + 1, refusal->retry_after_s, rf_retry_after_max,
							pg_prng_uint64(&pg_global_prng_state));
	rf_batches_tell_failure(&receipt, account, refusal);
	rf_calls_settle_job(d, job->id, &receipt);
	rf_ledger_keep(d, &settlement, member->flight);
	member->gone = true;
}

void
rf_batches_closed(RfDispatcher *d, RfMember *member)
{
	RfFlight   *flight = member->flight;
	RfRosterEntry *entry = first_usable(flight);
	int64		now_us = rf_gate_now_us();
	int64		limited_until_us;
	int64		opens_us;
	int64		until_us;
	RfReceipt	receipt;
	RfOutcome	outcome;
	RfGateView	view;
	bool		closed = true;

	if (entry != NULL)
		(void) rf_roster_capacity(entry, d->engine, now_us, &closed);
	if (entry == NULL || !closed)
	{
		member->wait_until_us = now_us + BUSY_US;
		return;
	}
	(void) rf_limits_room(entry, now_us, &limited_until_us);
	rf_gate_look(MyDatabaseId, entry->server, true, &view);
	opens_us = Max(view.opens_at_us, limited_until_us);
	if (rf_calls_await(d, flight->job->id, &until_us))
	{
		if (opens_us > now_us && opens_us < until_us && view.state != RF_GATE_OPEN &&
			(view.state != RF_GATE_PAUSED || view.paused_by == RF_OUTCOME_THROTTLE))
		{
			member->wait_until_us = opens_us;
			return;
		}
		rf_outcome_init(&outcome, view.state == RF_GATE_PAUSED ? view.paused_by : RF_OUTCOME_THROTTLE, 0);
		outcome.retry_after_s = opens_us > now_us ? (opens_us - now_us) / 1000000 + 1 : -1;
		strlcpy(outcome.reason, view.reason[0] != '\0' ? view.reason :
				limited_until_us > 0 ? "a rate limit is used up" : "too many requests are under way",
				sizeof(outcome.reason));
		rf_batches_tell_failure(&receipt, entry->name, &outcome);
		if (view.state == RF_GATE_OPEN || view.state == RF_GATE_PROBE)
			receipt.sqlerrcode = RF_ERRCODE_CIRCUIT_OPEN;
		rf_calls_settle_job(d, flight->job->id, &receipt);
	}
	give_back(d, member, 0);
}

void
rf_batches_postpone(RfDispatcher *d, RfMember *member, int64 opens_us, const char *why)
{
	int64		until_us;
	RfReceipt	receipt;
	RfOutcome	outcome;

	member->entry = NULL;
	if (opens_us > rf_gate_now_us() + 2 * USECS_PER_SEC && has_another(d, member))
		return;
	if (rf_calls_await(d, member->flight->job->id, &until_us))
	{
		if (opens_us < until_us)
		{
			member->wait_until_us = opens_us;
			return;
		}
		rf_outcome_init(&outcome, RF_OUTCOME_THROTTLE, 0);
		outcome.retry_after_s = (opens_us - rf_gate_now_us()) / 1000000 + 1;
		strlcpy(outcome.reason, why, sizeof(outcome.reason));
		rf_batches_tell_failure(&receipt, list_nth(member->flight->job->accounts, 0), &outcome);
		rf_calls_settle_job(d, member->flight->job->id, &receipt);
	}
	else if (list_length(rf_batch_members) <= WAITING_MAX &&
			 opens_us < rf_gate_now_us() + 2 * USECS_PER_SEC)
	{
		member->wait_until_us = opens_us;
		return;
	}
	give_back(d, member, opens_us);
}

void
rf_batches_bury(RfDispatcher *d, RfMember *member, const char *state, const char *why)
{
	RfSettlement settlement;
	RfReceipt	receipt;

	memset(&settlement, 0, sizeof(settlement));
	settlement.kind = RF_SETTLE_DEAD;
	settlement.job_id = member->flight->job->id;
	settlement.state = state;
	rf_outcome_init(&settlement.outcome, RF_OUTCOME_PERMANENT, 0);
	rf_outcome_set_reason(&settlement.outcome, why, strlen(why));
	rf_receipt_fail(&receipt, RF_ERRCODE_REFUSED, settlement.outcome.reason, "");
	rf_calls_settle_job(d, settlement.job_id, &receipt);
	rf_ledger_keep(d, &settlement, member->flight);
	member->gone = true;
}

/* The hint of this receipt is the error's detail: the provider's own words. */
void
rf_batches_tell_failure(RfReceipt *receipt, const char *account, const RfOutcome *outcome)
{
	char		message[RF_REASON_MAX + 1];
	int			code = RF_ERRCODE_REFUSED;

	switch (outcome->class)
	{
		case RF_OUTCOME_THROTTLE:
			code = RF_ERRCODE_RATE_LIMIT;
			if (outcome->retry_after_s >= 0)
				snprintf(message, sizeof(message), "account \"%s\" has to wait for %lld s", account,
						 (long long) outcome->retry_after_s);
			else
				snprintf(message, sizeof(message), "account \"%s\" has to wait", account);
			break;
		case RF_OUTCOME_TRANSIENT:
			code = RF_ERRCODE_NOT_REACHED;
			snprintf(message, sizeof(message), "account \"%s\" could not answer", account);
			break;
		case RF_OUTCOME_AMBIGUOUS:
		case RF_OUTCOME_MALFORMED:
			code = RF_ERRCODE_UNKNOWN;
			snprintf(message, sizeof(message), "nobody can know whether account \"%s\" took it", account);
			break;
		case RF_OUTCOME_OK:
		case RF_OUTCOME_MISS:
		case RF_OUTCOME_PENDING:
		case RF_OUTCOME_QUOTA:
		case RF_OUTCOME_CREDENTIAL:
		case RF_OUTCOME_CONFIG:
		case RF_OUTCOME_PERMANENT:
			snprintf(message, sizeof(message), "account \"%s\" refused (%s)", account,
					 rf_outcome_class_text(outcome->class));
			break;
	}
	rf_receipt_fail(receipt, code, message, outcome->reason);
}

static RfRosterEntry *
first_usable(const RfFlight *flight)
{
	for (int i = 0; i < Min(list_length(flight->job->accounts), RF_ROUTE_MAX_ACCOUNTS); i++)
	{
		RfRosterEntry *entry = rf_roster_find(list_nth(flight->job->accounts, i));

		if (entry != NULL && (flight->usable & (UINT32_C(1) << i)) != 0)
			return entry;
	}
	return NULL;
}

/* Its account takes no more today: the next one may have it, at the next look. */
static bool
has_another(RfDispatcher *d, RfMember *member)
{
	RfFlight   *flight = member->flight;
	bool		never;
	int			position = rf_choice_account(flight, d->engine, &never);

	if (position == RF_NO_ACCOUNT)
		return false;
	flight->tried |= UINT32_C(1) << position;
	if (rf_choice_account(flight, d->engine, &never) != RF_NO_ACCOUNT)
		return true;
	flight->tried = 0;
	return false;
}

static const char *
first_refused(const RfFlight *flight)
{
	int			position = 0;

	while (position < RF_ROUTE_MAX_ACCOUNTS - 1 && (flight->tried & (UINT32_C(1) << position)) == 0)
		position++;
	return list_nth(flight->job->accounts, Min(position, list_length(flight->job->accounts) - 1));
}

/*
 * 0: until the first of its accounts opens, which may be sooner than it said
 * (another key): while all are closed, no claim takes it anyway.
 */
static void
give_back(RfDispatcher *d, RfMember *member, int64 opens_us)
{
	RfSettlement settlement;

	memset(&settlement, 0, sizeof(settlement));
	settlement.kind = RF_SETTLE_GIVE_BACK;
	settlement.job_id = member->flight->job->id;
	settlement.run_at = opens_us == 0 ? Min(rf_choice_next_opening(member->flight), GetCurrentTimestamp() + CLOSED_US) :
		GetCurrentTimestamp() + Max(opens_us - rf_gate_now_us(), 0);
	if (opens_us != 0)
		rf_limits_remember(settlement.job_id, settlement.run_at);
	rf_ledger_keep(d, &settlement, member->flight);
	member->gone = true;
}

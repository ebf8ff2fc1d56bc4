/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What the dispatcher would do with a job, for who asks.
 *
 * A flight that never starts goes through the choice that every job goes
 * through; what is told besides is why an account was passed over.
 *
 * IDENTIFICATION
 *	  src/worker/explain.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"

#include "outbox/handover.h"
#include "shmem/call.h"
#include "shmem/server_mode.h"
#include "worker/choice.h"
#include "worker/explain.h"
#include "worker/limits.h"
#include "worker/state.h"

static RfFlight *make_flight(RfJobDraft *draft);
static void explain_account(RfDispatcher *d, RfFlight *flight, int position, int chosen,
							RfExplainedAccount *account);
static void explain_closed(RfFlight *flight, RfRosterEntry *entry,
						   RfExplainedAccount *account);
static void pass_over(RfExplainedAccount *account, const char *reason, int64 opens_at_us);

void
rf_explain_answer(RfDispatcher *d, RfCallSlot *slot, void *request, Size len)
{
	RfExplained *explained = palloc0(sizeof(RfExplained));
	RfJobDraft	draft;
	RfFlight   *flight;
	int64		opens_at_us;
	bool		never;
	int			chosen;

	rf_handover_unpack(request, len, &draft);
	flight = make_flight(&draft);
	explained->active = d->started_up && d->activation.state == RF_ACTIVATION_ACTIVE &&
		d->drain_until_us == 0;
	if (!explained->active)
		strlcpy(explained->why, d->activation.why[0] ? d->activation.why : "the dispatcher is starting or stopping",
				sizeof(explained->why));
	explained->queue_closed = rf_queues_room(flight->queue, rf_gate_now_us(), &opens_at_us) == 0;
	if (explained->queue_closed && opens_at_us > 0)
		explained->queue_opens_in_us = opens_at_us == INT64_MAX ? INT64_MAX :
			Max(opens_at_us - rf_gate_now_us(), 0);

	chosen = rf_choice_account(flight, d->engine, &never);
	explained->naccounts = Min(list_length(flight->job->accounts), RF_ROUTE_MAX_ACCOUNTS);
	for (int i = 0; i < explained->naccounts; i++)
		explain_account(d, flight, i, chosen, &explained->accounts[i]);
	rf_call_answer(slot, explained, sizeof(*explained));
}

/* Which accounts the role may use was asked by the session that asks us. */
static RfFlight *
make_flight(RfJobDraft *draft)
{
	RfFlight   *flight = palloc0(sizeof(RfFlight));
	RfClaimedJob *job = palloc0(sizeof(RfClaimedJob));

	job->args = draft->args;
	job->accounts = draft->accounts;
	job->mode = draft->mode;
	job->role = pstrdup(draft->role);
	job->task = pstrdup(draft->task);
	job->tenant_key = pstrdup(draft->tenant_key ? draft->tenant_key : "");
	flight->job = job;
	flight->context = CurrentMemoryContext;
	flight->queue = rf_queues_find(draft->effective_queue);
	flight->usable = UINT32_MAX;
	flight->mode = rf_mode_stricter(job->mode, rf_server_mode());
	flight->tests = flight->mode == RF_MODE_SANDBOX && strcmp(job->task, "send_email") == 0;
	return flight;
}

static void
explain_account(RfDispatcher *d, RfFlight *flight, int position, int chosen,
				RfExplainedAccount *account)
{
	RfRosterEntry *entry = rf_roster_find(list_nth(flight->job->accounts, position));
	bool		closed;
	int			room;

	account->verdict = position == chosen ? RF_EXPLAIN_TAKEN : RF_EXPLAIN_NEXT;
	if (position == chosen)
		return;
	if (entry == NULL)
		pass_over(account, "the dispatcher has not seen it yet, or it is gone", 0);
	else if (flight->tests && !entry->provider->has_test_flag)
		pass_over(account, "it has no test mode", 0);
	else if (rf_limits_never(flight, entry))
		pass_over(account, "it costs more credits than its budget ever holds", 0);
	else
	{
		room = rf_roster_capacity(entry, d->engine, rf_gate_now_us(), &closed);
		if (closed || !rf_limits_admit(flight, entry, rf_gate_now_us()))
			explain_closed(flight, entry, account);
		else if (room == 0 && chosen == RF_NO_ACCOUNT)
		{
			account->verdict = RF_EXPLAIN_BUSY;
			strlcpy(account->reason, "as many requests are under way as may be", sizeof(account->reason));
		}
	}
}

/* In the order in which rf_roster_capacity() asks. */
static void
explain_closed(RfFlight *flight, RfRosterEntry *entry, RfExplainedAccount *account)
{
	int64		now_us = rf_gate_now_us();
	int64		next_us = 0;
	RfGateView	view;

	rf_gate_look(MyDatabaseId, entry->server, true, &view);
	if (entry->paused_until_us > now_us)
		pass_over(account, "paused by a person: see roleferry.accounts", entry->paused_until_us);
	else if (view.state == RF_GATE_PAUSED)
		pass_over(account, psprintf("paused: %s", view.reason), view.opens_at_us);
	else if (view.state == RF_GATE_OPEN)
		pass_over(account, psprintf("its circuit is open: %s", view.reason), view.opens_at_us);
	else if (entry->max_in_flight > 0 && entry->in_flight >= entry->max_in_flight)
		pass_over(account, "as many requests are under way as its max_in_flight", 0);
	else if (rf_limits_room(entry, now_us, &next_us) == 0)
		pass_over(account, "a rate limit is used up", next_us);
	else
		pass_over(account, "a rate limit by key is used up", rf_limits_turn(flight, entry, now_us));
}

static void
pass_over(RfExplainedAccount *account, const char *reason, int64 opens_at_us)
{
	account->verdict = RF_EXPLAIN_PASSED;
	strlcpy(account->reason, reason, sizeof(account->reason));
	if (opens_at_us > 0 && opens_at_us != INT64_MAX)
		account->opens_in_us = Max(opens_at_us - rf_gate_now_us(), 0);
}

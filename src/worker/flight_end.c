/*-------------------------------------------------------------------------
 *
 * flight_end.c
 *	  What the end of a transfer proves, and what its account learns of it.
 *
 * IDENTIFICATION
 *	  src/worker/flight_end.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "miscadmin.h"

#include "core/backoff.h"
#include "settings.h"
#include "worker/choice.h"
#include "worker/credits.h"
#include "worker/metrics.h"
#include "worker/notices.h"
#include "worker/redact.h"
#include "worker/search.h"

static int64 pause_after(const RfOutcome *outcome);

void
rf_flight_classify(RfFlight *flight, RfOutcome *outcome)
{
	RfTransfer *transfer = &flight->transfer;

	switch (transfer->end)
	{
		case RF_TRANSFER_ANSWERED:
			rf_redact_answer(transfer);
			if (flight->search != NULL)
				rf_search_read(flight, outcome);
			else
				flight->entry->provider->read_email_response(&transfer->response,
															 (int64_t) time(NULL), outcome);
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

/* Each change of an account's gate is one line in the log. */
void
rf_flight_tell_gate(RfFlight *flight, const RfOutcome *outcome)
{
	RfGateView	view;

	if (flight->aborted)
	{
		rf_gate_withdraw(MyDatabaseId, flight->entry->server, flight->generation);
		return;
	}
	rf_metrics_transfer(flight, outcome);
	if (rf_gate_leave(MyDatabaseId, flight->entry->server, flight->generation,
					  outcome, pause_after(outcome), &view))
		rf_notices_gate(flight->entry, &view, outcome, pause_after(outcome));
}

/* How long the account pauses: as long as asked, within bounds, never not at all. */
static int64
pause_after(const RfOutcome *outcome)
{
	RfBackoffPolicy policy = rf_backoff_policy(outcome->class);

	if (outcome->class == RF_OUTCOME_QUOTA)
		return rf_credits_stop_us(outcome);
	if (outcome->retry_after_s >= 0)
		policy.base_us = Min(outcome->retry_after_s, rf_retry_after_max) * INT64CONST(1000000);
	return Max(policy.base_us, RF_MIN_PAUSE_US);
}

/*-------------------------------------------------------------------------
 *
 * choice.c
 *	  Which of its accounts a job goes out by now.
 *
 * The order of accounts was frozen when the job was enqueued.  An account is
 * passed over when the role may not use it, when it has refused this job, or
 * when its gate is closed.
 *
 * IDENTIFICATION
 *	  src/worker/choice.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "worker/choice.h"
#include "worker/limits.h"

static bool account_is_open(RfFlight *flight, int position, RfHttpEngine *engine,
							int *room);

/*
 * The first of its accounts that is open.  RF_NO_ACCOUNT: none; *never says that
 * waiting would not help, because no account is left that could take it.
 */
int
rf_choice_account(RfFlight *flight, RfHttpEngine *engine, bool *never)
{
	int			naccounts = Min(list_length(flight->job->accounts), RF_ROUTE_MAX_ACCOUNTS);

	*never = true;
	for (int i = 0; i < naccounts; i++)
	{
		int			room;

		if ((flight->usable & ~flight->tried & (UINT32_C(1) << i)) == 0)
			continue;
		if (rf_roster_find(list_nth(flight->job->accounts, i)) == NULL)
			continue;
		if (rf_limits_never(flight, rf_roster_find(list_nth(flight->job->accounts, i))))
			continue;
		if (flight->tests && !rf_roster_find(list_nth(flight->job->accounts, i))->provider->has_test_flag)
			continue;
		*never = false;
		if (!account_is_open(flight, i, engine, &room))
			continue;
		return room > 0 ? i : RF_NO_ACCOUNT;
	}
	return RF_NO_ACCOUNT;
}

const char *
rf_choice_why_never(const RfFlight *flight)
{
	if (flight->ownerless)
		return psprintf("its role \"%s\" does not exist any more", flight->job->role);
	if (flight->usable == 0)
		return "none of its accounts exists and may be used by its role";
	if (flight->tests && flight->tried == 0)
		return "none of its accounts has a test mode, and roleferry.mode is \"sandbox\"";
	if (flight->tried == 0)
		return "it costs more credits than its accounts' budgets ever hold";
	return "every account has refused it";
}

bool
rf_choice_has_another(RfFlight *flight, RfHttpEngine *engine)
{
	int			naccounts = Min(list_length(flight->job->accounts), RF_ROUTE_MAX_ACCOUNTS);

	for (int i = 0; i < naccounts; i++)
	{
		int			room;

		if ((flight->usable & ~flight->tried & (UINT32_C(1) << i)) != 0 &&
			account_is_open(flight, i, engine, &room))
			return true;
	}
	return false;
}

TimestampTz
rf_choice_next_opening(RfFlight *flight)
{
	int64		now_us = rf_gate_now_us();
	int64		earliest = 0;
	RfRosterEntry *limited = NULL;
	TimestampTz run_at;

	for (int i = 0; i < Min(list_length(flight->job->accounts), RF_ROUTE_MAX_ACCOUNTS); i++)
	{
		RfRosterEntry *entry = rf_roster_find(list_nth(flight->job->accounts, i));
		RfGateView	view;
		int64		opens;

		if (entry == NULL || (flight->usable & (UINT32_C(1) << i)) == 0)
			continue;
		rf_gate_look(MyDatabaseId, entry->server, false, &view);
		opens = rf_limits_turn(flight, entry, now_us);	/* exact */

		/*
		 * An open circuit is asked at each claim; a probe's lease says
		 * nothing.
		 */
		if (view.state == RF_GATE_PAUSED && view.opens_at_us == INT64_MAX)
			continue;			/* until somebody resumes it */
		if (view.state == RF_GATE_PAUSED)
			opens = Max(opens, Max(view.opens_at_us, now_us + RF_MIN_PAUSE_US));
		if (opens > 0 && (earliest == 0 || opens < earliest))
		{
			earliest = opens;
			limited = opens > view.opens_at_us ? entry : NULL;
		}
	}
	if (earliest == 0)
		earliest = now_us + RF_MIN_PAUSE_US;
	run_at = GetCurrentTimestamp() + Max(earliest - now_us, 0);
	if (limited != NULL)
		run_at = rf_limits_defer(flight, limited, now_us, run_at);
	return run_at;
}

/* Open, though it may have no room for a moment. */
static bool
account_is_open(RfFlight *flight, int position, RfHttpEngine *engine, int *room)
{
	RfRosterEntry *entry = rf_roster_find(list_nth(flight->job->accounts, position));
	bool		closed;

	if (entry == NULL)
		return false;
	*room = rf_roster_capacity(entry, engine, rf_gate_now_us(), &closed);
	return !closed && rf_limits_admit(flight, entry, rf_gate_now_us());
}

/*-------------------------------------------------------------------------
 *
 * departure.c
 *	  The one door that requests leave by.
 *
 * roleferry.mode is asked here, of every request, at the last moment: the
 * strictest of the server's and of the mode that the job was enqueued under.
 *
 * IDENTIFICATION
 *	  src/worker/departure.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "shmem/server_mode.h"
#include "worker/choice.h"
#include "worker/departure.h"
#include "worker/render.h"

/* In place of the key: what is kept of a request holds none. */
#define NO_SECRET "***"

static RfStart wait_for_mode(RfFlight *flight, RfSettlement *settlement);
static RfStart capture(RfFlight *flight, const char *installation,
					   RfSettlement *settlement);
static bool is_mail(const RfFlight *flight);
static bool first_account(RfFlight *flight);

bool
rf_departure_is_barred(RfFlight *flight, const char *installation,
					   RfSettlement *settlement, RfStart *end)
{
	flight->mode = rf_mode_stricter(flight->job->mode, rf_server_mode());
	flight->tests = flight->mode == RF_MODE_SANDBOX && is_mail(flight);
	switch (rf_mode_decide(flight->mode, is_mail(flight)))
	{
		case RF_MODE_SENDS:
		case RF_MODE_TESTS:
			return false;
		case RF_MODE_KEEPS:
			*end = capture(flight, installation, settlement);
			break;
		case RF_MODE_WAITS:
			*end = wait_for_mode(flight, settlement);
			break;
		case RF_MODE_REFUSES:
			*end = rf_flight_bury(flight, "failed",
								  psprintf("roleferry.mode is \"sandbox\", and there is no test mode for %s", flight->job->task),
								  settlement);
			break;
	}
	return true;
}

bool
rf_departure_start(RfFlight *flight, RfHttpEngine *engine)
{
	RfTransfer *transfer = &flight->transfer;
	RfMode		mode = rf_server_mode();

	if (flight->job != NULL)
		mode = rf_mode_stricter(mode, flight->job->mode);
	switch (rf_mode_decide(mode, flight->tests))
	{
		case RF_MODE_SENDS:
		case RF_MODE_TESTS:
			return rf_http_start(engine, transfer, rf_gate_now_us());
		case RF_MODE_KEEPS:
		case RF_MODE_WAITS:
		case RF_MODE_REFUSES:
			break;
	}
	rf_request_free(&transfer->request);
	transfer->end = RF_TRANSFER_NOT_SENT;
	snprintf(transfer->why, sizeof(transfer->why), "roleferry.mode is \"%s\"", rf_mode_text(mode));
	transfer->started_us = transfer->finished_us = rf_gate_now_us();
	flight->aborted = true;
	return false;
}

/* As long as the server is off nothing of this sort is claimed. */
static RfStart
wait_for_mode(RfFlight *flight, RfSettlement *settlement)
{
	RfStart		end = rf_flight_give_back(flight, settlement);
	char		why[] = "roleferry.mode is \"off\"";

	settlement->run_at = GetCurrentTimestamp() + RF_MIN_PAUSE_US;
	rf_outcome_set_reason(&settlement->outcome, why, strlen(why));
	return end;
}

/* No gate is asked and no token taken: nobody is spoken to. */
static RfStart
capture(RfFlight *flight, const char *installation, RfSettlement *settlement)
{
	char		why[RF_REASON_MAX + 1];
	RfStart		end;

	if (!first_account(flight))
		return rf_flight_bury(flight, "failed", rf_choice_why_never(flight), settlement);
	if (is_mail(flight))
	{
		RfRendered	rendered;

		memset(&flight->transfer, 0, sizeof(flight->transfer));
		rendered = rf_render_request(flight, NO_SECRET, installation, why);

		rf_request_free(&flight->transfer.request);
		switch (rendered)
		{
			case RF_RENDERED:
				break;
			case RF_RENDER_NEVER:
				return rf_flight_bury(flight, "failed", why, settlement);
			case RF_RENDER_NO_MEMORY:
				return wait_for_mode(flight, settlement);
		}
	}
	end = rf_flight_bury(flight, "captured", "roleferry.mode is \"capture\": nothing was sent", settlement);
	settlement->account = pstrdup(flight->entry->name);
	settlement->provider = flight->entry->provider->name;
	settlement->outcome.class = RF_OUTCOME_OK;
	return end;
}

static bool
is_mail(const RfFlight *flight)
{
	return !flight->gathers && flight->search == NULL;
}

/* The one it would go out by if all were well. */
static bool
first_account(RfFlight *flight)
{
	int			naccounts = Min(list_length(flight->job->accounts), RF_ROUTE_MAX_ACCOUNTS);

	for (int i = 0; i < naccounts; i++)
	{
		flight->entry = rf_roster_find(list_nth(flight->job->accounts, i));
		flight->position = i;
		if (flight->entry != NULL && (flight->usable & ~flight->tried & (UINT32_C(1) << i)) != 0)
			return true;
	}
	return false;
}

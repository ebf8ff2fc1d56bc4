/*-------------------------------------------------------------------------
 *
 * phase.c
 *	  What the dispatcher says it is doing.
 *
 * In pg_stat_activity for people; in shared memory, with the beat of its turns,
 * for roleferry.stat_workers.  Both at the end of a turn.
 *
 * IDENTIFICATION
 *	  src/worker/phase.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgstat.h"

#include "compat.h"
#include "worker/pool.h"
#include "worker/standby.h"
#include "worker/state.h"

static void describe(RfDispatcher *d);
static RfPulseState state_of(RfDispatcher *d);

void
rf_phase_report(RfDispatcher *d)
{
	describe(d);
	rf_pulse_beat(&d->slot->pulse, state_of(d), d->nflights);
}

/* What pg_stat_activity calls the wait that follows; by name from 17 on. */
uint32
rf_phase_wait_event(RfDispatcher *d)
{
	static uint32 idle = 0;
	static uint32 requests;
	static uint32 tasks;
	static uint32 standby;

	if (idle == 0)
	{
		requests = rf_wait_event_new("RoleferryRequests");
		tasks = rf_wait_event_new("RoleferryTasks");
		standby = rf_wait_event_new("RoleferryStandby");
		idle = rf_wait_event_new("RoleferryDispatcher");
	}
	if (rf_standby_is_behind())
		return standby;
	if (d->nflights > 0)
		return requests;
	return rf_staff_in_hand() > 0 ? tasks : idle;
}

static RfPulseState
state_of(RfDispatcher *d)
{
	if (d->drain_until_us != 0)
		return RF_PULSE_LEAVING;
	if (!d->started_up)
		return RF_PULSE_STARTING;
	if (!d->active)
		return RF_PULSE_MUTE;
	return d->nflights > 0 || rf_staff_in_hand() > 0 ? RF_PULSE_BUSY : RF_PULSE_IDLE;
}

/* What pg_stat_activity shows. */
static void
describe(RfDispatcher *d)
{
	char		activity[RF_ACTIVATION_WHY_MAX + 64];

	if (rf_session_obstacle() != NULL)
		pgstat_report_activity(STATE_IDLE, rf_session_obstacle());
	else if (!d->active)
	{
		snprintf(activity, sizeof(activity), "not active: %s%ssee roleferry.activate()",
				 d->activation.why, d->activation.why[0] != '\0' ? "; " : "");
		pgstat_report_activity(STATE_IDLE, activity);
	}
	else if (rf_batches_describe(activity, sizeof(activity)))
		pgstat_report_activity(STATE_RUNNING, activity);
	else if (d->nflights == 0 && rf_staff_in_hand() > 0)
	{
		snprintf(activity, sizeof(activity), "%d SQL tasks under way", rf_staff_in_hand());
		pgstat_report_activity(STATE_IDLE, activity);
	}
	else if (d->nflights == 0)
		pgstat_report_activity(STATE_IDLE, rf_standby_is_behind() ?
							   "waiting for a synchronous standby" : "waiting for jobs");
	else
	{
		snprintf(activity, sizeof(activity), "%d requests under way", d->nflights);
		pgstat_report_activity(STATE_RUNNING, activity);
	}
}

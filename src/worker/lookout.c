/*-------------------------------------------------------------------------
 *
 * lookout.c
 *	  Looking for jobs that nobody announced, and tidying up.
 *
 * The first look settles the jobs of dead dispatchers, before anything is
 * claimed.  A copy is looked at and left alone until it is activated.  Sweeps
 * follow their own cost: at most a fiftieth of the time is spent in them, or a
 * fifth when one transaction after the other puts jobs into more lanes than it
 * can name; more only where that would keep such jobs waiting for long.
 *
 * IDENTIFICATION
 *	  src/worker/lookout.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"

#include "outbox/circuit.h"
#include "outbox/credit.h"
#include "outbox/event.h"
#include "outbox/job.h"
#include "outbox/pause.h"
#include "outbox/rate.h"
#include "outbox/retention.h"
#include "outbox/sweep.h"
#include "settings.h"
#include "shmem/stat.h"
#include "worker/census.h"
#include "worker/circuits.h"
#include "worker/clock.h"
#include "worker/limits.h"
#include "worker/order_keys.h"
#include "worker/pool.h"
#include "worker/roster.h"
#include "worker/state.h"

#define MISSING_NAP_US		INT64CONST(1000000) /* while there is no extension */
#define SWEEP_COST_FACTOR	50	/* a sweep takes at most this part of the time */
#define LOOK_COST_FACTOR	5	/* and one that was asked for, of many lanes */
#define MAX_LOOK_PAUSE_US	INT64CONST(2000000) /* however long the last one
												 * took */
#define HOUSEKEEPING_US		INT64CONST(60000000)

static void start_work(void *arg);
static void sweep_work(void *arg);

/* A job that the transaction under way ends: it counts when that has committed. */
typedef struct EndedJob
{
	RfStatJob	what;
	char		queue[FLEXIBLE_ARRAY_MEMBER];
} EndedJob;

/* Whose turn it is when the housekeeping under way has committed. */
static int	turn_of[2];

static List *ended = NIL;		/* in the context of the turn */
static MemoryContext ended_context;

static void settle_orphans(RfDispatcher *d);
static void note_ended(const char *queue, RfStatJob what);
static void count_ended(bool committed);
static void follow_promotion(RfDispatcher *d);
static void follow_work(void *arg);
static void explain_silence(RfDispatcher *d);
static void housekeeping_work(void *arg);
static void throw_away(void);
static void take_turns(RfDispatcher *d);
static void tell_executors(RfDispatcher *d);

/* Sweeps and housekeeping, each when it is due. */
void
rf_lookout_run(RfDispatcher *d)
{
	int64		now = rf_gate_now_us();
	int64		cost;
	bool		missing = false;

	if (now < (d->look_everywhere ? d->next_look_us : d->next_sweep_us))
		return;
	ended_context = d->turn_context;
	if (!d->started_up)
	{
		d->started_up = rf_session_run(start_work, d, RF_COMMIT_FLUSHED,
									   "settling the jobs of a dead dispatcher", &missing);
		count_ended(d->started_up);
		if (!d->started_up)
		{
			d->next_sweep_us = now + MISSING_NAP_US;
			return;
		}
	}

	if (d->look_everywhere)
		rf_order_keys_look_everywhere();
	d->look_everywhere = false;
	if (!rf_session_run(sweep_work, d, RF_COMMIT_LAZY, "looking for jobs", &missing))
	{
		count_ended(false);
		d->active = false;
		d->next_sweep_us = now + MISSING_NAP_US;
		return;
	}
	count_ended(true);
	rf_circuits_flush();
	d->new_doubts = false;
	if (d->active)
	{
		d->orphans_settled_for = d->activation.activated_at;
		d->explained = RF_ACTIVATION_ACTIVE;
	}
	else if (d->activation.state == RF_ACTIVATION_PROMOTED)
		follow_promotion(d);
	else
		explain_silence(d);
	cost = rf_gate_now_us() - now;
	d->next_look_us = now + cost + Min(cost * (LOOK_COST_FACTOR - 1), MAX_LOOK_PAUSE_US);
	d->next_sweep_us = now + Max((int64) rf_sweep_interval * 1000,
								 Min(cost * SWEEP_COST_FACTOR, RF_MAX_SWEEP_US));

	if (rf_activation_own(&d->activation) && now >= d->next_housekeeping_us)
	{
		if (rf_session_run(housekeeping_work, d, RF_COMMIT_LAZY, "tidying up", &missing))
			take_turns(d);
		d->next_housekeeping_us = now + HOUSEKEEPING_US;
	}
}

/*
 * Is nothing to be sent from here?  Not known while a look is asked for: it may
 * be activate() that asked, and a pace is kept between looks.
 */
bool
rf_lookout_finds_mute(RfDispatcher *d)
{
	return d->started_up && d->activation.state != RF_ACTIVATION_ACTIVE &&
		!d->look_everywhere && !rf_wake_everywhere(d->slot);
}

/* Jobs of the lane of crash-marked ones have nothing else in common. */
void
rf_lookout_remember_route(RfStrand *strand, const RfStrandJob *first, void *context)
{
	if (strand->lane == RF_LANE_ALONE)
		return;
	if (first->mode == RF_MODE_CAPTURE && rf_job_is_built_in(first->task))
		strand->route = rf_roster_capture_route(first->queue);
	else if (first->accounts != NIL || rf_job_is_built_in(first->task))
		strand->route = rf_roster_route(first->queue, first->accounts);
	else
		strand->route = rf_roster_pool_route(first->queue, rf_pool_for(first->task, first->role));
}

/* Once, before anything is claimed. */
static void
start_work(void *arg)
{
	RfDispatcher *d = arg;

	d->attempt_table = rf_retention_table(RF_TURNS_ATTEMPTS);
	d->result_table = rf_retention_table(RF_TURNS_RESULTS);
	tell_executors(d);
	rf_activation_read(&d->activation);
	if (rf_activation_own(&d->activation))
		settle_orphans(d);
}

static void
sweep_work(void *arg)
{
	RfDispatcher *d = arg;

	rf_activation_read(&d->activation);
	d->active = d->activation.state == RF_ACTIVATION_ACTIVE;

	/*
	 * A copy stays as it was made, for whoever activates it to see; and
	 * replication may still be writing it.
	 */
	if (!rf_activation_own(&d->activation))
		return;
	/* An outbox that was restored under our eyes holds jobs of another life. */
	if (d->active && d->activation.activated_at != d->orphans_settled_for)
		settle_orphans(d);
	rf_roster_refresh();
	rf_limit_rules_refresh(d->slot);
	rf_sweep_expired(note_ended, rf_order_keys_ended);
	if (d->new_doubts)
		(void) rf_events_settle_late();
	d->look_everywhere |= rf_sweep_unchecked(rf_order_keys_ended);
	CommandCounterIncrement();
	rf_order_keys_sweep();
	rf_sweep_strands(&d->lanes, rf_lookout_remember_route, NULL);
	rf_census_take(d);
}

static void
note_ended(const char *queue, RfStatJob what)
{
	MemoryContext old = MemoryContextSwitchTo(ended_context);
	EndedJob   *job = palloc(offsetof(EndedJob, queue) + strlen(queue) + 1);

	job->what = what;
	strcpy(job->queue, queue);
	ended = lappend(ended, job);
	MemoryContextSwitchTo(old);
}

static void
count_ended(bool committed)
{
	ListCell   *lc;

	foreach(lc, committed ? ended : NIL)
		rf_stat_job(MyDatabaseId, ((EndedJob *) lfirst(lc))->queue, ((EndedJob *) lfirst(lc))->what, 1);
	ended = NIL;
}

static void
settle_orphans(RfDispatcher *d)
{
	RfOrphans	orphans;

	rf_sweep_orphans(&orphans, d->attempt_table, note_ended);
	d->new_doubts = true;
	rf_batches_load(d, true);
	if (orphans.unknown + orphans.waiting + orphans.quarantined > 0)
		ereport(LOG,
				(errmsg("jobs of a dead dispatcher: " UINT64_FORMAT " unknown, " UINT64_FORMAT " to be sent again, " UINT64_FORMAT " quarantined",
						orphans.unknown, orphans.waiting, orphans.quarantined)));
}

/*
 * The standby that was promoted goes on.  The row says so before anything is
 * claimed, so that a fork of this timeline is told from it, in turn.
 */
static void
follow_promotion(RfDispatcher *d)
{
	bool		missing;

	if (!rf_session_run(follow_work, d, RF_COMMIT_FLUSHED, "recording a promotion", &missing))
		return;
	ereport(LOG,
			(errmsg("database \"%s\" goes on sending after a promotion",
					MyBgworkerEntry->bgw_extra),
			 errdetail("roleferry.after_promotion is \"continue\".")));
	d->look_everywhere = true;
}

static void
follow_work(void *arg)
{
	RfDispatcher *d = arg;

	rf_activation_follow(&d->activation);
}

/* Once for each state that keeps it mute. */
static void
explain_silence(RfDispatcher *d)
{
	if (d->explained == d->activation.state)
		return;
	d->explained = d->activation.state;
	ereport(LOG,
			(errmsg("nothing is sent from database \"%s\": %s",
					MyBgworkerEntry->bgw_extra, d->activation.why),
			 errhint("roleferry.activate() lets it send.")));
}

static void
housekeeping_work(void *arg)
{
	RfDispatcher *d = arg;

	turn_of[RF_TURNS_ATTEMPTS] = d->attempt_table;
	turn_of[RF_TURNS_RESULTS] = d->result_table;
	if (rf_clock_is_trusted())
		throw_away();
	(void) rf_events_settle_late();
	rf_events_retry();
	if (rf_events_resend() > 0)
		d->look_everywhere = true;
	if (pg_atomic_read_u32(&d->slot->rules) == RF_RULES_KNOWN)
		pg_atomic_write_u32(&d->slot->rules, RF_RULES_ASK);
}

static void
throw_away(void)
{
	rf_retention_rotate(RF_TURNS_ATTEMPTS);
	rf_retention_rotate(RF_TURNS_RESULTS);
	turn_of[RF_TURNS_ATTEMPTS] = rf_retention_table(RF_TURNS_ATTEMPTS);
	turn_of[RF_TURNS_RESULTS] = rf_retention_table(RF_TURNS_RESULTS);
	(void) rf_retention_purge();
	rf_rate_purge();
	rf_circuit_purge();
	rf_pause_purge();
	rf_credit_purge();
}

/*
 * It is written to the tables whose turn it is, not before that is committed:
 * the next turn empties what is there.
 */
static void
take_turns(RfDispatcher *d)
{
	d->attempt_table = turn_of[RF_TURNS_ATTEMPTS];
	d->result_table = turn_of[RF_TURNS_RESULTS];
	tell_executors(d);
}

/* They write there, too. */
static void
tell_executors(RfDispatcher *d)
{
	pg_atomic_write_u32(&d->slot->attempt_table, d->attempt_table);
	pg_atomic_write_u32(&d->slot->result_table, d->result_table);
}

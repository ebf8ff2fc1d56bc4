/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  Noticing that the clock was set, and what follows from it.
 *
 * Whatever measures time does so by the monotonic clock, which nobody sets.
 * Rows outlive the process and carry the wall clock; so when the difference
 * between the two changes at once, the rows by which time is measured after a
 * restart are dated anew, before anything else is claimed.
 *
 * IDENTIFICATION
 *	  src/worker/clock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "outbox/clock_step.h"
#include "worker/batches.h"
#include "worker/clock.h"
#include "worker/limits.h"

/* Less is what clocks are corrected by, and a leap second is more. */
#define STEP_US			INT64CONST(500000)

/* Read one after the other, farther apart: not to be compared. */
#define APART_US		INT64CONST(10000)

/* Set forward by more, nothing is thrown away for so long. */
#define DOUBTFUL_US		INT64CONST(60000000)
#define DISTRUST_US		INT64CONST(3600000000)

static bool known = false;
static int64 offset_us;			/* wall clock less monotonic clock, now */
static int64 followed_us;		/* and as rows are dated */
static int64 told_us;			/* and as the log knows */
static int64 next_try_us = 0;
static int64 distrusted_until_us = 0;

/* Jobs that are to be due when they were. */
static bool brings_back = false;
static int64 set_back_us;
static int64 brought_id;		/* up to this one they are */

static bool measure(void);
static void tell(void);
static bool bring_back(RfDispatcher *d);
static void redate_work(void *arg);
static void first_look_work(void *arg);
static void bring_back_work(void *arg);

void
rf_clock_follow(RfDispatcher *d)
{
	bool		missing;
	int64		now_us = rf_gate_now_us();
	int64		step_us;

	if (!measure())
		return;
	tell();
	if (!d->started_up || !d->active || d->drain_until_us != 0 || now_us < next_try_us)
		return;
	next_try_us = now_us + RF_RETRY_WRITE_US;
	step_us = offset_us - followed_us;
	if (!known)
	{
		known = rf_session_run(first_look_work, NULL, RF_COMMIT_LAZY, "comparing the clock with the outbox", &missing);
		if (!known)
			return;
	}
	else if (!rf_clock_is_followed())
	{
		if (!rf_session_run(redate_work, &step_us, RF_COMMIT_FLUSHED, "following the clock", &missing))
			return;
		rf_batches_redate(step_us);
		followed_us += step_us;
		pg_atomic_write_u32(&d->slot->rules, RF_RULES_CHANGED);
		d->look_everywhere = true;
		distrusted_until_us = step_us > DOUBTFUL_US ? now_us + DISTRUST_US : 0;
		brings_back = step_us < 0;
		set_back_us = -step_us;
		brought_id = 0;
	}
	if (!brings_back || bring_back(d))
		next_try_us = 0;
}

static bool
bring_back(RfDispatcher *d)
{
	bool		missing;

	if (!rf_session_run(bring_back_work, NULL, RF_COMMIT_LAZY, "following the clock", &missing))
	{
		brings_back = true;
		brought_id = 0;
		return false;
	}
	d->look_everywhere = true;
	return true;
}

bool
rf_clock_is_followed(void)
{
	int64		step_us = offset_us - followed_us;

	return known && step_us < STEP_US && step_us > -STEP_US;
}

int64
rf_clock_due_us(RfDispatcher *d)
{
	if (!d->active || d->drain_until_us != 0 || (rf_clock_is_followed() && !brings_back))
		return INT64_MAX;
	return next_try_us;
}

bool
rf_clock_is_trusted(void)
{
	return rf_gate_now_us() >= distrusted_until_us;
}

/* False: this process was held up in between. */
static bool
measure(void)
{
	int64		before_us = rf_gate_now_us();
	TimestampTz wall = GetCurrentTimestamp();

	if (rf_gate_now_us() - before_us > APART_US)
		return false;
	offset_us = wall - before_us;
	if (!known)
		followed_us = told_us = offset_us;
	return true;
}

static void
tell(void)
{
	int64		step_us = offset_us - told_us;

	if (step_us < STEP_US && step_us > -STEP_US)
		return;
	told_us = offset_us;
	ereport(LOG,
			(errmsg("the clock was set %s by %.3f s", step_us > 0 ? "forward" : "back", (double) Max(step_us, -step_us) / 1000000),
			 step_us > 0 ?
			 errdetail("Jobs are due, and expire, by the clock. Rate limits, circuits and time-outs are not affected.") :
			 errdetail("Jobs that were due, and retries, keep their place. Rate limits, circuits and time-outs are not affected.")));
}

static void
redate_work(void *arg)
{
	rf_clock_step_redate(*(const int64 *) arg);
}

/* It may have been set back while nobody watched. */
static void
first_look_work(void *arg)
{
	set_back_us = rf_clock_step_ahead_us();
	brings_back = set_back_us >= STEP_US;
	brought_id = 0;
}

static void
bring_back_work(void *arg)
{
	brings_back = rf_clock_step_bring_back(set_back_us, &brought_id);
}

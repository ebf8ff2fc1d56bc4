/*-------------------------------------------------------------------------
 *
 * backoff.c
 *	  How long a failed job waits before it is tried again.
 *
 * Full jitter: the wait is uniform between nothing and a bound that doubles
 * with each failure, so that jobs which failed together do not come back
 * together.  Integers only; everything saturates.
 *
 * IDENTIFICATION
 *	  src/core/backoff.c
 *
 *-------------------------------------------------------------------------
 */
#include "core/backoff.h"

#define SECOND_US	INT64_C(1000000)
#define MINUTE_US	(60 * SECOND_US)
#define HOUR_US		(60 * MINUTE_US)

/* No job comes back faster: it would spin. */
#define MIN_DELAY_US INT64_C(1000)

static RfBackoffPolicy make_policy(int64_t base_us, int64_t cap_us);
static int64_t double_up_to(int64_t base_us, int times, int64_t cap_us);
static int64_t pick_below(int64_t bound, uint64_t random);
static int64_t seconds_to_us(int64_t seconds);

/*
 * Ambiguous waits longer than transient: whatever swallowed the answer may
 * still be working on it.  Quota, credential and config are mended by people,
 * not by waiting.
 */
RfBackoffPolicy
rf_backoff_policy(RfOutcomeClass class)
{
	switch (class)
	{
		case RF_OUTCOME_OK:
		case RF_OUTCOME_MISS:
		case RF_OUTCOME_TRANSIENT:
			return make_policy(2 * SECOND_US, 10 * MINUTE_US);
		case RF_OUTCOME_THROTTLE:
			return make_policy(1 * SECOND_US, 5 * MINUTE_US);
		case RF_OUTCOME_PENDING:
			return make_policy(5 * SECOND_US, 5 * MINUTE_US);
		case RF_OUTCOME_AMBIGUOUS:
			return make_policy(30 * SECOND_US, HOUR_US);
		case RF_OUTCOME_QUOTA:
		case RF_OUTCOME_CREDENTIAL:
		case RF_OUTCOME_CONFIG:
		case RF_OUTCOME_PERMANENT:
		case RF_OUTCOME_MALFORMED:
			return make_policy(60 * SECOND_US, HOUR_US);
	}
	return make_policy(60 * SECOND_US, HOUR_US);	/* keep compiler quiet */
}

int64_t
rf_backoff_delay_us(const RfBackoffPolicy *policy, int failures,
					int64_t retry_after_s, int64_t retry_after_cap_s,
					uint64_t random)
{
	int64_t		bound_us;
	int64_t		delay_us;
	int64_t		floor_us = MIN_DELAY_US;

	bound_us = double_up_to(policy->base_us, failures < 1 ? 0 : failures - 1,
							policy->cap_us);
	delay_us = pick_below(bound_us, random);

	if (retry_after_s > retry_after_cap_s)
		retry_after_s = retry_after_cap_s;
	if (seconds_to_us(retry_after_s) > floor_us)
		floor_us = seconds_to_us(retry_after_s);
	return delay_us > floor_us ? delay_us : floor_us;
}

static RfBackoffPolicy
make_policy(int64_t base_us, int64_t cap_us)
{
	RfBackoffPolicy policy;

	policy.base_us = base_us;
	policy.cap_us = cap_us;
	return policy;
}

/* min(cap, base * 2^times), and 0 when either is not positive. */
static int64_t
double_up_to(int64_t base_us, int times, int64_t cap_us)
{
	if (base_us <= 0 || cap_us <= 0)
		return 0;
	if (times > 62 || base_us > (cap_us >> times))
		return cap_us;
	return base_us * (INT64_C(1) << times);
}

/* Uniform in [0, bound]: the high half of random * (bound + 1). */
static int64_t
pick_below(int64_t bound, uint64_t random)
{
	unsigned __int128 product = random;

	product *= (uint64_t) bound + 1;
	return (int64_t) (product >> 64);
}

static int64_t
seconds_to_us(int64_t seconds)
{
	int64_t		us;

	if (seconds <= 0)
		return 0;
	return __builtin_mul_overflow(seconds, SECOND_US, &us) ? INT64_MAX : us;
}

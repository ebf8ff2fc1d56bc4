/* How long a failed job waits: growth, caps, jitter, Retry-After, extremes. */
#include <limits.h>

#include "core/backoff.h"
#include "tap.h"

#define SECOND INT64_C(1000000)

static const RfBackoffPolicy policy = {2 * SECOND, 600 * SECOND};

static int64_t
longest(int failures)
{
	return rf_backoff_delay_us(&policy, failures, -1, 3600, UINT64_MAX);
}

static void
test_growth(void)
{
	int64_t		previous = 0;
	bool		grows = true;

	is_int(longest(1), 2 * SECOND, "after the first failure up to the base");
	is_int(longest(2), 4 * SECOND, "after the second up to twice the base");
	is_int(longest(9), 512 * SECOND, "each failure doubles it");
	is_int(longest(10), 600 * SECOND, "up to the cap");
	is_int(longest(INT_MAX), 600 * SECOND, "and never past it");
	is_int(longest(0), 2 * SECOND, "no failure counts as one");
	is_int(longest(INT_MIN), 2 * SECOND, "nor do negative ones count less");
	for (int failures = 1; failures < 200; failures++)
	{
		grows = grows && longest(failures) >= previous;
		previous = longest(failures);
	}
	ok(grows, "more failures never mean a shorter bound");
}

static void
test_jitter(void)
{
	is_int(rf_backoff_delay_us(&policy, 5, -1, 3600, 0), 1000, "the least wait is a millisecond");
	is_int(rf_backoff_delay_us(&policy, 1, -1, 3600, UINT64_MAX / 2), SECOND - 1 + 1,
		   "half the randomness is half the bound");
	is_int(rf_backoff_delay_us(&policy, 1, -1, 3600, UINT64_C(1) << 62), SECOND / 2,
		   "a quarter is a quarter");
}

static void
test_retry_after(void)
{
	is_int(rf_backoff_delay_us(&policy, 1, 30, 3600, 0), 30 * SECOND, "Retry-After is the least wait");
	is_int(rf_backoff_delay_us(&policy, 9, 30, 3600, UINT64_MAX), 512 * SECOND,
		   "a longer backoff stands");
	is_int(rf_backoff_delay_us(&policy, 1, 86400, 3600, 0), 3600 * SECOND, "Retry-After is capped");
	is_int(rf_backoff_delay_us(&policy, 1, 0, 3600, 0), 1000, "Retry-After 0 does not make a job spin");
	is_int(rf_backoff_delay_us(&policy, 1, INT64_MAX, INT64_MAX, 0), INT64_MAX, "no overflow");
	is_int(rf_backoff_delay_us(&policy, 1, 30, -1, 0), 1000, "a negative cap is none at all");
}

static void
test_policies(void)
{
	RfBackoffPolicy odd = {0, 0};
	RfBackoffPolicy huge = {1, INT64_MAX};
	bool		sane = true;

	for (int class = RF_OUTCOME_OK; class <= RF_OUTCOME_MALFORMED; class++)
	{
		RfBackoffPolicy of_class = rf_backoff_policy((RfOutcomeClass) class);

		sane = sane && of_class.base_us >= SECOND && of_class.cap_us > of_class.base_us &&
			of_class.cap_us <= 3600 * SECOND;
	}
	ok(sane, "every class has a base of a second or more and a cap of an hour or less");
	is_int(rf_backoff_policy(RF_OUTCOME_TRANSIENT).base_us, 2 * SECOND, "transient begins at 2 s");
	is_int(rf_backoff_policy(RF_OUTCOME_TRANSIENT).cap_us, 600 * SECOND, "and ends at 10 min");
	is_int(rf_backoff_policy(RF_OUTCOME_AMBIGUOUS).base_us, 30 * SECOND, "ambiguous begins at 30 s");
	is_int(rf_backoff_policy(RF_OUTCOME_AMBIGUOUS).cap_us, 3600 * SECOND, "and ends at an hour");
	is_int(rf_backoff_policy(RF_OUTCOME_THROTTLE).base_us, SECOND, "throttle begins at 1 s");
	is_int(rf_backoff_policy(RF_OUTCOME_THROTTLE).cap_us, 300 * SECOND, "and ends at 5 min");
	is_int(rf_backoff_policy(RF_OUTCOME_QUOTA).base_us, 60 * SECOND, "quota begins at a minute");

	is_int(rf_backoff_delay_us(&odd, 5, -1, 3600, UINT64_MAX), 1000, "a policy of zeros does not spin");
	is_int(rf_backoff_delay_us(&huge, 62, -1, 3600, UINT64_MAX), INT64_C(1) << 61, "2^61 microseconds are no trouble");
	is_int(rf_backoff_delay_us(&huge, 64, -1, 3600, UINT64_MAX), INT64_MAX, "2^63 are the cap");
}

int
main(void)
{
	test_growth();
	test_jitter();
	test_retry_after();
	test_policies();
	return done_testing();
}

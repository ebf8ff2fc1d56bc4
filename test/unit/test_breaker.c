/* Circuit breaker: every state met by every event, and the stories behind it. */
#include "core/breaker.h"
#include "tap.h"

#define SECOND INT64_C(1000000)

static const RfBreakerPolicy policy = {3, 10 * SECOND, 35 * SECOND, 5 * SECOND, 0, 0, 0};

static uint32_t
admit(RfBreaker *breaker, int64_t now_us)
{
	uint32_t	generation = UINT32_MAX;

	rf_breaker_admit(breaker, &policy, now_us, &generation);
	return generation;
}

/* A circuit that opened at time zero. */
static void
make_open(RfBreaker *breaker)
{
	rf_breaker_init(breaker);
	for (int i = 0; i < 3; i++)
		rf_breaker_record(breaker, &policy, breaker->generation, false, 0);
}

/* A circuit whose probe went out at 10 s. */
static uint32_t
make_half_open(RfBreaker *breaker)
{
	make_open(breaker);
	return admit(breaker, 10 * SECOND);
}

static void
test_closed(void)
{
	RfBreaker	breaker;

	rf_breaker_init(&breaker);
	ok(rf_breaker_ready(&breaker, 0) && rf_breaker_ready_at(&breaker, 0) == 0, "closed is ready");
	is_int(admit(&breaker, 0), breaker.generation, "and admits");
	ok(!rf_breaker_record(&breaker, &policy, 0, true, 0), "a success changes nothing");
	ok(!rf_breaker_record(&breaker, &policy, 0, false, 0) &&
	   !rf_breaker_record(&breaker, &policy, 0, false, 0), "two failures change no state");
	rf_breaker_record(&breaker, &policy, 0, true, 0);
	is_int(breaker.failures, 0, "a success ends the row of failures");
	rf_breaker_record(&breaker, &policy, 0, false, 0);
	rf_breaker_record(&breaker, &policy, 0, false, 0);
	rf_breaker_withdraw(&breaker, 0, 0);
	is_int(breaker.failures, 2, "a request withdrawn says nothing");
	ok(rf_breaker_record(&breaker, &policy, 0, false, 7 * SECOND), "the third in a row opens the circuit");
	is_int(breaker.state, RF_BREAKER_OPEN, "now it is open");
	is_int(breaker.retry_at_us, 17 * SECOND, "for the cooldown");
}

static void
test_open(void)
{
	RfBreaker	breaker;
	uint32_t	generation = 77;

	make_open(&breaker);
	ok(!rf_breaker_ready(&breaker, 10 * SECOND - 1), "open is not ready before its time");
	is_int(rf_breaker_ready_at(&breaker, 0), 10 * SECOND, "and says when it will be");
	ok(!rf_breaker_admit(&breaker, &policy, 10 * SECOND - 1, &generation) && generation == 77,
	   "it admits nobody and hands out nothing");
	ok(!rf_breaker_record(&breaker, &policy, 0, true, 1) && breaker.state == RF_BREAKER_OPEN,
	   "the late success of an old request does not close it");
	ok(!rf_breaker_record(&breaker, &policy, 0, false, 1) && breaker.retry_at_us == 10 * SECOND,
	   "a late failure does not prolong it");
	ok(!rf_breaker_record(&breaker, &policy, breaker.generation, true, 1) &&
	   breaker.state == RF_BREAKER_OPEN, "nobody was admitted in its own generation");
	rf_breaker_withdraw(&breaker, breaker.generation, 1);
	is_int(breaker.retry_at_us, 10 * SECOND, "nothing can be withdrawn");
	ok(rf_breaker_ready(&breaker, 10 * SECOND) && rf_breaker_ready_at(&breaker, 10 * SECOND) == 0,
	   "after the cooldown it is ready");
	is_int(breaker.state, RF_BREAKER_OPEN, "asking changes nothing");
	ok(rf_breaker_admit(&breaker, &policy, 10 * SECOND, &generation) &&
	   breaker.state == RF_BREAKER_HALF_OPEN, "the first to come is the probe");
	is_int(generation, breaker.generation, "and holds the new generation");
}

static void
test_half_open(void)
{
	RfBreaker	breaker;
	uint32_t	probe = make_half_open(&breaker);
	uint32_t	generation;

	is_int(breaker.lease_until_us, 15 * SECOND, "the probe holds a lease");
	ok(!rf_breaker_admit(&breaker, &policy, 15 * SECOND - 1, &generation), "there is one probe at a time");
	is_int(rf_breaker_ready_at(&breaker, 12 * SECOND), 15 * SECOND, "until the lease is over");
	ok(!rf_breaker_record(&breaker, &policy, 0, true, 11 * SECOND) &&
	   !rf_breaker_record(&breaker, &policy, 0, false, 11 * SECOND) &&
	   breaker.state == RF_BREAKER_HALF_OPEN, "stragglers move nothing");
	ok(rf_breaker_record(&breaker, &policy, probe, true, 11 * SECOND), "the probe's success is a change");
	ok(breaker.state == RF_BREAKER_CLOSED && breaker.failures == 0, "the circuit is closed");
	ok(!rf_breaker_record(&breaker, &policy, probe, false, 11 * SECOND) && breaker.failures == 0,
	   "a probe counts once");

	probe = make_half_open(&breaker);
	ok(rf_breaker_record(&breaker, &policy, probe, false, 11 * SECOND), "the probe's failure is a change");
	ok(breaker.state == RF_BREAKER_OPEN && breaker.retry_at_us == 31 * SECOND,
	   "open again, for twice the cooldown");
	probe = admit(&breaker, 31 * SECOND);
	rf_breaker_record(&breaker, &policy, probe, false, 31 * SECOND);
	is_int(breaker.retry_at_us, 66 * SECOND, "then for the longest cooldown");
	probe = admit(&breaker, 66 * SECOND);
	rf_breaker_record(&breaker, &policy, probe, true, 66 * SECOND);
	for (int i = 0; i < 3; i++)
		rf_breaker_record(&breaker, &policy, breaker.generation, false, 70 * SECOND);
	is_int(breaker.retry_at_us, 80 * SECOND, "once closed, the next opening is short again");
}

static void
test_leases(void)
{
	RfBreaker	breaker;
	uint32_t	first = make_half_open(&breaker);
	uint32_t	second;

	rf_breaker_withdraw(&breaker, first + 1, 11 * SECOND);
	ok(!rf_breaker_ready(&breaker, 11 * SECOND), "only the probe itself can withdraw");
	rf_breaker_withdraw(&breaker, first, 11 * SECOND);
	ok(rf_breaker_ready(&breaker, 11 * SECOND), "a probe withdrawn makes room at once");
	second = admit(&breaker, 11 * SECOND);
	ok(second != first && breaker.state == RF_BREAKER_HALF_OPEN, "for another probe");
	ok(!rf_breaker_record(&breaker, &policy, first, false, 12 * SECOND), "the first counts no more");
	rf_breaker_withdraw(&breaker, first, 12 * SECOND);
	ok(!rf_breaker_ready(&breaker, 12 * SECOND), "nor can it withdraw the second");

	first = make_half_open(&breaker);
	ok(rf_breaker_ready(&breaker, 15 * SECOND), "a prober that died gives way when its lease is over");
	second = admit(&breaker, 15 * SECOND);
	ok(!rf_breaker_record(&breaker, &policy, first, true, 16 * SECOND) &&
	   breaker.state == RF_BREAKER_HALF_OPEN, "its late success counts no more");
	ok(rf_breaker_record(&breaker, &policy, second, true, 16 * SECOND) &&
	   breaker.state == RF_BREAKER_CLOSED, "the second probe's does");

	first = make_half_open(&breaker);
	ok(rf_breaker_record(&breaker, &policy, first, true, 60 * SECOND) &&
	   breaker.state == RF_BREAKER_CLOSED, "a slow probe nobody replaced still counts");
}

static void
test_extremes(void)
{
	RfBreakerPolicy odd = {0, INT64_MAX, INT64_MAX, INT64_MAX, 0, 0, 0};
	RfBreaker	breaker;
	uint32_t	generation;

	rf_breaker_init(&breaker);
	ok(rf_breaker_record(&breaker, &odd, 0, false, INT64_MAX - 1), "a limit of zero is a limit of one");
	is_int(breaker.retry_at_us, INT64_MAX, "a cooldown without end does not overflow");
	ok(rf_breaker_admit(&breaker, &odd, INT64_MAX, &generation), "at the end of time it probes");
	rf_breaker_record(&breaker, &odd, generation, false, 5);
	is_int(breaker.cooldown_us, INT64_MAX, "doubling it does not overflow either");

	rf_breaker_init(&breaker);
	breaker.failures = UINT32_MAX;
	odd.failure_limit = UINT32_MAX;
	odd.cooldown_us = -5;
	ok(rf_breaker_record(&breaker, &odd, 0, false, 100) && breaker.failures == UINT32_MAX,
	   "the count of failures saturates");
	is_int(breaker.retry_at_us, 100, "a negative cooldown is none");

	breaker.generation = UINT32_MAX;
	ok(rf_breaker_admit(&breaker, &odd, 100, &generation) && generation == 0,
	   "generations wrap around");
	is_text(rf_breaker_state_text(RF_BREAKER_CLOSED), "closed", "a word for closed");
	is_text(rf_breaker_state_text(RF_BREAKER_OPEN), "open", "a word for open");
	is_text(rf_breaker_state_text(RF_BREAKER_HALF_OPEN), "half-open", "a word for half-open");
}

static const RfBreakerPolicy by_ratio = {1000, 10 * SECOND, 35 * SECOND, 5 * SECOND, 50, 4, 10 * SECOND};

static bool
record(RfBreaker *breaker, bool success, int64_t now_us)
{
	return rf_breaker_record(breaker, &by_ratio, breaker->generation, success, now_us);
}

static void
test_ratio(void)
{
	RfBreaker	breaker;
	uint32_t	calls;
	uint32_t	failures;

	rf_breaker_init(&breaker);
	ok(!record(&breaker, false, 0) && !record(&breaker, false, 0) && !record(&breaker, false, 0),
	   "three of three are fewer than the minimum of calls");
	ok(record(&breaker, false, 0), "four of four open the circuit");

	rf_breaker_init(&breaker);
	for (int i = 0; i < 5; i++)
		record(&breaker, true, SECOND);
	for (int i = 0; i < 4; i++)
		ok(!record(&breaker, false, SECOND), "less than half is borne");
	ok(record(&breaker, false, SECOND), "half opens the circuit, though successes lie between");

	rf_breaker_init(&breaker);
	for (int i = 0; i < 3; i++)
		record(&breaker, false, SECOND);
	rf_breaker_count(&breaker, &by_ratio, 10 * SECOND, &calls, &failures);
	ok(calls == 3 && failures == 3, "they count for the window");
	rf_breaker_count(&breaker, &by_ratio, 11 * SECOND, &calls, &failures);
	ok(calls == 0 && failures == 0, "and no longer");
	ok(!record(&breaker, false, 11 * SECOND), "so that the next failure is the first of its window");
	for (int i = 0; i < 100; i++)
		record(&breaker, true, 12 * SECOND);
	rf_breaker_count(&breaker, &by_ratio, 12 * SECOND, &calls, &failures);
	ok(calls == 101 && failures == 1, "slices add up");
}

/* Every state met by every force, and each of these by every event. */
static void
test_force(void)
{
	static const char *const names[] = {"closed", "open", "half-open"};

	for (int state = 0; state < 3; state++)
	{
		RfBreaker	breaker;
		uint32_t	old;
		uint32_t	generation;

		for (int force = 1; force <= 2; force++)
		{
			bool		opened = force == RF_BREAKER_FORCED_OPEN;

			rf_breaker_init(&breaker);
			old = breaker.generation;
			if (state == 1)
				make_open(&breaker);
			if (state == 2)
				old = make_half_open(&breaker);
			ok(rf_breaker_force(&breaker, (RfBreakerForce) force, 100 * SECOND),
			   "%s: forced %s is a change", names[state], opened ? "open" : "closed");
			ok(!rf_breaker_force(&breaker, (RfBreakerForce) force, 50 * SECOND) &&
			   breaker.force_until_us == 50 * SECOND, "again is none, but the time is the new one");
			is_int(rf_breaker_state(&breaker, 11 * SECOND), opened ? RF_BREAKER_OPEN : RF_BREAKER_CLOSED, "that is its state");
			ok(rf_breaker_ready(&breaker, 11 * SECOND) == !opened &&
			   rf_breaker_admit(&breaker, &policy, 11 * SECOND, &generation) == !opened, "that is what requests meet");
			is_int(rf_breaker_ready_at(&breaker, 11 * SECOND), opened ? 50 * SECOND : 0, "and are told");
			for (int i = 0; i < 10; i++)
				rf_breaker_record(&breaker, &policy, breaker.generation, false, 12 * SECOND);
			ok(!rf_breaker_record(&breaker, &policy, old, true, 12 * SECOND) && breaker.failures == 0 &&
			   breaker.state == RF_BREAKER_CLOSED, "nothing counts meanwhile");
			rf_breaker_withdraw(&breaker, breaker.generation, 12 * SECOND);
			ok(rf_breaker_ready(&breaker, 50 * SECOND) && rf_breaker_ready_at(&breaker, 50 * SECOND) == 0 &&
			   rf_breaker_state(&breaker, 50 * SECOND) == RF_BREAKER_CLOSED, "when the time is over it is closed");
			old = breaker.generation;
			ok(rf_breaker_admit(&breaker, &policy, 50 * SECOND, &generation) && generation != old &&
			   breaker.force == RF_BREAKER_AUTO, "and begins anew");
			ok(!rf_breaker_record(&breaker, &policy, old, false, 51 * SECOND) && breaker.failures == 0, "with nothing of before");
		}
	}
}

int
main(void)
{
	test_closed();
	test_open();
	test_half_open();
	test_leases();
	test_extremes();
	test_ratio();
	test_force();
	return done_testing();
}

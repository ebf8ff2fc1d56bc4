/* Rate windows: boundaries, several at once, and a million random requests. */
#include <stdlib.h>

#include "core/rate_window.h"
#include "tap.h"

#define SECOND INT64_C(1000000)

static uint64_t seed = 20261;

static uint64_t
next_random(uint64_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % below;
}

static RfRateWindow *
make(uint32_t max, int64_t per_us, bool pace)
{
	RfRateWindow *window = malloc(rf_rate_window_size(max, false));

	rf_rate_window_init(window, max, per_us, pace, false);
	return window;
}

static bool
take(RfRateWindow *window, int64_t now_us)
{
	return rf_rate_windows_take(&window, NULL, 1, now_us);
}

static void
test_boundaries(void)
{
	RfRateWindow *window = make(2, 10 * SECOND, false);

	is_int(rf_rate_window_free(window, 0), 2, "an empty window has room for all");
	is_int(rf_rate_window_next(window, 1, 0), 0, "and is open now");
	ok(take(window, 0) && take(window, 0) && !take(window, 0), "two go, the third does not");
	is_int(rf_rate_window_next(window, 1, 5 * SECOND), RF_RATE_WHEN_ENDED,
		   "while both are under way nobody knows when");
	ok(!take(window, 1000 * SECOND), "however long they are");
	rf_rate_window_end(window, 1, 3 * SECOND);
	is_int(rf_rate_window_next(window, 1, 3 * SECOND), 13 * SECOND, "one window after the end of the first");
	ok(!take(window, 13 * SECOND - 1), "not a microsecond earlier");
	ok(take(window, 13 * SECOND), "and not later");
	rf_rate_window_withdraw(window, 1);
	ok(take(window, 13 * SECOND), "what never began is given back at once");
	rf_rate_window_end(window, 1, 14 * SECOND);
	rf_rate_window_end(window, 1, 12 * SECOND);
	is_int(rf_rate_window_next(window, 1, 14 * SECOND), 24 * SECOND, "a moment that goes back counts as the latest");
	is_int(rf_rate_window_used(window, 24 * SECOND - 1), 2, "both count until then");
	is_int(rf_rate_window_used(window, 24 * SECOND), 0, "and no longer");
	free(window);

	window = make(1, 1, false);
	ok(take(window, INT64_MAX - 1), "the smallest window works at the end of time");
	rf_rate_window_end(window, 1, INT64_MAX);
	ok(take(window, INT64_MAX), "and does not overflow");
	free(window);
}

static void
test_unfinished(void)
{
	RfRateWindow *window = make(3, 10 * SECOND, false);

	take(window, 0);
	take(window, 0);
	rf_rate_window_end_all(window, 5 * SECOND);
	is_int(rf_rate_window_free(window, 14 * SECOND), 1, "what a dead process had under way ends when it is found");
	is_int(rf_rate_window_free(window, 15 * SECOND), 3, "and comes back one window later");
	rf_rate_window_add(window, 1000, 16 * SECOND);
	is_int(rf_rate_window_free(window, 17 * SECOND), 0, "more use than there is room for is use of all");
	is_int(rf_rate_window_next(window, 1, 17 * SECOND), 26 * SECOND, "until it is over");
	free(window);
}

static void
test_several(void)
{
	RfRateWindow *both[2] = {make(3, SECOND, false), make(5, 60 * SECOND, false)};

	for (int i = 0; i < 3; i++)
		rf_rate_windows_take(both, NULL, 2, 0);
	ok(!rf_rate_windows_take(both, NULL, 2, 0), "the short window is full");
	is_int(rf_rate_window_used(both[1], 0), 3, "nothing was taken of the long one");
	for (int i = 0; i < 3; i++)
	{
		rf_rate_window_end(both[0], 1, 0);
		rf_rate_window_end(both[1], 1, 0);
	}
	ok(rf_rate_windows_take(both, NULL, 2, SECOND) && rf_rate_windows_take(both, NULL, 2, SECOND), "two more a second later");
	ok(!rf_rate_windows_take(both, NULL, 2, SECOND), "then the long one is full");
	is_int(rf_rate_window_used(both[0], SECOND), 2, "nothing was taken of the short one");
	free(both[0]);
	free(both[1]);
}

static void
test_pace(void)
{
	RfRateWindow *window = make(3, 10 * SECOND, true);

	is_int(rf_rate_window_free(window, 0), 1, "with pacing one goes at a time");
	take(window, 0);
	is_int(rf_rate_window_next(window, 1, 0), 3333334, "the next after its share of the window, rounded up");
	ok(!take(window, 3333333) && take(window, 3333334), "exactly then");
	rf_rate_window_end(window, 1, 4 * SECOND);
	rf_rate_window_end(window, 1, 4 * SECOND);
	take(window, 7 * SECOND);
	rf_rate_window_end(window, 1, 7 * SECOND);
	is_int(rf_rate_window_next(window, 1, 8 * SECOND), 14 * SECOND, "and never more than the window has");
	free(window);
}

/* Who waits is told a moment of his own, and finds a token then. */
static void
test_promises(void)
{
	RfRateWindow *window = make(2, 10 * SECOND, false);
	static const int64_t expected[] = {10, 11, 20, 21, 30};

	take(window, 0);
	take(window, 0);
	rf_rate_window_end(window, 1, 0);
	rf_rate_window_end(window, 1, SECOND);
	is_int(rf_rate_window_turn(window, 1, 2 * SECOND, RF_RATE_CURIOUS), 10 * SECOND, "to ask is no promise");
	for (int i = 0; i < 5; i++)
		is_int(rf_rate_window_turn(window, 1, 2 * SECOND, RF_RATE_NEWCOMER), expected[i] * SECOND, "each who waits gets the next token to come");
	is_int(rf_rate_window_turn(window, 1, 9 * SECOND, RF_RATE_EARLY), 10 * SECOND, "who comes too early gets the next");
	is_int(rf_rate_window_turn(window, 1, 9 * SECOND, RF_RATE_EARLY), 11 * SECOND, "and another the one after");
	ok(take(window, 10 * SECOND) && !take(window, 10 * SECOND), "the first finds one");
	rf_rate_window_end(window, 1, 10 * SECOND);
	ok(take(window, 11 * SECOND) && !take(window, 11 * SECOND), "the second, too");
	rf_rate_window_end(window, 1, 11 * SECOND);
	is_int(rf_rate_window_turn(window, 1, 12 * SECOND, RF_RATE_NEWCOMER), 31 * SECOND, "who comes later waits behind them");
	is_int(rf_rate_window_free(window, 60 * SECOND), 2, "if nobody comes");
	is_int(window->promised, 0, "promises are forgotten");
	free(window);

	window = make(4, 4 * SECOND, true);
	take(window, 0);
	is_int(rf_rate_window_turn(window, 1, 0, RF_RATE_NEWCOMER), SECOND, "with pacing the first goes one share later");
	is_int(rf_rate_window_turn(window, 1, 0, RF_RATE_NEWCOMER), 2 * SECOND, "and the second two");
	free(window);
}

static void
test_sizes(void)
{
	RfRateWindow *big = make(5, 10 * SECOND, false);
	RfRateWindow *small = make(2, 10 * SECOND, false);
	RfRateWindow *again = make(4, 10 * SECOND, false);

	for (int i = 0; i < 4; i++)
	{
		take(big, 0);
		rf_rate_window_end(big, 1, i * SECOND);
	}
	take(big, 3 * SECOND);
	rf_rate_window_copy(small, big);
	is_int(rf_rate_window_next(small, 1, 4 * SECOND), 13 * SECOND,
		   "a window made smaller waits until all but one less than its size are over");
	ok(!take(small, 13 * SECOND - 1), "not before");
	rf_rate_window_end(small, 1, 5 * SECOND);
	is_int(rf_rate_window_next(small, 1, 6 * SECOND), 13 * SECOND, "what was under way counts from its end");
	rf_rate_window_copy(again, small);
	is_int(rf_rate_window_free(again, 6 * SECOND), 2, "a window made larger has more room at once");
	free(big);
	free(small);
	free(again);
}

typedef struct Request
{
	int64_t		seen_us;		/* when the provider counted it */
	int64_t		end_us;
} Request;

static int
compare(const void *a, const void *b)
{
	int64_t		x = *(const int64_t *) a;
	int64_t		y = *(const int64_t *) b;

	return x < y ? -1 : x > y;
}

/*
 * Random arrivals and durations; the provider counts at any moment between
 * begin and end.  No interval of length W may have more than N.
 */
static void
simulate(uint32_t max, int64_t per_us, bool pace, int arrivals)
{
	RfRateWindow *window = make(max, per_us, pace);
	int64_t    *seen = malloc(sizeof(int64_t) * (size_t) arrivals);
	Request    *running = malloc(sizeof(Request) * max);
	uint32_t	nrunning = 0;
	int			nseen = 0;
	int			early = 0;
	int64_t		now = 0;
	int64_t		gap = per_us / max;
	int64_t		worst = 0;

	for (int i = 0; i < arrivals; i++)
	{
		now += (int64_t) next_random((uint64_t) gap + 1) / (next_random(20) == 0 ? 1 : 3);
		if (next_random(1000) == 0)
			now += (int64_t) next_random((uint64_t) per_us * 2);
		for (uint32_t r = 0; r < nrunning;)
		{
			if (running[r].end_us > now)
			{
				r++;
				continue;
			}
			rf_rate_window_end(window, 1, now);
			running[r] = running[--nrunning];
		}
		if (rf_rate_window_next(window, 1, now) > now && rf_rate_window_free(window, now) > 0)
			early++;
		if (!take(window, now))
			continue;
		running[nrunning].end_us = now + (int64_t) next_random(next_random(50) == 0 ? (uint64_t) per_us * 2 : (uint64_t) gap * 4 + 1);
		seen[nseen++] = now + (int64_t) next_random((uint64_t) (running[nrunning].end_us - now) + 1);
		nrunning++;
	}
	qsort(seen, (size_t) nseen, sizeof(int64_t), compare);
	for (int i = (int) max; i < nseen; i++)
		if (seen[i] - seen[i - (int) max] < per_us)
			worst++;
	ok(worst == 0 && early == 0 && nseen > (int) max,
	   "%d of %d arrivals went, and no window of %lld us has more than %u", nseen, arrivals,
	   (long long) per_us, max);
	free(window);
	free(seen);
	free(running);
}

/* Credits: several tokens at once, and what they cost in the end. */
static void
test_credits(void)
{
	RfRateWindow *window = malloc(rf_rate_window_size(RF_RATE_MAX_CREDITS, true));
	uint32_t	tokens = 600;

	ok(rf_rate_window_size(RF_RATE_MAX_CREDITS, true) < 8192, "a window of a billion credits takes little memory");
	rf_rate_window_init(window, 1000, 100 * SECOND, false, true);
	ok(rf_rate_windows_take(&window, &tokens, 1, 0) && !rf_rate_windows_take(&window, &tokens, 1, 0),
	   "who wants more than there are left gets none");
	is_int(rf_rate_window_free(window, 0), 400, "and leaves them to others");
	is_int(rf_rate_window_next(window, 600, 0), RF_RATE_WHEN_ENDED, "when there are more is not known yet");
	rf_rate_window_withdraw(window, 100);
	rf_rate_window_end(window, 500, 10 * SECOND);
	is_int(rf_rate_window_free(window, 10 * SECOND), 500, "what it did not cost is free at once");
	is_int(rf_rate_window_next(window, 500, 10 * SECOND), 0, "as many as are left can be taken now");
	is_int(rf_rate_window_next(window, 501, 10 * SECOND), 110 * SECOND, "one more when the others come back");
	is_int(rf_rate_window_next(window, 1001, 10 * SECOND), RF_RATE_WHEN_ENDED, "more than all of them never");
	rf_rate_window_add(window, 700, 20 * SECOND);
	is_int(rf_rate_window_used(window, 20 * SECOND), 1200, "it may have cost more than there were");
	is_int(rf_rate_window_free(window, 20 * SECOND), 0, "then there are none");
	is_int(rf_rate_window_next(window, 1, 20 * SECOND), 110 * SECOND, "until enough have come back");
	is_int(rf_rate_window_turn(window, 300, 20 * SECOND, RF_RATE_NEWCOMER), 110 * SECOND, "who wants many waits for the last of them");
	is_int(rf_rate_window_turn(window, 300, 20 * SECOND, RF_RATE_NEWCOMER), 120 * SECOND, "and who comes after him for his");
	is_int(rf_rate_window_free(window, 110 * SECOND), 300, "the first come back");
	is_int(rf_rate_window_free(window, 120 * SECOND), 1000, "and the others");
	free(window);
}

typedef struct Payment
{
	int64_t		seen_us;
	int64_t		end_us;
	uint32_t	tokens;
} Payment;

static int
compare_payments(const void *a, const void *b)
{
	return compare(&((const Payment *) a)->seen_us, &((const Payment *) b)->seen_us);
}

/*
 * As below, with many credits a request.  Nor may a coarse window let much less
 * through than an exact one.
 */
static void
simulate_credits(uint32_t max, int64_t per_us, uint32_t most, int arrivals)
{
	RfRateWindow *window = malloc(rf_rate_window_size(max, true));
	Payment    *all = malloc(sizeof(Payment) * (size_t) arrivals);
	int			nall = 0;
	int			next_end = 0;
	int64_t		now = 0;
	int64_t		worst = 0;
	int64_t		sum = 0;
	int64_t		total = 0;

	rf_rate_window_init(window, max, per_us, false, true);
	for (int i = 0; i < arrivals; i++)
	{
		uint32_t	tokens = 1 + (uint32_t) next_random(most);

		now += (int64_t) next_random((uint64_t) (per_us / (max / most + 1)));
		for (; next_end < nall && all[next_end].end_us <= now; next_end++)
			rf_rate_window_end(window, all[next_end].tokens, now);
		if (!rf_rate_windows_take(&window, &tokens, 1, now))
			continue;
		all[nall].tokens = tokens;
		all[nall].end_us = now + per_us / 100;
		all[nall].seen_us = now + (int64_t) next_random((uint64_t) per_us / 100);
		total += tokens;
		nall++;
	}
	qsort(all, (size_t) nall, sizeof(Payment), compare_payments);
	for (int first = 0, last = 0; last < nall; last++)
	{
		sum += all[last].tokens;
		while (all[last].seen_us - all[first].seen_us >= per_us)
			sum -= all[first++].tokens;
		worst = sum > worst ? sum : worst;
	}
	ok(worst <= max, "no window of %u credits has more: the worst of %d requests had %lld", max, nall, (long long) worst);
	ok((double) total > 0.9 * (double) (max - most / 2) * (double) (now / per_us),
	   "and %lld credits went in %lld windows", (long long) total, (long long) (now / per_us));
	free(window);
	free(all);
}

int
main(void)
{
	test_credits();
	simulate_credits(1000, 100 * SECOND, 20, 200000);
	simulate_credits(3, 100 * SECOND, 2, 20000);
	simulate_credits(1000000, 3600 * SECOND, 5000, 200000);
	test_boundaries();
	test_unfinished();
	test_several();
	test_pace();
	test_promises();
	test_sizes();
	simulate(1, SECOND, false, 50000);
	simulate(7, 3 * SECOND, false, 250000);
	simulate(100, 20 * SECOND, false, 400000);
	simulate(100, 20 * SECOND, true, 100000);
	simulate(1000, 60 * SECOND, false, 200000);
	simulate(RF_RATE_MAX_REQUESTS, 3600 * SECOND, false, 300000);
	return done_testing();
}

/*-------------------------------------------------------------------------
 *
 * decide.c
 *	  How long one decision of a rate window and of a breaker takes.
 *
 * Pure logic, no server.  Prints each figure's name and nanoseconds.
 *
 * A decision is what one request costs: take a token and give it back when it
 * has ended; be admitted and record the outcome.  Each figure is the median
 * of several rounds.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/breaker.h"
#include "core/rate_window.h"

#define ROUNDS		11
#define REQUESTS	1000000

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

static void
report(const char *name, double *rounds)
{
	qsort(rounds, ROUNDS, sizeof(double), compare);
	printf("%s %.1f\n", name, rounds[ROUNDS / 2]);
}

/* As many windows at once as an account with three of them has. */
static void
bench_windows(void)
{
	static const uint32_t sizes[] = {200, 6000, 50000};
	RfRateWindow *windows[3];
	double		rounds[ROUNDS];
	int64_t		now_us = 0;
	int64_t		taken = 0;

	for (int i = 0; i < 3; i++)
	{
		windows[i] = malloc(rf_rate_window_size(sizes[i], false));
		rf_rate_window_init(windows[i], sizes[i], INT64_C(60000000) << (2 * i), false, false);
	}
	for (int round = 0; round < ROUNDS; round++)
	{
		int64_t		begin = now_ns();

		for (int i = 0; i < REQUESTS; i++)
		{
			now_us += 50000;	/* more than they let through */
			if (!rf_rate_windows_take(windows, NULL, 3, now_us))
				continue;
			taken++;
			for (int w = 0; w < 3; w++)
				rf_rate_window_end(windows[w], 1, now_us + 1000);
		}
		rounds[round] = (double) (now_ns() - begin) / REQUESTS;
	}
	if (taken == 0)
		abort();
	report("limiter_decision", rounds);
	for (int i = 0; i < 3; i++)
		free(windows[i]);
}

static void
bench_breaker(void)
{
	static const RfBreakerPolicy policy = {1000, 30000000, 300000000, 40000000, 50, 20, 60000000};
	RfBreaker	breaker;
	double		rounds[ROUNDS];
	int64_t		now_us = 0;
	int64_t		admitted = 0;

	rf_breaker_init(&breaker);
	for (int round = 0; round < ROUNDS; round++)
	{
		int64_t		begin = now_ns();

		for (int i = 0; i < REQUESTS; i++)
		{
			uint32_t	generation;

			now_us += 100;
			if (!rf_breaker_admit(&breaker, &policy, now_us, &generation))
				continue;
			admitted++;
			(void) rf_breaker_record(&breaker, &policy, generation, i % 10 != 0, now_us);
		}
		rounds[round] = (double) (now_ns() - begin) / REQUESTS;
	}
	if (admitted == 0)
		abort();
	report("breaker_decision", rounds);
}

int
main(void)
{
	bench_windows();
	bench_breaker();
	return 0;
}

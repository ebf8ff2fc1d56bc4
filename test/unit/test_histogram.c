/* Buckets that follow each other without a gap, and quantiles read from them. */
#include "core/histogram.h"
#include "tap.h"

static void
test_buckets(void)
{
	int			wrong = 0;
	int64_t		before = 0;

	for (int i = 0; i < RF_HISTOGRAM_BUCKETS - 1; i++)
	{
		int64_t		end = rf_histogram_end_us(i);

		if (end <= before || rf_histogram_bucket(before) != i ||
			rf_histogram_bucket(end - 1) != i || rf_histogram_bucket(end) != i + 1)
			wrong++;
		before = end;
	}
	is_int(wrong, 0, "each bucket begins where the one before it ends");
	is_int(rf_histogram_bucket(-5), 0, "a clock that went back counts as no time");
	is_int(rf_histogram_bucket(INT64_MAX), RF_HISTOGRAM_BUCKETS - 1, "for ever is in the last bucket");
	is_int(rf_histogram_end_us(RF_HISTOGRAM_BUCKETS - 1), INT64_MAX, "which has no end");
	is_int(before, RF_HISTOGRAM_FIRST_US << RF_HISTOGRAM_DOUBLINGS, "the doublings end at 67 s");
}

static void
test_quantiles(void)
{
	uint64_t	counts[RF_HISTOGRAM_BUCKETS] = {0};
	int			wrong = 0;

	is_int(rf_histogram_quantile(counts, 0.5), -1, "of nothing there is no median");
	for (int64_t us = 1; us <= 100000; us++)
		counts[rf_histogram_bucket(us)]++;
	for (int percent = 1; percent <= 100; percent++)
	{
		int64_t		truth = percent * 1000;
		int64_t		read = rf_histogram_quantile(counts, percent / 100.0);

		if (read < truth * 4 / 5 || read > truth * 5 / 4)
			wrong++;
	}
	is_int(wrong, 0, "quantiles of an even spread are off by less than a quarter");

	counts[RF_HISTOGRAM_BUCKETS - 1] = 1000000;
	is_int(rf_histogram_quantile(counts, 0.99), RF_HISTOGRAM_FIRST_US << RF_HISTOGRAM_DOUBLINGS,
		   "what took longer than all buckets counts as the end of the last");
	is_int(rf_histogram_quantile(counts, 7), RF_HISTOGRAM_FIRST_US << RF_HISTOGRAM_DOUBLINGS,
		   "a share above one is one");
}

int
main(void)
{
	test_buckets();
	test_quantiles();
	return done_testing();
}

/*-------------------------------------------------------------------------
 *
 * histogram.c
 *	  How long things took, in buckets that grow with the time.
 *
 * IDENTIFICATION
 *	  src/core/histogram.c
 *
 *-------------------------------------------------------------------------
 */
#include <stddef.h>

#include "core/histogram.h"

#define LAST	(RF_HISTOGRAM_BUCKETS - 1)

static int64_t begin_us(int bucket);

int
rf_histogram_bucket(int64_t us)
{
	uint64_t	ratio;
	int			doubling;

	if (us < RF_HISTOGRAM_FIRST_US)
		return 0;
	ratio = (uint64_t) us / (uint64_t) RF_HISTOGRAM_FIRST_US;
	doubling = 63 - __builtin_clzll(ratio);
	if (doubling >= RF_HISTOGRAM_DOUBLINGS)
		return LAST;

	/* The two bits below the highest say which quarter of the doubling. */
	return 1 + doubling * RF_HISTOGRAM_PARTS +
		(int) ((us - (RF_HISTOGRAM_FIRST_US << doubling)) /
			   ((RF_HISTOGRAM_FIRST_US << doubling) / RF_HISTOGRAM_PARTS));
}

int64_t
rf_histogram_end_us(int bucket)
{
	return bucket >= LAST ? INT64_MAX : begin_us(bucket + 1);
}

int64_t
rf_histogram_quantile(const uint64_t counts[RF_HISTOGRAM_BUCKETS], double q)
{
	uint64_t	total = 0;
	uint64_t	before = 0;
	double		rank;

	for (int i = 0; i < RF_HISTOGRAM_BUCKETS; i++)
		total += counts[i];
	if (total == 0)
		return -1;
	rank = (q < 0 ? 0 : q > 1 ? 1 : q) * (double) total;
	for (int i = 0; i < LAST; i++)
	{
		if (counts[i] > 0 && (double) (before + counts[i]) >= rank)
		{
			/* As if those of a bucket were spread evenly over it. */
			double		within = (rank - (double) before) / (double) counts[i];

			return begin_us(i) +
				(int64_t) ((within < 0 ? 0 : within) * (double) (begin_us(i + 1) - begin_us(i)));
		}
		before += counts[i];
	}
	return begin_us(LAST);
}

static int64_t
begin_us(int bucket)
{
	int			doubling = (bucket - 1) / RF_HISTOGRAM_PARTS;
	int			part = (bucket - 1) % RF_HISTOGRAM_PARTS;

	if (bucket == 0)
		return 0;
	return (RF_HISTOGRAM_FIRST_US << doubling) +
		part * ((RF_HISTOGRAM_FIRST_US << doubling) / RF_HISTOGRAM_PARTS);
}

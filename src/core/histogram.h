/*-------------------------------------------------------------------------
 *
 * histogram.h
 *	  How long things took, in buckets that grow with the time.
 *
 * Four buckets to each doubling, from 64 microseconds to 67 seconds: a quantile
 * read from them is off by less than a quarter.  Whoever counts keeps an array
 * of RF_HISTOGRAM_BUCKETS numbers; adding two of them up gives the histogram of
 * both.
 *
 * Pure logic: no PostgreSQL headers, no allocation, no clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HISTOGRAM_H
#define ROLEFERRY_HISTOGRAM_H

#include <stdint.h>

#define RF_HISTOGRAM_FIRST_US	INT64_C(64) /* end of the first bucket */
#define RF_HISTOGRAM_DOUBLINGS	20
#define RF_HISTOGRAM_PARTS		4	/* of each doubling */

/* One below the first doubling, one past the last. */
#define RF_HISTOGRAM_BUCKETS	(RF_HISTOGRAM_DOUBLINGS * RF_HISTOGRAM_PARTS + 2)

/* The bucket that counts this duration, microseconds; negative ones count as 0. */
extern int	rf_histogram_bucket(int64_t us);

/* Durations in the bucket are below this; INT64_MAX for the last. */
extern int64_t rf_histogram_end_us(int bucket);

/*
 * The duration that a share q (0 to 1) of those counted does not exceed,
 * microseconds; -1 when none was counted.  Those past the last doubling count
 * as its end.
 */
extern int64_t rf_histogram_quantile(const uint64_t counts[RF_HISTOGRAM_BUCKETS],
									 double q);

#endif							/* ROLEFERRY_HISTOGRAM_H */

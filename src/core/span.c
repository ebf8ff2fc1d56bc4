/*-------------------------------------------------------------------------
 *
 * span.c
 *	  The parts of an interval as microseconds.
 *
 * IDENTIFICATION
 *	  src/core/span.c
 *
 *-------------------------------------------------------------------------
 */
#include "core/span.h"

#define DAY_US			(INT64_C(24) * 60 * 60 * 1000000)
#define MONTH_DAYS		30
#define MAX_DAYS		(2 * RF_SPAN_MAX_US / DAY_US)

static int64_t bounded(int64_t value, int64_t most);

/* Each part is bounded first, at more than the sum may be, and nothing overflows. */
int64_t
rf_span_us(int32_t months, int32_t days, int64_t time_us)
{
	int64_t		all_days = (int64_t) months * MONTH_DAYS + days;

	return bounded(bounded(all_days, MAX_DAYS) * DAY_US + bounded(time_us, 2 * RF_SPAN_MAX_US),
				   RF_SPAN_MAX_US);
}

static int64_t
bounded(int64_t value, int64_t most)
{
	if (value > most)
		return most;
	return value < -most ? -most : value;
}

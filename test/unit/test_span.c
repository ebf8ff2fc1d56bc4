/* Whatever an interval holds, it is a number of microseconds that can be added to. */
#include "core/span.h"
#include "tap.h"

#define SECOND	INT64_C(1000000)
#define DAY		(24 * 60 * 60 * SECOND)

int
main(void)
{
	is_int(rf_span_us(0, 0, 0), 0, "nothing");
	is_int(rf_span_us(0, 0, 90 * SECOND), 90 * SECOND, "seconds");
	is_int(rf_span_us(0, 3, SECOND), 3 * DAY + SECOND, "days and seconds");
	is_int(rf_span_us(2, 1, 0), 61 * DAY, "a month has 30 days");
	is_int(rf_span_us(1, -30, SECOND), SECOND, "parts of both signs");
	is_int(rf_span_us(0, 100000000, 0), RF_SPAN_MAX_US, "100000000 days are as many as there are");
	is_int(rf_span_us(0, INT32_MAX, INT64_MAX), RF_SPAN_MAX_US, "so is the most of all parts");
	is_int(rf_span_us(INT32_MAX, INT32_MAX, INT64_MAX), RF_SPAN_MAX_US, "with months");
	is_int(rf_span_us(INT32_MIN, INT32_MIN, INT64_MIN), -RF_SPAN_MAX_US, "and of the other sign");
	is_int(rf_span_us(INT32_MAX, 0, INT64_MIN), 0, "what is too much of both signs is nothing");
	return done_testing();
}

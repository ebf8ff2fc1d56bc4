/*-------------------------------------------------------------------------
 *
 * span.h
 *	  The parts of an interval as microseconds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SPAN_H
#define ROLEFERRY_SPAN_H

#include <stdint.h>

/* A thousand years: whoever asks for more means for ever, and can be added to. */
#define RF_SPAN_MAX_US	(INT64_C(365000) * 24 * 60 * 60 * 1000000)

/* A month has 30 days.  What is more than the most is the most, in both directions. */
extern int64_t rf_span_us(int32_t months, int32_t days, int64_t time_us);

#endif							/* ROLEFERRY_SPAN_H */

/*-------------------------------------------------------------------------
 *
 * retry_after.h
 *	  When may we come again?  Retry-After and X-RateLimit-Reset.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RETRY_AFTER_H
#define ROLEFERRY_RETRY_AFTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Both forms of Retry-After: delta seconds (digits only) and IMF-fixdate
 * ("Sun, 06 Nov 1994 08:49:37 GMT").  now_s: wall clock, Unix seconds.
 * Result in *delay_s, never negative (a past date is 0); large values are
 * saturated at INT32_MAX.  False: not understood ("-5", garbage, empty).
 */
extern bool rf_retry_after_parse(const char *value, int64_t now_s,
								 int64_t *delay_s);

/* Unix epoch seconds, integer or decimal fraction; same result rules (rounded up). */
extern bool rf_rate_reset_parse(const char *value, int64_t now_s,
								int64_t *delay_s);

/* "... try again after 120 seconds" anywhere in a text; bounded, never overflows. */
extern bool rf_try_again_parse(const char *text, size_t len, int64_t *delay_s);

#endif							/* ROLEFERRY_RETRY_AFTER_H */

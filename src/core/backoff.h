/*-------------------------------------------------------------------------
 *
 * backoff.h
 *	  How long a failed job waits: exponential, full jitter, Retry-After.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_BACKOFF_H
#define ROLEFERRY_BACKOFF_H

#include <stdint.h>

#include "core/outcome.h"

/* Base and cap of the wait after an outcome class; one table in the .c file. */
typedef struct RfBackoffPolicy
{
	int64_t		base_us;
	int64_t		cap_us;
} RfBackoffPolicy;

extern RfBackoffPolicy rf_backoff_policy(RfOutcomeClass class);

/*
 * Delay before attempt number failures + 1: uniform in [0, min(cap, base *
 * 2^(failures - 1))], never under 1 ms so that no job spins, never less than
 * retry_after_s (-1: none), which itself is capped at retry_after_cap_s.
 * random: 64 uniformly random bits.  failures: charged so far, this one
 * included; values < 1 count as 1.
 */
extern int64_t rf_backoff_delay_us(const RfBackoffPolicy *policy, int failures,
								   int64_t retry_after_s,
								   int64_t retry_after_cap_s, uint64_t random);

#endif							/* ROLEFERRY_BACKOFF_H */

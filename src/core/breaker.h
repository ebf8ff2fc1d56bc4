/*-------------------------------------------------------------------------
 *
 * breaker.h
 *	  Circuit breaker: closed, open, half-open with one leased probe.
 *
 * Pure logic: no PostgreSQL headers, no allocation, no clock.  The caller
 * owns the struct (in shared memory), holds whatever lock protects it, and
 * passes the current monotonic time in.
 *
 * Opens after policy->failure_limit consecutive failures, and when at least
 * failure_percent of the requests of the last window failed and they were
 * min_calls or more.  Once the cooldown
 * is over one request is admitted as the probe; it holds a lease, so that a
 * prober that dies cannot keep the circuit half-open for ever.  Its success
 * closes the circuit; its failure opens it again for a longer time (doubled,
 * up to max_cooldown_us).  A late success of a request admitted before the
 * circuit opened does not close it: callers pass the generation they were
 * admitted in.
 *
 * A person may force a circuit open (nothing goes) or closed (everything goes,
 * nothing counts) for a time; then it begins anew, closed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_BREAKER_H
#define ROLEFERRY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum RfBreakerState
{
	RF_BREAKER_CLOSED,			/* requests flow */
	RF_BREAKER_OPEN,			/* refused until retry_at_us */
	RF_BREAKER_HALF_OPEN		/* one probe is out, leased until
								 * lease_until_us */
} RfBreakerState;

typedef enum RfBreakerForce
{
	RF_BREAKER_AUTO,
	RF_BREAKER_FORCED_OPEN,
	RF_BREAKER_FORCED_CLOSED
} RfBreakerForce;

typedef struct RfBreakerPolicy
{
	uint32_t	failure_limit;	/* consecutive failures that open the circuit */
	int64_t		cooldown_us;	/* the first time it stays open */
	int64_t		max_cooldown_us;
	int64_t		lease_us;		/* how long a probe may take */
	uint32_t	failure_percent;	/* of the calls in the window; 0: any
									 * share will do */
	uint32_t	min_calls;		/* that the window must have for that */
	int64_t		window_us;
} RfBreakerPolicy;

/* The window slides by a slice at a time. */
#define RF_BREAKER_SLICES	10

typedef struct RfBreakerSlice
{
	int64_t		number;			/* of the slice of time */
	uint32_t	calls;
	uint32_t	failures;
} RfBreakerSlice;

typedef struct RfBreaker
{
	RfBreakerState state;
	uint32_t	failures;		/* consecutive, zero once anything succeeds */
	uint32_t	generation;		/* +1 at every change of state */
	int64_t		cooldown_us;	/* in force for this opening */
	int64_t		retry_at_us;	/* while open */
	int64_t		lease_until_us; /* while half-open */
	RfBreakerForce force;
	int64_t		force_until_us; /* while forced */
	RfBreakerSlice slices[RF_BREAKER_SLICES];	/* since it closed */
} RfBreaker;

extern void rf_breaker_init(RfBreaker *breaker);

/* Could a request go out now?  Changes nothing. */
extern bool rf_breaker_ready(const RfBreaker *breaker, int64_t now_us);

/* When could one (now or later)?  0: now. */
extern int64_t rf_breaker_ready_at(const RfBreaker *breaker, int64_t now_us);

/*
 * Take the right to send one request.  On true, *generation is what the
 * caller hands back to rf_breaker_record() with the outcome (or to
 * rf_breaker_withdraw() when the request never started).
 */
extern bool rf_breaker_admit(RfBreaker *breaker, const RfBreakerPolicy *policy,
							 int64_t now_us, uint32_t *generation);
extern void rf_breaker_withdraw(RfBreaker *breaker, uint32_t generation,
								int64_t now_us);

/* True when the state changed. */
extern bool rf_breaker_record(RfBreaker *breaker, const RfBreakerPolicy *policy,
							  uint32_t generation, bool success, int64_t now_us);

/* Calls and failures of the last window. */
extern void rf_breaker_count(const RfBreaker *breaker,
							 const RfBreakerPolicy *policy, int64_t now_us,
							 uint32_t *calls, uint32_t *failures);

/*
 * What a person wants.  RF_BREAKER_AUTO ends it: the circuit begins anew,
 * closed, if it was forced.  True when that changed something.
 */
extern bool rf_breaker_force(RfBreaker *breaker, RfBreakerForce force,
							 int64_t until_us);

/* The force in effect now. */
extern RfBreakerForce rf_breaker_forced(const RfBreaker *breaker, int64_t now_us);

/* The state that requests meet, force included. */
extern RfBreakerState rf_breaker_state(const RfBreaker *breaker, int64_t now_us);

extern const char *rf_breaker_state_text(RfBreakerState state);

#endif							/* ROLEFERRY_BREAKER_H */

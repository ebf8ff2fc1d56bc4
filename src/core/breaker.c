/*-------------------------------------------------------------------------
 *
 * breaker.c
 *	  Circuit breaker state machine.
 *
 *	  closed --- failure_limit consecutive failures --> open
 *	  closed --- failure_percent of at least min_calls in the window --> open
 *	  open --- cooldown over, one request admitted --> half-open
 *	  half-open --- the probe succeeds --> closed
 *	  half-open --- the probe fails --> open, cooldown doubled
 *	  half-open --- the lease runs out --> half-open, another probe
 *
 * Every one of these steps makes a new generation.  An outcome counts only in
 * the generation its request was admitted in, so that neither a straggler from
 * before the circuit opened nor a probe whose lease ran out moves the circuit.
 * A force makes a new generation when it begins and when it ends: nothing that
 * was under way then counts.
 *
 * The window is made of slices, so that counting needs no memory for each call:
 * it covers between nine and ten tenths of its length.
 *
 * IDENTIFICATION
 *	  src/core/breaker.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "core/breaker.h"

static int64_t add_saturated(int64_t at_us, int64_t delay_us);
static void lease_probe(RfBreaker *breaker, const RfBreakerPolicy *policy,
						int64_t now_us);
static void close_circuit(RfBreaker *breaker);
static bool count_call(RfBreaker *breaker, const RfBreakerPolicy *policy,
					   bool success, int64_t now_us);
static int64_t slice_number(const RfBreakerPolicy *policy, int64_t now_us);
static void end_force(RfBreaker *breaker, int64_t now_us);
static void open_circuit(RfBreaker *breaker, const RfBreakerPolicy *policy,
						 int64_t now_us);

void
rf_breaker_init(RfBreaker *breaker)
{
	memset(breaker, 0, sizeof(*breaker));
	breaker->state = RF_BREAKER_CLOSED;
}

bool
rf_breaker_ready(const RfBreaker *breaker, int64_t now_us)
{
	return rf_breaker_ready_at(breaker, now_us) == 0;
}

int64_t
rf_breaker_ready_at(const RfBreaker *breaker, int64_t now_us)
{
	switch (rf_breaker_forced(breaker, now_us))
	{
		case RF_BREAKER_AUTO:
			break;
		case RF_BREAKER_FORCED_OPEN:
			return breaker->force_until_us;
		case RF_BREAKER_FORCED_CLOSED:
			return 0;
	}
	if (breaker->force != RF_BREAKER_AUTO)
		return 0;				/* just over: it begins anew */
	switch (breaker->state)
	{
		case RF_BREAKER_CLOSED:
			return 0;
		case RF_BREAKER_OPEN:
			return now_us >= breaker->retry_at_us ? 0 : breaker->retry_at_us;
		case RF_BREAKER_HALF_OPEN:
			return now_us >= breaker->lease_until_us ? 0 :
				breaker->lease_until_us;
	}
	return 0;					/* keep compiler quiet */
}

bool
rf_breaker_admit(RfBreaker *breaker, const RfBreakerPolicy *policy,
				 int64_t now_us, uint32_t *generation)
{
	end_force(breaker, now_us);
	if (!rf_breaker_ready(breaker, now_us))
		return false;
	if (breaker->state != RF_BREAKER_CLOSED && breaker->force == RF_BREAKER_AUTO)
		lease_probe(breaker, policy, now_us);
	*generation = breaker->generation;
	return true;
}

/*
 * The request never started, so nothing was learnt.  A probe gives its lease
 * back; the circuit stays half-open until somebody else probes.
 */
void
rf_breaker_withdraw(RfBreaker *breaker, uint32_t generation, int64_t now_us)
{
	if (breaker->state == RF_BREAKER_HALF_OPEN &&
		breaker->generation == generation)
		breaker->lease_until_us = now_us;
}

bool
rf_breaker_record(RfBreaker *breaker, const RfBreakerPolicy *policy,
				  uint32_t generation, bool success, int64_t now_us)
{
	bool		too_many;

	end_force(breaker, now_us);
	if (generation != breaker->generation || breaker->force != RF_BREAKER_AUTO)
		return false;

	switch (breaker->state)
	{
		case RF_BREAKER_OPEN:
			return false;		/* admits nobody, so this is not from here */
		case RF_BREAKER_HALF_OPEN:
			if (success)
				close_circuit(breaker);
			else
				open_circuit(breaker, policy, now_us);
			return true;
		case RF_BREAKER_CLOSED:
			too_many = count_call(breaker, policy, success, now_us);
			if (success)
			{
				breaker->failures = 0;
				return false;
			}
			if (breaker->failures < UINT32_MAX)
				breaker->failures++;
			if (breaker->failures < policy->failure_limit && !too_many)
				return false;
			open_circuit(breaker, policy, now_us);
			return true;
	}
	return false;				/* keep compiler quiet */
}

void
rf_breaker_count(const RfBreaker *breaker, const RfBreakerPolicy *policy,
				 int64_t now_us, uint32_t *calls, uint32_t *failures)
{
	int64_t		newest = slice_number(policy, now_us);

	*calls = 0;
	*failures = 0;
	for (int i = 0; i < RF_BREAKER_SLICES; i++)
	{
		const RfBreakerSlice *slice = &breaker->slices[i];

		if (slice->number <= newest - RF_BREAKER_SLICES || slice->number > newest)
			continue;
		*calls += slice->calls;
		*failures += slice->failures;
	}
}

bool
rf_breaker_force(RfBreaker *breaker, RfBreakerForce force, int64_t until_us)
{
	bool		changed = breaker->force != force;

	if (changed)
		close_circuit(breaker);
	breaker->force = force;
	breaker->force_until_us = until_us;
	return changed;
}

RfBreakerForce
rf_breaker_forced(const RfBreaker *breaker, int64_t now_us)
{
	return now_us < breaker->force_until_us ? breaker->force : RF_BREAKER_AUTO;
}

RfBreakerState
rf_breaker_state(const RfBreaker *breaker, int64_t now_us)
{
	if (rf_breaker_forced(breaker, now_us) == RF_BREAKER_FORCED_OPEN)
		return RF_BREAKER_OPEN;
	return breaker->state;		/* closed, while it was forced */
}

const char *
rf_breaker_state_text(RfBreakerState state)
{
	switch (state)
	{
		case RF_BREAKER_CLOSED:
			return "closed";
		case RF_BREAKER_OPEN:
			return "open";
		case RF_BREAKER_HALF_OPEN:
			return "half-open";
	}
	return "unknown";			/* keep compiler quiet */
}

static int64_t
add_saturated(int64_t at_us, int64_t delay_us)
{
	int64_t		sum;

	if (delay_us < 0)
		return at_us;
	return __builtin_add_overflow(at_us, delay_us, &sum) ? INT64_MAX : sum;
}

static void
lease_probe(RfBreaker *breaker, const RfBreakerPolicy *policy, int64_t now_us)
{
	breaker->state = RF_BREAKER_HALF_OPEN;
	breaker->generation++;
	breaker->lease_until_us = add_saturated(now_us, policy->lease_us);
}

static void
close_circuit(RfBreaker *breaker)
{
	breaker->state = RF_BREAKER_CLOSED;
	breaker->generation++;
	breaker->failures = 0;
	breaker->cooldown_us = 0;
	breaker->retry_at_us = 0;
	breaker->lease_until_us = 0;
	memset(breaker->slices, 0, sizeof(breaker->slices));
}

/* Did too large a part of the window's calls fail? */
static bool
count_call(RfBreaker *breaker, const RfBreakerPolicy *policy, bool success,
		   int64_t now_us)
{
	int64_t		number = slice_number(policy, now_us);
	RfBreakerSlice *slice = &breaker->slices[number % RF_BREAKER_SLICES];
	uint32_t	calls;
	uint32_t	failures;

	if (policy->failure_percent == 0)
		return false;
	if (slice->number != number)
	{
		slice->number = number;
		slice->calls = 0;
		slice->failures = 0;
	}
	if (slice->calls < UINT32_MAX / RF_BREAKER_SLICES)
	{
		slice->calls++;
		slice->failures += success ? 0 : 1;
	}
	if (success)
		return false;
	rf_breaker_count(breaker, policy, now_us, &calls, &failures);
	return calls >= policy->min_calls &&
		(uint64_t) failures * 100 >= (uint64_t) calls * policy->failure_percent;
}

/* From 1 on: 0 is a slice that was never used. */
static int64_t
slice_number(const RfBreakerPolicy *policy, int64_t now_us)
{
	int64_t		length_us = policy->window_us / RF_BREAKER_SLICES;

	return now_us / (length_us > 1000 ? length_us : 1000) + RF_BREAKER_SLICES;
}

static void
end_force(RfBreaker *breaker, int64_t now_us)
{
	if (breaker->force != RF_BREAKER_AUTO && now_us >= breaker->force_until_us)
		(void) rf_breaker_force(breaker, RF_BREAKER_AUTO, 0);
}

/* From closed the cooldown is the policy's; each failed probe doubles it. */
static void
open_circuit(RfBreaker *breaker, const RfBreakerPolicy *policy, int64_t now_us)
{
	int64_t		cooldown_us = policy->cooldown_us;

	if (breaker->state == RF_BREAKER_HALF_OPEN)
	{
		if (breaker->failures < UINT32_MAX)
			breaker->failures++;
		cooldown_us = add_saturated(breaker->cooldown_us,
									breaker->cooldown_us);
	}
	if (cooldown_us > policy->max_cooldown_us)
		cooldown_us = policy->max_cooldown_us;

	breaker->state = RF_BREAKER_OPEN;
	breaker->generation++;
	breaker->cooldown_us = cooldown_us;
	breaker->retry_at_us = add_saturated(now_us, cooldown_us);
	breaker->lease_until_us = 0;
}

/*-------------------------------------------------------------------------
 *
 * batch_step.c
 *	  The way of a batch: what follows from what its last request proved.
 *
 * IDENTIFICATION
 *	  src/core/batch_step.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "core/batch_step.h"

/* Intervals grow by half, up to so many times the first. */
#define GROWTH_MAX		30

/* Looks for a lost request: after 1, 2 and 4 s, then ever more rarely. */
#define FIND_FIRST_US	INT64_C(1000000)
#define FIND_MAX_US		INT64_C(300000000)

/* What only reads and failed: after 1, 2, 4 ... s. */
#define AGAIN_FIRST_US	INT64_C(1000000)
#define AGAIN_MAX_US	INT64_C(60000000)

static const char *const words[] = {
	"send", "find", "poll", "fetch", "done", "refused", "failed", "unknown"
};

static RfBatchNext after_send(const RfBatchFacts *facts, const RfOutcome *outcome);
static RfBatchNext after_find(const RfBatchFacts *facts, const RfOutcome *outcome);
static RfBatchNext after_poll(const RfBatchFacts *facts, const RfOutcome *outcome);
static RfBatchNext after_fetch(const RfBatchFacts *facts, const RfOutcome *outcome);
static RfBatchNext go(RfBatchStep step, int64_t delay_us);
static RfBatchNext again(const RfBatchFacts *facts, const RfOutcome *outcome,
						 int64_t delay_us);
static int64_t doubled(int64_t first_us, int times, int64_t max_us);
static int64_t poll_interval(const RfBatchFacts *facts);

RfBatchNext
rf_batch_next(const RfBatchFacts *facts, const RfOutcome *outcome)
{
	switch (facts->step)
	{
		case RF_BATCH_SEND:
			return after_send(facts, outcome);
		case RF_BATCH_FIND:
			return after_find(facts, outcome);
		case RF_BATCH_POLL:
			return after_poll(facts, outcome);
		case RF_BATCH_FETCH:
			return after_fetch(facts, outcome);
		case RF_BATCH_DONE:
		case RF_BATCH_REFUSED:
		case RF_BATCH_FAILED:
		case RF_BATCH_UNKNOWN:
			break;
	}
	return go(facts->step, 0);
}

bool
rf_batch_is_over(RfBatchStep step)
{
	return step >= RF_BATCH_DONE;
}

const char *
rf_batch_step_text(RfBatchStep step)
{
	return words[step];
}

RfBatchStep
rf_batch_step_of(const char *text)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
	{
		if (strcmp(words[i], text) == 0)
			return (RfBatchStep) i;
	}
	return RF_BATCH_UNKNOWN;
}

static RfBatchNext
after_send(const RfBatchFacts *facts, const RfOutcome *outcome)
{
	RfBatchNext next;

	if (outcome->taken == RF_TAKEN_PERHAPS || outcome->class == RF_OUTCOME_AMBIGUOUS)
		return facts->can_find ? go(RF_BATCH_FIND, FIND_FIRST_US) : go(RF_BATCH_UNKNOWN, 0);
	if (outcome->class == RF_OUTCOME_OK || outcome->class == RF_OUTCOME_MISS)
		return facts->answers_at_once ? go(RF_BATCH_DONE, 0) : go(RF_BATCH_POLL, facts->poll_us);
	if (outcome->taken == RF_TAKEN_YES)
		return go(RF_BATCH_UNKNOWN, 0);
	if (outcome->class == RF_OUTCOME_PERMANENT)
		return go(RF_BATCH_FAILED, 0);

	/* An account in trouble is no failure of the jobs. */
	next = go(RF_BATCH_REFUSED, 0);
	next.charge = !outcome->account_wide && (outcome->class == RF_OUTCOME_TRANSIENT ||
											 outcome->class == RF_OUTCOME_PENDING ||
											 outcome->class == RF_OUTCOME_CONFIG ||
											 outcome->class == RF_OUTCOME_MALFORMED);
	return next;
}

static RfBatchNext
after_find(const RfBatchFacts *facts, const RfOutcome *outcome)
{
	if (outcome->class == RF_OUTCOME_OK)
		return go(RF_BATCH_POLL, 0);
	if (outcome->class == RF_OUTCOME_MISS && facts->misses + 1 >= RF_BATCH_MISSES)
		return go(RF_BATCH_REFUSED, 0);
	return again(facts, outcome, doubled(2 * FIND_FIRST_US, facts->tries, FIND_MAX_US));
}

static RfBatchNext
after_poll(const RfBatchFacts *facts, const RfOutcome *outcome)
{
	if (outcome->class == RF_OUTCOME_OK)
		return go(RF_BATCH_FETCH, 0);
	if (outcome->class == RF_OUTCOME_PERMANENT)
		return go(RF_BATCH_FAILED, 0);
	if (outcome->class == RF_OUTCOME_PENDING)
		return again(facts, outcome, poll_interval(facts));
	return again(facts, outcome, doubled(AGAIN_FIRST_US, facts->tries, AGAIN_MAX_US));
}

static RfBatchNext
after_fetch(const RfBatchFacts *facts, const RfOutcome *outcome)
{
	if (outcome->class == RF_OUTCOME_OK)
		return facts->more ? go(RF_BATCH_FETCH, 0) : go(RF_BATCH_DONE, 0);
	if (outcome->class == RF_OUTCOME_PERMANENT)
		return go(RF_BATCH_FAILED, 0);
	return again(facts, outcome, doubled(AGAIN_FIRST_US, facts->tries, AGAIN_MAX_US));
}

static RfBatchNext
go(RfBatchStep step, int64_t delay_us)
{
	RfBatchNext next;

	next.step = step;
	next.delay_us = delay_us;
	next.charge = false;
	return next;
}

/* The same step once more, unless it has been long enough. */
static RfBatchNext
again(const RfBatchFacts *facts, const RfOutcome *outcome, int64_t delay_us)
{
	int64_t		asked_s = outcome->retry_after_s;

	if (facts->age_us >= facts->give_up_us)
		return go(RF_BATCH_UNKNOWN, 0);
	if (asked_s > facts->retry_after_max_s)
		asked_s = facts->retry_after_max_s;
	if (asked_s >= 0 && asked_s * INT64_C(1000000) > delay_us)
		delay_us = asked_s * INT64_C(1000000);
	if (delay_us > facts->give_up_us - facts->age_us)
		delay_us = facts->give_up_us - facts->age_us;
	return go(facts->step, delay_us);
}

static int64_t
doubled(int64_t first_us, int times, int64_t max_us)
{
	int64_t		delay_us = first_us;

	for (int i = 0; i < times && delay_us < max_us; i++)
		delay_us *= 2;
	return delay_us < max_us ? delay_us : max_us;
}

static int64_t
poll_interval(const RfBatchFacts *facts)
{
	int64_t		most = facts->poll_us * GROWTH_MAX;
	int64_t		delay_us = facts->poll_us;

	for (int i = 0; i < facts->tries && delay_us < most; i++)
		delay_us += delay_us / 2;
	return delay_us < most ? delay_us : most;
}

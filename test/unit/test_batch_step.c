/*-------------------------------------------------------------------------
 *
 * test_batch_step.c
 *	  What follows from what a batch's last request proved.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "core/batch_step.h"

#include "tap.h"

static RfBatchFacts
facts_of(RfBatchStep step)
{
	RfBatchFacts facts;

	memset(&facts, 0, sizeof(facts));
	facts.step = step;
	facts.can_find = true;
	facts.give_up_us = INT64_C(86400000000);
	facts.poll_us = 1000000;
	facts.retry_after_max_s = 3600;
	return facts;
}

static RfBatchNext
next_of(RfBatchFacts facts, RfOutcomeClass class)
{
	RfOutcome	outcome;

	rf_outcome_init(&outcome, class, 200);
	return rf_batch_next(&facts, &outcome);
}

static void
check_step(RfBatchStep step, RfOutcomeClass class, RfBatchStep expected)
{
	RfBatchNext next = next_of(facts_of(step), class);

	ok(next.step == expected, "%s, %s: %s", rf_batch_step_text(step),
	   rf_outcome_class_text(class), rf_batch_step_text(expected));
}

static void
test_send(void)
{
	RfBatchFacts facts = facts_of(RF_BATCH_SEND);

	check_step(RF_BATCH_SEND, RF_OUTCOME_OK, RF_BATCH_POLL);
	check_step(RF_BATCH_SEND, RF_OUTCOME_AMBIGUOUS, RF_BATCH_FIND);
	check_step(RF_BATCH_SEND, RF_OUTCOME_PERMANENT, RF_BATCH_FAILED);
	for (int class = 0; class <= RF_OUTCOME_MALFORMED; class++)
	{
		RfOutcome	outcome;
		RfBatchNext next;

		rf_outcome_init(&outcome, (RfOutcomeClass) class, 200);
		outcome.taken = RF_TAKEN_PERHAPS;
		next = rf_batch_next(&facts, &outcome);
		ok(next.step == RF_BATCH_FIND, "perhaps taken (%s) is looked for",
		   rf_outcome_class_text((RfOutcomeClass) class));
		facts.can_find = false;
		next = rf_batch_next(&facts, &outcome);
		ok(next.step == RF_BATCH_UNKNOWN, "or unknown where it cannot be");
		facts.can_find = true;
	}
	ok(next_of(facts, RF_OUTCOME_QUOTA).step == RF_BATCH_REFUSED, "no credit: refused");
	ok(!next_of(facts, RF_OUTCOME_QUOTA).charge, "which is no failure of the jobs");
	ok(next_of(facts, RF_OUTCOME_TRANSIENT).charge, "a connection that failed is one");
	facts.answers_at_once = true;
	ok(next_of(facts, RF_OUTCOME_OK).step == RF_BATCH_DONE, "answered at once: done");
}

static void
test_find(void)
{
	RfBatchFacts facts = facts_of(RF_BATCH_FIND);

	check_step(RF_BATCH_FIND, RF_OUTCOME_OK, RF_BATCH_POLL);
	for (facts.misses = 0; facts.misses < RF_BATCH_MISSES - 1; facts.misses++)
		ok(next_of(facts, RF_OUTCOME_MISS).step == RF_BATCH_FIND, "a miss is not enough");
	ok(next_of(facts, RF_OUTCOME_MISS).step == RF_BATCH_REFUSED, "enough of them are proof");
	for (int class = RF_OUTCOME_PENDING; class <= RF_OUTCOME_MALFORMED; class++)
		ok(next_of(facts, (RfOutcomeClass) class).step == RF_BATCH_FIND, "%s proves nothing",
		   rf_outcome_class_text((RfOutcomeClass) class));
	facts.age_us = facts.give_up_us;
	ok(next_of(facts, RF_OUTCOME_TRANSIENT).step == RF_BATCH_UNKNOWN, "in the end it is unknown");
}

static void
test_read(void)
{
	RfBatchFacts facts = facts_of(RF_BATCH_POLL);
	int64_t		before = 0;

	check_step(RF_BATCH_POLL, RF_OUTCOME_OK, RF_BATCH_FETCH);
	check_step(RF_BATCH_POLL, RF_OUTCOME_PENDING, RF_BATCH_POLL);
	check_step(RF_BATCH_POLL, RF_OUTCOME_PERMANENT, RF_BATCH_FAILED);
	check_step(RF_BATCH_POLL, RF_OUTCOME_QUOTA, RF_BATCH_POLL);
	check_step(RF_BATCH_FETCH, RF_OUTCOME_OK, RF_BATCH_DONE);
	check_step(RF_BATCH_FETCH, RF_OUTCOME_PENDING, RF_BATCH_FETCH);
	check_step(RF_BATCH_FETCH, RF_OUTCOME_AMBIGUOUS, RF_BATCH_FETCH);
	for (facts.tries = 0; facts.tries < 100; facts.tries++)
	{
		int64_t		delay = next_of(facts, RF_OUTCOME_PENDING).delay_us;

		if (delay < before || delay > 30 * facts.poll_us)
			break;
		before = delay;
	}
	is_int(facts.tries, 100, "intervals grow, and not for ever");
	is_int(before, 30 * facts.poll_us, "up to thirty times the first");
	facts.age_us = facts.give_up_us - 5;
	is_int(next_of(facts, RF_OUTCOME_PENDING).delay_us, 5, "never past the end");
	facts.age_us = facts.give_up_us;
	ok(next_of(facts, RF_OUTCOME_PENDING).step == RF_BATCH_UNKNOWN, "then it is unknown");
	facts = facts_of(RF_BATCH_FETCH);
	facts.more = true;
	ok(next_of(facts, RF_OUTCOME_OK).step == RF_BATCH_FETCH, "page by page");
}

static void
test_words(void)
{
	for (int step = 0; step <= RF_BATCH_UNKNOWN; step++)
	{
		ok(rf_batch_step_of(rf_batch_step_text((RfBatchStep) step)) == (RfBatchStep) step,
		   "%s is read as it is written", rf_batch_step_text((RfBatchStep) step));
		ok(rf_batch_is_over((RfBatchStep) step) == (step >= RF_BATCH_DONE), "over or not");
	}
	ok(rf_batch_step_of("?") == RF_BATCH_UNKNOWN, "a word that is none is unknown");
}

int
main(void)
{
	test_send();
	test_find();
	test_read();
	test_words();
	return done_testing();
}

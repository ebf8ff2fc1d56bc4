/* Which errors of a SQL task are worth another try. */
#include "core/task_retry.h"
#include "tap.h"

static const char *const defaults[] = {"0A", "22", "42"};

static void
test_retries(void)
{
	ok(rf_task_retries("40001", defaults, 3, 0, 10), "a serialization failure is tried again");
	ok(rf_task_retries("P0001", defaults, 3, 8, 10), "and so is what a function raises, as long as there are attempts");
	ok(!rf_task_retries("P0001", defaults, 3, 9, 10), "the last failure is the last");
	ok(!rf_task_retries("40001", defaults, 3, 0, 1), "with one attempt there is no second");
	ok(!rf_task_retries("22P02", defaults, 3, 0, 10), "bad data stay bad");
	ok(!rf_task_retries("42883", defaults, 3, 0, 10), "a function that is not there is not waited for");
	ok(rf_task_retries("22P02", defaults, 0, 0, 10), "unless nothing is given up on");
	ok(rf_task_retries("42883", defaults, 2, 0, 10), "or not on this class");
}

static void
test_exact(void)
{
	static const char *const one[] = {"P0002", ""};

	ok(!rf_task_retries("P0002", one, 2, 0, 10), "a single SQLSTATE can be given up on");
	ok(rf_task_retries("P0001", one, 2, 0, 10), "and its neighbour is not");
	ok(rf_task_retries("P0003", one, 2, 0, 10), "an empty entry stands for nothing");
}

static void
test_form(void)
{
	ok(rf_task_is_sqlstate("40001") && rf_task_is_sqlstate("P0") && rf_task_is_sqlstate("XX"), "states and classes");
	ok(!rf_task_is_sqlstate("") && !rf_task_is_sqlstate("4") && !rf_task_is_sqlstate("400") && !rf_task_is_sqlstate("400011"),
	   "have five or two characters");
	ok(!rf_task_is_sqlstate("p0") && !rf_task_is_sqlstate("4 001") && !rf_task_is_sqlstate("*1"),
	   "of digits and capital letters");
}

int
main(void)
{
	test_retries();
	test_exact();
	test_form();
	return done_testing();
}

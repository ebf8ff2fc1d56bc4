/* What pays is watched for each time, what does not once in a while. */
#include "core/watch.h"
#include "tap.h"

static int
count_watched(RfWatch *watch, int waits, bool came)
{
	int			watched = 0;

	for (int i = 0; i < waits; i++)
	{
		if (!rf_watch_wants(watch))
			continue;
		watched++;
		rf_watch_learn(watch, came);
	}
	return watched;
}

int
main(void)
{
	RfWatch		watch = {0};

	is_int(count_watched(&watch, 1000, true), 1000, "while it comes every wait is watched");
	is_int(count_watched(&watch, RF_WATCH_IN_VAIN, false), RF_WATCH_IN_VAIN, "it is hoped for some times more when it does not");
	is_int(count_watched(&watch, RF_WATCH_SELDOM - 1, false), 0, "then it is given up");
	is_int(count_watched(&watch, 1, false), 1, "and tried once in a while");
	is_int(count_watched(&watch, 100 * RF_WATCH_SELDOM, false), 100, "in vain: once in a while for ever");
	is_int(count_watched(&watch, RF_WATCH_SELDOM, true), 1, "when it comes again it is noticed");
	is_int(count_watched(&watch, 10, true), 10, "and watched for each time from then on");
	is_int(count_watched(&watch, RF_WATCH_IN_VAIN - 1, false), RF_WATCH_IN_VAIN - 1, "nearly given up");
	is_int(count_watched(&watch, 1, true), 1, "it came:");
	is_int(count_watched(&watch, RF_WATCH_IN_VAIN, false), RF_WATCH_IN_VAIN, "one success is hope for as many times as at first");

	ok(rf_watch_has_cores(1, 2) && !rf_watch_has_cores(2, 2), "of two cores one is for whoever watches");
	ok(rf_watch_has_cores(4, 8) && !rf_watch_has_cores(5, 8), "of eight four are");
	ok(!rf_watch_has_cores(1, 1), "a single one is for those who work");
	return done_testing();
}

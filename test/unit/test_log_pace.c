/* So many lines a minute, and none of the others is forgotten. */
#include "core/log_pace.h"
#include "tap.h"

#define SECOND INT64_C(1000000)

int
main(void)
{
	RfLogPace	pace = {0};
	int64_t		now = 5 * SECOND;
	int			lines = 0;

	is_int((int64_t) rf_log_pace_withheld(&pace, now), 0, "nothing was withheld before the first line");
	for (int i = 0; i < 100; i++)
		lines += rf_log_pace_admit(&pace, now + i * SECOND / 10, 10) ? 1 : 0;
	is_int(lines, 10, "ten lines of a hundred");
	is_int((int64_t) rf_log_pace_withheld(&pace, now + 59 * SECOND), 0, "of the others nothing is said before the minute is over");
	is_int((int64_t) rf_log_pace_withheld(&pace, now + 60 * SECOND), 90, "then how many there were");
	is_int((int64_t) rf_log_pace_withheld(&pace, now + 61 * SECOND), 0, "once");
	ok(rf_log_pace_admit(&pace, now + 61 * SECOND, 10), "and lines are written again");
	ok(!rf_log_pace_admit(&pace, now + 61 * SECOND, 1), "as many as may be");
	return done_testing();
}

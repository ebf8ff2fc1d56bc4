/* Rate windows that a provider announces. */
#include <stdlib.h>

#include "codec/rate_headers.h"
#include "tap.h"

/* Header lines, NULL at the end; the windows as one line of text. */
static void
is_windows(const char *const *lines, const char *expected, const char *what)
{
	RfResponse	response = {0};
	RfRateSeen	windows[RF_RATE_WINDOWS_MAX];
	char		got[400] = "";
	size_t		count;

	memset(windows, 'x', sizeof(windows));
	for (; *lines != NULL; lines++)
		rf_response_add_header(&response, *lines, strlen(*lines));
	count = rf_rate_headers_read(&response, windows);
	for (size_t i = 0; i < count; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%lld:%s%lld/%lld/%lld",
				 i > 0 ? " " : "", (long long) windows[i].window_s,
				 windows[i].unlimited ? "unlimited " : "",
				 (long long) windows[i].limit, (long long) windows[i].used,
				 (long long) windows[i].left);
	is_text(got, expected, what);
	rf_response_free(&response);
}

static void
test_headers(void)
{
	const char *const all[] = {
		"x-rate-limit-24-hour: 6000", "X-Rate-Limit-Minute: 200",
		"x-rate-limit-hourly: 400", "x-minute-usage: 1", "x-hourly-usage: 2",
		"x-24-hour-usage: 3", "x-minute-requests-left: 199",
		"x-hourly-requests-left: 398", "x-24-hour-requests-left: 5997", NULL
	};
	const char *const old[] = {
		"x-rate-limit-daily: 600", "x-daily-usage: 600", "x-daily-requests-left: 0", NULL
	};
	const char *const both[] = {
		"x-rate-limit-daily: 600", "x-rate-limit-24-hour: 700", NULL
	};
	const char *const unlimited[] = {
		"x-rate-limit-minute:", "x-minute-usage: 4", "x-minute-requests-left: ", NULL
	};
	const char *const odd[] = {
		"x-rate-limit-minute: many", "x-rate-limit-hourly: -1",
		"x-rate-limit-24-hour: 99999999999999999999", NULL
	};
	const char *const left[] = {"x-hourly-requests-left: 0", NULL};
	const char *const others[] = {"X-RateLimit-Limit: 7", "x-rate-limit: 8", NULL};

	is_windows(all, "60:200/1/199 3600:400/2/398 86400:6000/3/5997", "three windows, the shortest first");
	is_windows(old, "86400:600/600/0", "the older spelling of a day");
	is_windows(both, "86400:700/-1/-1", "of two spellings the newer one");
	is_windows(unlimited, "60:unlimited -1/4/-1", "an empty value means no limit");
	is_windows(odd, "60:-1/-1/-1 3600:-1/-1/-1 86400:2147483647/-1/-1", "what is no number is not said");
	is_windows(left, "3600:-1/-1/0", "one header is enough");
	is_windows(others, "", "other headers are not these");
}

static void
test_message(void)
{
	RfRateSeen	window;
	const char *text = "calls allowed for api/v1/people/match is 600 times per hour. Please";

	ok(rf_rate_message_parse(text, strlen(text), &window) && window.window_s == 3600 &&
	   window.limit == 600 && window.used == -1 && window.left == -1 && !window.unlimited,
	   "the words of a refusal");
	text = "is 7 times per minute";
	ok(rf_rate_message_parse(text, strlen(text), &window) && window.window_s == 60 && window.limit == 7,
	   "a minute at the very end");
	text = "50 times per day";
	ok(rf_rate_message_parse(text, strlen(text), &window) && window.window_s == 86400 && window.limit == 50,
	   "a day at the very beginning");
	ok(!rf_rate_message_parse(text, strlen(text) - 1, &window), "a unit that was cut is none");
	text = "many times per hour";
	ok(!rf_rate_message_parse(text, strlen(text), &window), "no number, no limit");
	text = "9 times per fortnight";
	ok(!rf_rate_message_parse(text, strlen(text), &window), "nor with another unit");
	ok(!rf_rate_message_parse("", 0, &window), "nor in nothing");
}

int
main(void)
{
	test_headers();
	test_message();
	return done_testing();
}

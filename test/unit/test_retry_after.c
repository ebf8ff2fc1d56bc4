/* When may we come again: each form, each refusal, every saturation. */
#include "codec/retry_after.h"
#include "tap.h"

#define NOW INT64_C(784111777)	/* Sun, 06 Nov 1994 08:49:37 GMT */
#define NOT_UNDERSTOOD INT64_C(-1)

static int64_t
retry_after(const char *value)
{
	int64_t		delay_s;

	return rf_retry_after_parse(value, NOW, &delay_s) ? delay_s : NOT_UNDERSTOOD;
}

static int64_t
rate_reset(const char *value, int64_t now_s)
{
	int64_t		delay_s;

	return rf_rate_reset_parse(value, now_s, &delay_s) ? delay_s : NOT_UNDERSTOOD;
}

static int64_t
try_again(const char *text)
{
	int64_t		delay_s;

	return rf_try_again_parse(text, strlen(text), &delay_s) ? delay_s :
		NOT_UNDERSTOOD;
}

static void
test_retry_after(void)
{
	static const char *const garbage[] = {
		"", " ", "-5", "+5", "5s", "5 5", "1.5", "0x10", "soon",
		"Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Xxx, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Xxx 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 29 Feb 1995 08:49:37 GMT",
		"Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Sun, 06 Nov 1994 08:49:37 GMT!", "Sun, 06 Nov -994 08:49:37 GMT",
	};

	is_int(retry_after("0"), 0, "zero seconds");
	is_int(retry_after("120"), 120, "delta seconds");
	is_int(retry_after(" 120\t"), 120, "surrounding white space");
	is_int(retry_after("00000000000000000000007"), 7, "leading zeros");
	is_int(retry_after("2147483647"), INT32_MAX, "the largest delay");
	is_int(retry_after("2147483648"), INT32_MAX, "one more saturates");
	is_int(retry_after("99999999999999999999999999"), INT32_MAX, "many digits saturate");

	is_int(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), 0, "a date that is now");
	is_int(retry_after("Sun, 06 Nov 1994 08:51:37 GMT"), 120, "a date to come");
	is_int(retry_after("Sat, 05 Nov 1994 08:49:37 GMT"), 0, "a date that has passed is now");
	is_int(retry_after("Thu, 01 Jan 1970 00:00:00 GMT"), 0, "the epoch");
	is_int(retry_after("Sat, 01 Jan 0000 00:00:00 GMT"), 0, "year zero");
	is_int(retry_after("Fri, 31 Dec 9999 23:59:59 GMT"), INT32_MAX, "the last date saturates");
	is_int(retry_after("Mon, 07 Nov 1994 08:49:37 GMT"), 86400, "a day is a day");

	is_int(retry_after(NULL), NOT_UNDERSTOOD, "no header is not understood");
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
		ok(retry_after(garbage[i]) == NOT_UNDERSTOOD, "not understood: \"%s\"", garbage[i]);
}

/* Well-known dates, against the clock's zero. */
static void
test_dates(void)
{
	int64_t		delay_s;

	rf_retry_after_parse("Tue, 29 Feb 2000 12:00:00 GMT", 951825600 - 60, &delay_s);
	is_int(delay_s, 60, "29 February 2000");
	rf_retry_after_parse("Wed, 01 Mar 2000 00:00:00 GMT", 951868800 - 60, &delay_s);
	is_int(delay_s, 60, "1 March 2000");
	rf_retry_after_parse("Thu, 31 Dec 2026 23:59:60 GMT", 1798761600 - 60, &delay_s);
	is_int(delay_s, 60, "a leap second is the next day's first");
	rf_retry_after_parse("Mon, 01 Jan 2024 00:00:00 GMT", INT64_MIN, &delay_s);
	is_int(delay_s, INT32_MAX, "a clock at its minimum does not overflow");
	rf_retry_after_parse("Mon, 01 Jan 2024 00:00:00 GMT", INT64_MAX, &delay_s);
	is_int(delay_s, 0, "a clock at its maximum does not either");
}

static void
test_rate_reset(void)
{
	static const char *const garbage[] = {
		"", "-1", "+1", "1.", ".5", "1.5.5", "1e9", "1,5", "soon", "1 5", "inf", "nan",
	};

	is_int(rate_reset("1700000060", 1700000000), 60, "epoch seconds");
	is_int(rate_reset("1700000060.000", 1700000000), 60, "a fraction of nothing");
	is_int(rate_reset("1700000060.123", 1700000000), 61, "a fraction is rounded up");
	is_int(rate_reset("1699999999.9", 1700000000), 0, "rounded up to now");
	is_int(rate_reset("60", 1700000000), 0, "a past time is now");
	is_int(rate_reset("99999999999999999999999999.9", 1700000000), INT32_MAX, "too far saturates");
	is_int(rate_reset("5", INT64_MIN), INT32_MAX, "a clock at its minimum does not overflow");
	is_int(rate_reset(NULL, 0), NOT_UNDERSTOOD, "no header is not understood");
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
		ok(rate_reset(garbage[i], 0) == NOT_UNDERSTOOD, "not understood: \"%s\"", garbage[i]);
}

static void
test_try_again(void)
{
	is_int(try_again("limit exceeded, try again after 120 seconds"), 120, "seconds");
	is_int(try_again("TRY AGAIN AFTER 1 Second."), 1, "in any case");
	is_int(try_again("please try again in 5 minutes"), 300, "minutes");
	is_int(try_again("try again in 2 hours"), 7200, "hours");
	is_int(try_again("try again after lunch; try again after 7 seconds"), 7,
		   "the first that is understood");
	is_int(try_again("try again after 99999999999999999999 seconds"), INT32_MAX, "many digits saturate");
	is_int(try_again("try again after 2147483647 hours"), INT32_MAX, "units do not overflow");
	is_int(try_again("try again after -5 seconds"), NOT_UNDERSTOOD, "a negative wait");
	is_int(try_again("try again after 120"), NOT_UNDERSTOOD, "a wait without a unit");
	is_int(try_again("try again after 120 parsecs"), NOT_UNDERSTOOD, "a wait of another unit");
	is_int(try_again("try again after "), NOT_UNDERSTOOD, "a text that ends too early");
	is_int(try_again("try again later"), NOT_UNDERSTOOD, "no wait at all");
	is_int(try_again(""), NOT_UNDERSTOOD, "no text");
}

int
main(void)
{
	test_retry_after();
	test_dates();
	test_rate_reset();
	test_try_again();
	return done_testing();
}

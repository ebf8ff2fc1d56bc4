/*-------------------------------------------------------------------------
 *
 * retry_after.c
 *	  Reading when a provider will have us back.
 *
 * Strict about form, because what is not understood must not become "now";
 * forgiving about size: whatever is too large saturates.  No locale, no libc
 * time functions.
 *
 * IDENTIFICATION
 *	  src/codec/retry_after.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "codec/text.h"

#include "codec/retry_after.h"

/* Length of "Sun, 06 Nov 1994 08:49:37 GMT". */
#define IMF_DATE_LEN 29

static bool is_digit(char c);
static size_t read_number(const char *text, size_t len, int64_t *value);
static void trim_spaces(const char **text, size_t *len);
static int64_t delay_until(int64_t at_s, int64_t now_s);
static bool parse_imf_date(const char *text, size_t len, int64_t *at_s);
static int	find_name(const char *names, const char *text);
static bool read_two_digits(const char *text, int *value);
static int	days_in_month(int month, int year);
static int64_t days_since_epoch(int year, int month, int day);
static bool parse_wait(const char *text, size_t len, int64_t *delay_s);
static int64_t unit_seconds(const char *text, size_t len);

bool
rf_retry_after_parse(const char *value, int64_t now_s, int64_t *delay_s)
{
	size_t		len;
	int64_t		number;

	if (value == NULL)
		return false;
	len = strlen(value);
	trim_spaces(&value, &len);

	if (len > 0 && read_number(value, len, &number) == len)
	{
		*delay_s = number;
		return true;
	}
	if (!parse_imf_date(value, len, &number))
		return false;
	*delay_s = delay_until(number, now_s);
	return true;
}

bool
rf_rate_reset_parse(const char *value, int64_t now_s, int64_t *delay_s)
{
	size_t		len;
	size_t		used;
	int64_t		at_s;
	bool		fraction = false;

	if (value == NULL)
		return false;
	len = strlen(value);
	trim_spaces(&value, &len);

	/* The epoch passes what fits 32 bits in 2038: read with room to spare. */
	used = 0;
	at_s = 0;
	for (; used < len && is_digit(value[used]); used++)
	{
		if (at_s < INT64_C(1000000000000000))
			at_s = at_s * 10 + (value[used] - '0');
	}
	if (used == 0)
		return false;
	if (used < len)
	{
		if (value[used] != '.' || used + 1 == len)
			return false;
		for (used++; used < len; used++)
		{
			if (!is_digit(value[used]))
				return false;
			fraction |= value[used] != '0';
		}
	}
	*delay_s = delay_until(fraction ? at_s + 1 : at_s, now_s);
	return true;
}

bool
rf_try_again_parse(const char *text, size_t len, int64_t *delay_s)
{
	static const char *const phrases[] = {"try again after ", "try again in "};

	for (size_t at = 0; at < len; at++)
	{
		if (text[at] != 't' && text[at] != 'T')
			continue;
		for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		{
			size_t		phrase_len = strlen(phrases[i]);

			if (len - at > phrase_len &&
				rf_text_same_nocase(text + at, phrases[i], phrase_len) &&
				parse_wait(text + at + phrase_len, len - at - phrase_len,
						   delay_s))
				return true;
		}
	}
	return false;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Leading digits, saturated at INT32_MAX; how many there were. */
static size_t
read_number(const char *text, size_t len, int64_t *value)
{
	int64_t		result = 0;
	size_t		used = 0;

	for (; used < len && is_digit(text[used]); used++)
	{
		result = result * 10 + (text[used] - '0');
		if (result > INT32_MAX)
			result = INT32_MAX;
	}
	*value = result;
	return used;
}

static void
trim_spaces(const char **text, size_t *len)
{
	while (*len > 0 && (**text == ' ' || **text == '\t'))
	{
		(*text)++;
		(*len)--;
	}
	while (*len > 0 && ((*text)[*len - 1] == ' ' || (*text)[*len - 1] == '\t'))
		(*len)--;
}

static int64_t
delay_until(int64_t at_s, int64_t now_s)
{
	int64_t		delay;

	if (at_s <= now_s)
		return 0;
	if (__builtin_sub_overflow(at_s, now_s, &delay) || delay > INT32_MAX)
		return INT32_MAX;
	return delay;
}

/* The one date form that HTTP lets a sender use: fixed width, always GMT. */
static bool
parse_imf_date(const char *text, size_t len, int64_t *at_s)
{
	int			day;
	int			month;
	int			century;
	int			year;
	int			hour;
	int			minute;
	int			second;

	if (len != IMF_DATE_LEN ||
		find_name("SunMonTueWedThuFriSat", text) < 0 ||
		text[3] != ',' || text[4] != ' ' || text[7] != ' ' ||
		text[11] != ' ' || text[16] != ' ' || text[19] != ':' ||
		text[22] != ':' || memcmp(text + 25, " GMT", 4) != 0)
		return false;

	month = find_name("JanFebMarAprMayJunJulAugSepOctNovDec", text + 8) + 1;
	if (month < 1 ||
		!read_two_digits(text + 5, &day) ||
		!read_two_digits(text + 12, &century) ||
		!read_two_digits(text + 14, &year) ||
		!read_two_digits(text + 17, &hour) ||
		!read_two_digits(text + 20, &minute) ||
		!read_two_digits(text + 23, &second))
		return false;
	year += century * 100;
	if (day < 1 || day > days_in_month(month, year) ||
		hour > 23 || minute > 59 || second > 60)
		return false;

	*at_s = days_since_epoch(year, month, day) * 86400 +
		hour * 3600 + minute * 60 + second;
	return true;
}

/* Index of a three-letter name in a row of such names, or -1. */
static int
find_name(const char *names, const char *text)
{
	for (int i = 0; names[i * 3] != '\0'; i++)
	{
		if (memcmp(names + i * 3, text, 3) == 0)
			return i;
	}
	return -1;
}

static bool
read_two_digits(const char *text, int *value)
{
	if (!is_digit(text[0]) || !is_digit(text[1]))
		return false;
	*value = (text[0] - '0') * 10 + (text[1] - '0');
	return true;
}

static int
days_in_month(int month, int year)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/*
 * Days from 1970-01-01 in the Gregorian calendar.  The year is taken to begin
 * in March, so that the leap day is its last.
 */
static int64_t
days_since_epoch(int year, int month, int day)
{
	int64_t		shifted_year = month > 2 ? year : year - 1;
	int64_t		shifted_month = month > 2 ? month - 3 : month + 9;
	int64_t		leap_days;

	if (shifted_year < 0)
		return -719528;			/* year 0: long past whatever the day is */
	leap_days = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
	return shifted_year * 365 + leap_days +
		(shifted_month * 153 + 2) / 5 + day - 1 - 719468;
}

/* "120 seconds" */
static bool
parse_wait(const char *text, size_t len, int64_t *delay_s)
{
	int64_t		number;
	int64_t		unit;
	size_t		used = read_number(text, len, &number);

	if (used == 0 || used == len || text[used] != ' ')
		return false;
	unit = unit_seconds(text + used + 1, len - used - 1);
	if (unit == 0)
		return false;
	*delay_s = number > INT32_MAX / unit ? INT32_MAX : number * unit;
	return true;
}

static int64_t
unit_seconds(const char *text, size_t len)
{
	if (len >= 3 && rf_text_same_nocase(text, "sec", 3))
		return 1;
	if (len >= 3 && rf_text_same_nocase(text, "min", 3))
		return 60;
	if (len >= 4 && rf_text_same_nocase(text, "hour", 4))
		return 3600;
	return 0;
}

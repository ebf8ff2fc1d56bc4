/*-------------------------------------------------------------------------
 *
 * rate_headers.c
 *	  What a provider says about its rate windows.
 *
 * An empty value means that the window has no limit; that is why the value's
 * presence and its number are told apart everywhere.
 *
 * IDENTIFICATION
 *	  src/codec/rate_headers.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "codec/text.h"

#include "codec/rate_headers.h"

/* The headers that speak of one window. */
typedef struct WindowNames
{
	const char *limit;
	const char *used;
	const char *left;
} WindowNames;

#define NAMES_WITH(window) \
	{"x-rate-limit-" window, "x-" window "-usage", "x-" window "-requests-left"}

/* As they are spelled, and as they were. */
static const struct
{
	int64_t		window_s;
	WindowNames now;
	WindowNames before;			/* NULL: there were no others */
}			window_names[RF_RATE_WINDOWS_MAX] = {
	{60, NAMES_WITH("minute"), {NULL, NULL, NULL}},
	{3600, NAMES_WITH("hourly"), {NULL, NULL, NULL}},
	{86400, NAMES_WITH("24-hour"), NAMES_WITH("daily")}
};

static bool read_window(const RfResponse *response, const WindowNames *names,
						RfRateSeen *window);
static int64_t parse_count(const char *text, size_t len);

size_t
rf_rate_headers_read(const RfResponse *response,
					 RfRateSeen windows[RF_RATE_WINDOWS_MAX])
{
	size_t		count = 0;

	for (size_t i = 0; i < RF_RATE_WINDOWS_MAX; i++)
	{
		RfRateSeen *window = &windows[count];

		if (!read_window(response, &window_names[i].now, window) &&
			(window_names[i].before.limit == NULL ||
			 !read_window(response, &window_names[i].before, window)))
			continue;
		window->window_s = window_names[i].window_s;
		count++;
	}
	return count;
}

bool
rf_rate_message_parse(const char *text, size_t len, RfRateSeen *window)
{
	static const char mark[] = " times per ";
	static const struct
	{
		const char *word;
		int64_t		window_s;
	}			units[] = {{"minute", 60}, {"hour", 3600}, {"day", 86400}};
	const char *at = len > 0 ? memmem(text, len, mark, sizeof(mark) - 1) : NULL;
	const char *unit;
	size_t		digits = 0;

	if (at == NULL)
		return false;
	while (at - digits > text && at[-1 - (ptrdiff_t) digits] >= '0' &&
		   at[-1 - (ptrdiff_t) digits] <= '9')
		digits++;
	unit = at + sizeof(mark) - 1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
	{
		size_t		word_len = strlen(units[i].word);

		if (digits == 0 || (size_t) (text + len - unit) < word_len ||
			memcmp(unit, units[i].word, word_len) != 0)
			continue;
		window->window_s = units[i].window_s;
		window->unlimited = false;
		window->limit = parse_count(at - digits, digits);
		window->used = -1;
		window->left = -1;
		return true;
	}
	return false;
}

/* False: no header speaks of this window. */
static bool
read_window(const RfResponse *response, const WindowNames *names, RfRateSeen *window)
{
	const char *limit = rf_response_header(response, names->limit);
	const char *used = rf_response_header(response, names->used);
	const char *left = rf_response_header(response, names->left);

	if (limit == NULL && used == NULL && left == NULL)
		return false;
	window->unlimited = limit != NULL && limit[0] == '\0';
	window->limit = limit != NULL ? parse_count(limit, strlen(limit)) : -1;
	window->used = used != NULL ? parse_count(used, strlen(used)) : -1;
	window->left = left != NULL ? parse_count(left, strlen(left)) : -1;
	return true;
}

/* Digits and nothing else, or -1. */
static int64_t
parse_count(const char *text, size_t len)
{
	int64_t		count = 0;

	if (len == 0)
		return -1;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return -1;
		count = count * 10 + (text[i] - '0');
		if (count > INT32_MAX)
			count = INT32_MAX;
	}
	return count;
}

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
#include <stdio.h>
#include <string.h>

#include "codec/text.h"

#include "codec/rate_headers.h"

/* Spellings of one window in the names of headers. */
typedef struct WindowName
{
	int64_t		window_s;
	const char *now;
	const char *before;			/* NULL: there was no other */
} WindowName;

static const WindowName window_names[RF_RATE_WINDOWS_MAX] = {
	{60, "minute", NULL},
	{3600, "hourly", NULL},
	{86400, "24-hour", "daily"}
};

static bool read_window(const RfResponse *response, const char *name,
						RfRateSeen *window);
static bool read_header(const RfResponse *response, const char *format,
						const char *name, const char **value);
static int64_t parse_count(const char *text, size_t len);

size_t
rf_rate_headers_read(const RfResponse *response,
					 RfRateSeen windows[RF_RATE_WINDOWS_MAX])
{
	size_t		count = 0;

	for (size_t i = 0; i < RF_RATE_WINDOWS_MAX; i++)
	{
		const WindowName *names = &window_names[i];
		RfRateSeen *window = &windows[count];

		if (!read_window(response, names->now, window) &&
			(names->before == NULL ||
			 !read_window(response, names->before, window)))
			continue;
		window->window_s = names->window_s;
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
read_window(const RfResponse *response, const char *name, RfRateSeen *window)
{
	const char *limit;
	const char *used;
	const char *left;
	bool		found;

	found = read_header(response, "x-rate-limit-%s", name, &limit);
	found |= read_header(response, "x-%s-usage", name, &used);
	found |= read_header(response, "x-%s-requests-left", name, &left);
	if (!found)
		return false;
	window->unlimited = limit != NULL && limit[0] == '\0';
	window->limit = limit != NULL ? parse_count(limit, strlen(limit)) : -1;
	window->used = used != NULL ? parse_count(used, strlen(used)) : -1;
	window->left = left != NULL ? parse_count(left, strlen(left)) : -1;
	return true;
}

/* *value is NULL when there is no such header. */
static bool
read_header(const RfResponse *response, const char *format, const char *name,
			const char **value)
{
	char		header[64];
	size_t		prefix_len = strcspn(format, "%");

	snprintf(header, sizeof(header), "%.*s%s%s", (int) prefix_len, format,
			 name, format + prefix_len + 2);
	*value = rf_response_header(response, header);
	return *value != NULL;
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

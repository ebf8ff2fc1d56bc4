/*-------------------------------------------------------------------------
 *
 * dogstatsd.c
 *	  Metrics as DogStatsD datagrams.
 *
 * IDENTIFICATION
 *	  src/core/dogstatsd.c
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "core/dogstatsd.h"

#define VALUE_MAX	24			/* bytes of ":-9223372036854775.808" */
#define PORT_MAX	65535

static void add_line(RfStatsd *statsd, const char *name, const char *values,
					 char type, const RfStatsdTags *tags);
static size_t tail_len(const RfStatsd *statsd, const RfStatsdTags *tags);
static bool is_letter(char c);
static char clean(char c);
static bool parse_address(const char *text, RfStatsdTarget *target);

void
rf_statsd_init(RfStatsd *statsd, size_t max, RfStatsdSend send, void *context)
{
	statsd->send = send;
	statsd->context = context;
	statsd->max = max < sizeof(statsd->data) ? max : sizeof(statsd->data);
	statsd->common[0] = '\0';
	statsd->len = 0;
}

void
rf_statsd_tag(RfStatsdTags *tags, const char *key, const char *value)
{
	char		tag[RF_STATSD_TAG_MAX + 1];
	size_t		used = strlen(tags->text);
	int			len = snprintf(tag, sizeof(tag), "%s:%s", key, value);

	if (len < 0 || value[0] == '\0' || !is_letter(key[0]))
		return;
	if (used + strlen(tag) + 2 > sizeof(tags->text))
		return;
	if (used > 0)
		tags->text[used++] = ',';
	for (const char *c = tag; *c != '\0'; c++)
		tags->text[used++] = clean(*c);
	tags->text[used] = '\0';
}

void
rf_statsd_tag_list(RfStatsdTags *tags, const char *list)
{
	while (*list != '\0')
	{
		char		pair[RF_STATSD_TAG_MAX + 1];
		size_t		len = strcspn(list, ",");
		char	   *colon;
		size_t		kept;

		while (len > 0 && *list == ' ')
		{
			list++;
			len--;
		}
		kept = len < sizeof(pair) - 1 ? len : sizeof(pair) - 1;
		memcpy(pair, list, kept);
		pair[kept] = '\0';
		colon = strchr(pair, ':');
		if (colon != NULL)
		{
			*colon = '\0';
			rf_statsd_tag(tags, pair, colon + 1);
		}
		list += len + (list[len] == ',' ? 1 : 0);
	}
}

void
rf_statsd_count(RfStatsd *statsd, const char *name, int64_t n,
				const RfStatsdTags *tags)
{
	char		value[VALUE_MAX];

	(void) snprintf(value, sizeof(value), ":%lld", (long long) n);
	add_line(statsd, name, value, 'c', tags);
}

void
rf_statsd_gauge(RfStatsd *statsd, const char *name, int64_t value,
				const RfStatsdTags *tags)
{
	char		text[VALUE_MAX];

	(void) snprintf(text, sizeof(text), ":%lld", (long long) value);
	add_line(statsd, name, text, 'g', tags);
}

/* As many values to a line as fit. */
void
rf_statsd_durations(RfStatsd *statsd, const char *name, const int64_t *us,
					size_t n, const RfStatsdTags *tags)
{
	char		values[RF_STATSD_UDP_MAX];
	size_t		fixed = strlen(name) + tail_len(statsd, tags);
	size_t		room = fixed + VALUE_MAX < sizeof(values) ? sizeof(values) - fixed : VALUE_MAX;
	size_t		len = 0;

	for (size_t i = 0; i < n; i++)
	{
		int64_t		value = us[i] > 0 ? us[i] : 0;

		if (len + VALUE_MAX > room)
		{
			add_line(statsd, name, values, 'h', tags);
			len = 0;
		}
		len += (size_t) snprintf(values + len, sizeof(values) - len, ":%lld.%03d",
								 (long long) (value / 1000), (int) (value % 1000));
	}
	if (len > 0)
		add_line(statsd, name, values, 'h', tags);
}

void
rf_statsd_flush(RfStatsd *statsd)
{
	if (statsd->len > 0)
		statsd->send(statsd->context, statsd->data, statsd->len);
	statsd->len = 0;
}

bool
rf_statsd_target_parse(const char *text, RfStatsdTarget *target)
{
	bool		unix_path = strncmp(text, "unix://", 7) == 0;
	bool		udp = strncmp(text, "udp://", 6) == 0;

	memset(target, 0, sizeof(*target));
	if (text[0] == '\0')
		return true;
	text += unix_path ? 7 : udp ? 6 : 0;
	if (!udp && text[0] == '/')
	{
		if (strlen(text) >= sizeof(target->path))
			return false;
		target->transport = RF_STATSD_UNIX;
		memcpy(target->path, text, strlen(text) + 1);
		return true;
	}
	return !unix_path && parse_address(text, target);
}

/* A line that does not fit what is there begins a datagram; one that never fits is left out. */
static void
add_line(RfStatsd *statsd, const char *name, const char *values, char type,
		 const RfStatsdTags *tags)
{
	const char *own = tags != NULL ? tags->text : "";
	size_t		size = strlen(name) + strlen(values) + tail_len(statsd, tags);
	int			len;

	if (size > statsd->max)
		return;
	if (statsd->len > 0 && statsd->len + 1 + size > statsd->max)
		rf_statsd_flush(statsd);
	if (statsd->len > 0)
		statsd->data[statsd->len++] = '\n';
	len = snprintf(statsd->data + statsd->len, sizeof(statsd->data) - statsd->len,
				   "%s%s|%c%s%s%s%s", name, values, type,
				   own[0] != '\0' || statsd->common[0] != '\0' ? "|#" : "",
				   own, own[0] != '\0' && statsd->common[0] != '\0' ? "," : "",
				   statsd->common);
	statsd->len += (size_t) len;
}

/* Bytes after the values, and one for snprintf's end. */
static size_t
tail_len(const RfStatsd *statsd, const RfStatsdTags *tags)
{
	return sizeof("|c|#,") + strlen(statsd->common) + (tags != NULL ? strlen(tags->text) : 0);
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char
clean(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char) (c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("_-:./", c) != NULL))
		return c;
	return '_';
}

static bool
parse_address(const char *text, RfStatsdTarget *target)
{
	unsigned char address[16];
	const char *colon = strrchr(text, ':');
	size_t		len = colon != NULL ? (size_t) (colon - text) : 0;
	long		port = 0;

	if (len == 0 || colon[1] == '\0')
		return false;
	for (const char *c = colon + 1; *c != '\0'; c++)
	{
		if (*c < '0' || *c > '9')
			return false;
		port = port * 10 + (*c - '0');
		if (port > PORT_MAX)
			return false;
	}
	target->v6 = text[0] == '[';
	if (target->v6)
	{
		if (len < 2 || text[len - 1] != ']')
			return false;
		text++;
		len -= 2;
	}
	if (len >= sizeof(target->host) || port == 0)
		return false;
	memcpy(target->host, text, len);
	target->host[len] = '\0';
	target->port = (uint16_t) port;
	target->transport = RF_STATSD_UDP;
	return inet_pton(target->v6 ? AF_INET6 : AF_INET, target->host, address) == 1;
}

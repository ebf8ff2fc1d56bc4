/*-------------------------------------------------------------------------
 *
 * host.c
 *	  What the engine knows about each host it has been asked for.
 *
 * A host is fresh for RF_HOST_FRESH_S after one of its transfers really asked
 * the resolver and got an address.  Then any number may start.  Otherwise as
 * many may start as there are kept-alive connections, which need no address,
 * and one more that finds out: the probe.  A probe is told to keep addresses
 * only RF_HOST_FRESH_S, so the one that needs a connection does resolve.
 *
 * Counting kept-alive connections is guesswork (the peer may have closed them),
 * and that is enough: too many resolvers are refused in any case.
 *
 * IDENTIFICATION
 *	  src/http/host.c
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "http/host.h"

#define SECURE_PORT		443
#define INSECURE_PORT	80

static bool parse_authority(const char *text, size_t len, RfHostName *name);
static bool is_unusual(char c);
static bool parse_port(const char *text, size_t len, unsigned *port);
static bool copy_name(const char *text, size_t len, RfHostName *name);
static bool is_same(const RfHostName *a, const RfHostName *b);
static int	count_threads(void);
static RfHost **find_place(RfHostTable *table);

bool
rf_host_parse(const char *url, RfHostName *name)
{
	const char *authority;

	memset(name, 0, sizeof(*name));
	if (url == NULL)
		return false;
	if (strncasecmp(url, "https://", 8) == 0)
	{
		name->secure = true;
		name->port = SECURE_PORT;
		authority = url + 8;
	}
	else if (strncasecmp(url, "http://", 7) == 0)
	{
		name->port = INSECURE_PORT;
		authority = url + 7;
	}
	else
		return false;
	return parse_authority(authority, strcspn(authority, "/?#"), name);
}

bool
rf_host_parse_proxy(const char *proxy, RfHostName *name)
{
	const char *scheme_end = strstr(proxy, "://");
	const char *authority = scheme_end != NULL ? scheme_end + 3 : proxy;
	size_t		len = strcspn(authority, "/?#");
	const char *at = memrchr(authority, '@', len);

	memset(name, 0, sizeof(*name));
	if (at != NULL)
	{
		len -= (size_t) (at + 1 - authority);
		authority = at + 1;
	}
	return parse_authority(authority, len, name);
}

bool
rf_host_is_listed(const RfHostName *name, const char *list)
{
	while (*list != '\0')
	{
		size_t		len;
		RfHostName	item;

		list += strspn(list, " \t\r\n,");
		len = strcspn(list, " \t\r\n,");
		memset(&item, 0, sizeof(item));
		if (len > 0 && parse_authority(list, len, &item) &&
			strcmp(item.name, name->name) == 0 &&
			(item.port == 0 || item.port == name->port))
			return true;
		list += len;
	}
	return false;
}

RfHost *
rf_host_find(RfHostTable *table, const RfHostName *name, int64_t now_us)
{
	RfHost	  **place;

	for (size_t i = 0; i < table->nhosts; i++)
	{
		if (is_same(&table->hosts[i]->name, name))
		{
			table->hosts[i]->used_us = now_us;
			return table->hosts[i];
		}
	}

	place = find_place(table);
	if (place == NULL)
		return NULL;
	memset(*place, 0, sizeof(**place));
	(*place)->name = *name;
	(*place)->used_us = now_us;
	return *place;
}

int
rf_host_capacity(const RfHostTable *table, const RfHost *host, int64_t now_us)
{
	int			idle;
	int			most;

	if (now_us < host->fresh_until_us)
		return INT_MAX;
	idle = now_us < host->idle_until_us ? host->idle : 0;
	most = host->failing ? RF_HOST_FEW_RESOLVERS : RF_HOST_MAX_RESOLVERS;
	if (host->probes > 0 || rf_host_resolvers(table, now_us) >= most)
		return idle;
	return idle + 1;
}

/*
 * Those that linger are guessed, because libcurl does not say when they end,
 * and counted: the process has no other threads.  Newer versions of libcurl
 * have a pool of them, in which some are idle; they bound it, as they are told.
 */
int
rf_host_resolvers(const RfHostTable *table, int64_t now_us)
{
	int			count = table->resolving;
	int			threads = table->count_threads ? count_threads() : 0;

	for (size_t i = 0; i < RF_HOST_MAX_RESOLVERS && i < table->ngiven_up; i++)
	{
		if (now_us - table->given_up_us[i] < RF_HOST_LINGER_US)
			count++;
	}
	return count > threads ? count : threads;
}

/* Beside this one; 0 where /proc does not tell. */
static int
count_threads(void)
{
	struct stat st;

	if (stat("/proc/self/task", &st) != 0 || st.st_nlink < 3)
		return 0;
	return (int) st.st_nlink - 3;	/* "." and ".." are links, too */
}

void
rf_host_note_given_up(RfHostTable *table, int64_t now_us)
{
	table->given_up_us[table->ngiven_up++ % RF_HOST_MAX_RESOLVERS] = now_us;
}

void
rf_host_note_idle(RfHost *host, int reuse_max_idle_s, int64_t now_us)
{
	if (now_us >= host->idle_until_us)
		host->idle = 0;
	host->idle++;
	host->idle_until_us = now_us + (int64_t) reuse_max_idle_s * 1000000;
}

void
rf_host_note_reuse(RfHost *host)
{
	if (host->idle > 0)
		host->idle--;
}

/*
 * "host", "host:port" or "[address]:port".  Anything unusual is refused, so
 * that libcurl cannot read another host than we do.
 */
static bool
parse_authority(const char *text, size_t len, RfHostName *name)
{
	const char *end = text + len;
	const char *colon;

	for (size_t i = 0; i < len; i++)
	{
		if (is_unusual(text[i]))
			return false;
	}

	if (len > 0 && text[0] == '[')
	{
		const char *bracket = memchr(text, ']', len);
		struct in6_addr address;

		if (bracket == NULL || !copy_name(text + 1, (size_t) (bracket - text - 1), name) ||
			inet_pton(AF_INET6, name->name, &address) != 1)
			return false;
		name->numeric = true;
		if (bracket + 1 == end)
			return true;
		return bracket[1] == ':' &&
			parse_port(bracket + 2, (size_t) (end - bracket - 2), &name->port);
	}

	colon = memchr(text, ':', len);
	if (colon != NULL && !parse_port(colon + 1, (size_t) (end - colon - 1), &name->port))
		return false;
	return copy_name(text, (size_t) ((colon != NULL ? colon : end) - text), name);
}

static bool
is_unusual(char c)
{
	switch (c)
	{
		case '@':
		case '\\':
		case '%':
		case '"':
		case '<':
		case '>':
		case '^':
		case '`':
		case '{':
		case '|':
		case '}':
		case 0x7f:
			return true;
		default:
			return (unsigned char) c <= ' ';
	}
}

static bool
parse_port(const char *text, size_t len, unsigned *port)
{
	unsigned	value = 0;

	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned) (text[i] - '0');
	}
	*port = value;
	return value > 0 && value <= 65535;
}

static bool
copy_name(const char *text, size_t len, RfHostName *name)
{
	struct in_addr address;

	if (len == 0 || len > RF_HOST_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		name->name[i] = (char) (text[i] >= 'A' && text[i] <= 'Z' ?
								text[i] - 'A' + 'a' : text[i]);
	name->name[len] = '\0';
	name->numeric = inet_pton(AF_INET, name->name, &address) == 1;
	return true;
}

static bool
is_same(const RfHostName *a, const RfHostName *b)
{
	return a->port == b->port && strcmp(a->name, b->name) == 0;
}

/* A new entry, or the one that was asked for longest ago and is not in use. */
static RfHost **
find_place(RfHostTable *table)
{
	RfHost	  **oldest = NULL;

	if (table->nhosts < RF_HOST_MAX_HOSTS)
	{
		RfHost	   *host = malloc(sizeof(RfHost));

		if (host == NULL)
			return NULL;
		table->hosts[table->nhosts] = host;
		return &table->hosts[table->nhosts++];
	}
	for (size_t i = 0; i < table->nhosts; i++)
	{
		RfHost	   *host = table->hosts[i];

		if (host->users == 0 && (oldest == NULL || host->used_us < (*oldest)->used_us))
			oldest = &table->hosts[i];
	}
	return oldest;
}

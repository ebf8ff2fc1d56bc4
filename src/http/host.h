/*-------------------------------------------------------------------------
 *
 * host.h
 *	  What the engine knows about each host it has been asked for.
 *
 * libcurl resolves a name in a thread per transfer, and threads that are given
 * up linger until the system's resolver does.  So while a name has no address
 * one transfer goes ahead and the others wait.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HTTP_HOST_H
#define ROLEFERRY_HTTP_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RF_HOST_NAME_MAX	255
#define RF_HOST_MAX_HOSTS	256

/* How long libcurl keeps an address, and how long we count on it. */
#define RF_HOST_DNS_CACHE_S		60
#define RF_HOST_FRESH_S			50

/*
 * Resolver threads: beyond the first number no new probe of a name that failed
 * the last time, so that silent names leave room for the others; the second is
 * hard.
 */
#define RF_HOST_FEW_RESOLVERS	16
#define RF_HOST_MAX_RESOLVERS	32
#define RF_HOST_LINGER_US		INT64_C(15000000)

typedef struct RfHostName
{
	char		name[RF_HOST_NAME_MAX + 1]; /* lower case, without brackets */
	unsigned	port;
	bool		secure;			/* https */
	bool		numeric;		/* an address: nothing to resolve */
} RfHostName;

typedef struct RfHost
{
	RfHostName	name;
	int64_t		fresh_until_us; /* libcurl has an address until then */
	int64_t		used_us;
	bool		failing;		/* no address the last time it was asked for */
	int			probes;			/* transfers that have no address yet */
	int			users;			/* transfers that point here */
	int			idle;			/* kept-alive connections, about */
	int64_t		idle_until_us;	/* when the last of them is too old */
} RfHost;

typedef struct RfHostTable
{
	RfHost	   *hosts[RF_HOST_MAX_HOSTS];
	size_t		nhosts;
	bool		count_threads;	/* whatever they do: a resolver each */
	int			resolving;		/* transfers whose name is being resolved */
	int64_t		given_up_us[RF_HOST_MAX_RESOLVERS]; /* a ring */
	size_t		ngiven_up;
} RfHostTable;

/* The host of an absolute http or https URL.  False: not such a URL. */
extern bool rf_host_parse(const char *url, RfHostName *name);

/* The host of a proxy: scheme and user name are passed over, port may lack. */
extern bool rf_host_parse_proxy(const char *proxy, RfHostName *name);

/* Is it in a comma list of host or host:port? */
extern bool rf_host_is_listed(const RfHostName *name, const char *list);

/* Found or made; NULL when the table is full of hosts in use. */
extern RfHost *rf_host_find(RfHostTable *table, const RfHostName *name,
							int64_t now_us);

extern int	rf_host_capacity(const RfHostTable *table, const RfHost *host,
							 int64_t now_us);

/* Resolver threads that run, or may still run though nobody waits for them. */
extern int	rf_host_resolvers(const RfHostTable *table, int64_t now_us);
extern void rf_host_note_given_up(RfHostTable *table, int64_t now_us);

/* A connection was kept alive, or one of them is used again. */
extern void rf_host_note_idle(RfHost *host, int reuse_max_idle_s, int64_t now_us);
extern void rf_host_note_reuse(RfHost *host);

#endif							/* ROLEFERRY_HTTP_HOST_H */

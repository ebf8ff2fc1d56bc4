/*-------------------------------------------------------------------------
 *
 * base_url.h
 *	  The option "base_url": scheme, host and port, and nothing else.
 *
 * Never raises.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_BASE_URL_H
#define ROLEFERRY_BASE_URL_H

#include <stdbool.h>

typedef struct RfBaseUrl
{
	bool		https;			/* else http */
	char		host[256];		/* IPv6 addresses in brackets */
	char		port[8];		/* the scheme's own when none is given */
} RfBaseUrl;

/*
 * NULL and *out; or what is wrong, a fragment such as: must not hold a path.
 * A single slash after the host is taken.  The fragment never holds the URL.
 */
extern const char *rf_base_url_parse(const char *value, RfBaseUrl *out);

/* Is host or host:port an entry of the comma-separated list? */
extern bool rf_base_url_is_listed(const RfBaseUrl *url, const char *list);

#endif							/* ROLEFERRY_BASE_URL_H */

/*-------------------------------------------------------------------------
 *
 * setup.h
 *	  The engine's settings, as one counted snapshot.
 *
 * A transfer keeps the snapshot it was started with; rf_http_configure() makes
 * a new one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HTTP_SETUP_H
#define ROLEFERRY_HTTP_SETUP_H

#include "codec/ip_range.h"
#include "http/engine.h"

typedef struct RfHttpSetup
{
	int			references;
	int			max_connections;
	int64_t		connect_timeout_us;
	int64_t		total_timeout_us;
	int64_t		idle_timeout_us;
	int			reuse_max_idle_s;
	size_t		max_body_bytes;
	char	   *proxy;			/* "": none */
	char	   *insecure_hosts;
	RfIpRangeList allowed;		/* private addresses that may be connected to */
	char	   *allowed_text;	/* the same, as configured */

	char	   *ca_path;		/* as configured, or the system's; "": unknown */
	char	   *ca_spelling;	/* as libcurl is told, see setup.c */
	unsigned	ca_epoch;
	int64_t		ca_print[4];	/* device, inode, size, time of change */
} RfHttpSetup;

/* One reference, the caller's; NULL and *why. */
extern RfHttpSetup *rf_setup_create(const RfHttpConfig *config,
									const RfHttpSetup *previous,
									const char **why);
extern RfHttpSetup *rf_setup_share(RfHttpSetup *setup);
extern void rf_setup_release(RfHttpSetup *setup);	/* NULL is fine */

#endif							/* ROLEFERRY_HTTP_SETUP_H */

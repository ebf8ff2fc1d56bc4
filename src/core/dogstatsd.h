/*-------------------------------------------------------------------------
 *
 * dogstatsd.h
 *	  Metrics as DogStatsD datagrams.
 *
 * A line is name:value|type|#tag:value,...; lines are joined by a line feed
 * until the datagram is full.  The agent knows no escaping: a colon, bar, comma
 * or line feed in a name or tag would begin something else, so every tag is
 * cleaned here, whoever made it up, and names are the caller's constants.
 * Several values of one line, name:v1:v2|h, need an agent of version 7.25.
 *
 * Pure logic: no PostgreSQL headers, no allocation, no clock, no socket.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_DOGSTATSD_H
#define ROLEFERRY_DOGSTATSD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What Datadog's own clients send at most: no fragments, and a socket's size. */
#define RF_STATSD_UDP_MAX	1432
#define RF_STATSD_UNIX_MAX	8192

#define RF_STATSD_TAG_MAX	200 /* bytes of one tag; Datadog's own limit */
#define RF_STATSD_TAGS_MAX	512 /* bytes of a line's tags, or of the common
								 * ones */

/* Receives a datagram. */
typedef void (*RfStatsdSend) (void *context, const char *data, size_t len);

typedef struct RfStatsd
{
	RfStatsdSend send;
	void	   *context;
	size_t		max;			/* bytes of a datagram */
	char		common[RF_STATSD_TAGS_MAX]; /* tags of every line */
	size_t		len;
	char		data[RF_STATSD_UNIX_MAX];
} RfStatsd;

/* Tags of one line, cleaned; start with "". */
typedef struct RfStatsdTags
{
	char		text[RF_STATSD_TAGS_MAX];
} RfStatsdTags;

extern void rf_statsd_init(RfStatsd *statsd, size_t max, RfStatsdSend send,
						   void *context);

/* Append a tag; one without a value, or for which there is no room, is left out. */
extern void rf_statsd_tag(RfStatsdTags *tags, const char *key, const char *value);

/* The same for a list as people write it: "env:prod, team:sales". */
extern void rf_statsd_tag_list(RfStatsdTags *tags, const char *list);

/* Write a line, sending what is full.  tags may be NULL. */
extern void rf_statsd_count(RfStatsd *statsd, const char *name, int64_t n,
							const RfStatsdTags *tags);
extern void rf_statsd_gauge(RfStatsd *statsd, const char *name, int64_t value,
							const RfStatsdTags *tags);

/* Durations in microseconds, written in milliseconds. */
extern void rf_statsd_durations(RfStatsd *statsd, const char *name,
								const int64_t *us, size_t n,
								const RfStatsdTags *tags);

/* Send what has been written. */
extern void rf_statsd_flush(RfStatsd *statsd);

typedef enum RfStatsdTransport
{
	RF_STATSD_NONE,
	RF_STATSD_UDP,
	RF_STATSD_UNIX
} RfStatsdTransport;

typedef struct RfStatsdTarget
{
	RfStatsdTransport transport;
	bool		v6;
	char		host[64];		/* numeric */
	uint16_t	port;
	char		path[104];		/* of a unix datagram socket */
} RfStatsdTarget;

/*
 * "127.0.0.1:8125", "[::1]:8125", "/var/run/datadog/dsd.socket"; "udp://" and
 * "unix://" may stand before.  Empty is RF_STATSD_NONE.  False: none of these.
 */
extern bool rf_statsd_target_parse(const char *text, RfStatsdTarget *target);

#endif							/* ROLEFERRY_DOGSTATSD_H */

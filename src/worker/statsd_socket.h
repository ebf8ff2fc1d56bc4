/*-------------------------------------------------------------------------
 *
 * statsd_socket.h
 *	  Datagrams to a DogStatsD agent, which may be slow, gone or replaced.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_STATSD_SOCKET_H
#define ROLEFERRY_STATSD_SOCKET_H

#include "core/dogstatsd.h"

/* Where to from now on; the same target again changes nothing. */
extern void rf_statsd_socket_aim(const RfStatsdTarget *target);

/* Never blocks and never raises: what cannot go now is dropped and counted. */
extern void rf_statsd_socket_send(void *context, const char *data, size_t len);

/* Datagrams dropped since the last time this was asked. */
extern int64_t rf_statsd_socket_dropped(void);

#endif							/* ROLEFERRY_STATSD_SOCKET_H */

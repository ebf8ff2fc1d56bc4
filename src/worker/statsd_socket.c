/*-------------------------------------------------------------------------
 *
 * statsd_socket.c
 *	  Datagrams to a DogStatsD agent, which may be slow, gone or replaced.
 *
 * Metrics are worth no wait: the socket never blocks, a full one drops the
 * datagram and is opened anew, any other error closes it, and it is opened again
 * at most once a second.  An agent that was restarted at the same path is another socket; the
 * first datagram to the old one fails and the next second finds the new.
 *
 * IDENTIFICATION
 *	  src/worker/statsd_socket.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shmem/gate.h"
#include "worker/statsd_socket.h"

#define REOPEN_US	INT64CONST(1000000)
#define COMPLAIN_US	INT64CONST(60000000)

static RfStatsdTarget target;
static int	fd = -1;
static int64 tried_us = 0;		/* when it was opened last; 0: never */
static int64 complained_us = 0;
static int64_t dropped = 0;

static bool open_socket(void);
static bool connect_socket(void);
static void close_socket(void);
static void complain(void);

void
rf_statsd_socket_aim(const RfStatsdTarget *new_target)
{
	if (memcmp(&target, new_target, sizeof(target)) == 0)
		return;
	close_socket();
	target = *new_target;
	tried_us = 0;
	complained_us = 0;
}

void
rf_statsd_socket_send(void *context, const char *data, size_t len)
{
	if (target.transport == RF_STATSD_NONE)
		return;
	if (fd < 0 && !open_socket())
	{
		dropped++;
		return;
	}
	if (send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t) len)
		return;
	dropped++;
	if (errno == EMSGSIZE || errno == EINTR)
		return;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
	{
		/* Nobody reads: perhaps another one does, by now, at the same path. */
		if (rf_gate_now_us() - tried_us >= REOPEN_US)
			close_socket();
		return;
	}

	/*
	 * An agent that is not there answers a datagram by an error of a later
	 * one.
	 */
	complain();
	close_socket();
}

int64_t
rf_statsd_socket_dropped(void)
{
	int64_t		n = dropped;

	dropped = 0;
	return n;
}

static bool
open_socket(void)
{
	int64		now = rf_gate_now_us();

	if (tried_us != 0 && now - tried_us < REOPEN_US)
		return false;
	tried_us = now;
	fd = socket(target.transport == RF_STATSD_UNIX ? AF_UNIX : target.v6 ? AF_INET6 : AF_INET,
				SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect_socket())
		return true;
	complain();
	close_socket();
	return false;
}

static bool
connect_socket(void)
{
	struct sockaddr_un path = {.sun_family = AF_UNIX};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (target.transport == RF_STATSD_UNIX)
	{
		strlcpy(path.sun_path, target.path, sizeof(path.sun_path));
		return connect(fd, (struct sockaddr *) &path, sizeof(path)) == 0;
	}
	if (target.v6)
	{
		v6.sin6_port = htons(target.port);
		return inet_pton(AF_INET6, target.host, &v6.sin6_addr) == 1 &&
			connect(fd, (struct sockaddr *) &v6, sizeof(v6)) == 0;
	}
	v4.sin_port = htons(target.port);
	return inet_pton(AF_INET, target.host, &v4.sin_addr) == 1 &&
		connect(fd, (struct sockaddr *) &v4, sizeof(v4)) == 0;
}

static void
close_socket(void)
{
	if (fd >= 0)
		(void) close(fd);
	fd = -1;
}

static void
complain(void)
{
	int			saved_errno = errno;
	int64		now = rf_gate_now_us();

	if (complained_us != 0 && now - complained_us < COMPLAIN_US)
		return;
	complained_us = now;
	errno = saved_errno;
	ereport(LOG,
			(errcode_for_socket_access(),
			 errmsg("could not send metrics to roleferry.dogstatsd: %m"),
			 errdetail("Metrics are dropped until it answers; nothing else waits for them.")));
}

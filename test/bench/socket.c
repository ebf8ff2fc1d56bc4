/*-------------------------------------------------------------------------
 *
 * socket.c
 *	  Sockets on loopback and the clock, for the programs of script/bench.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>

#include "provider.h"

static struct sockaddr_in loopback(int port);
static void send_at_once(int fd);

/* The wall clock: to be compared with that of other processes. */
int64_t
clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct sockaddr_in
loopback(int port)
{
	struct sockaddr_in address = {0};

	address.sin_family = AF_INET;
	address.sin_port = htons((uint16_t) port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

int
listen_on_loopback(void)
{
	struct sockaddr_in address = loopback(0);
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
		bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(fd, 4096) != 0)
		die("listen");
	return fd;
}

int
port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t	length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *) &address, &length) != 0)
		die("getsockname");
	return ntohs(address.sin_port);
}

/* -1: no more. */
int
accept_quickly(int listening_fd)
{
	int			fd = accept4(listening_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		die("accept");
	if (fd >= 0)
		send_at_once(fd);
	return fd;
}

int
connect_to_loopback(int port)
{
	struct sockaddr_in address = loopback(port);
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		die("connect");
	send_at_once(fd);
	return fd;
}

static void
send_at_once(int fd)
{
	int			on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void
die(const char *what)
{
	if (errno == 0)
		fprintf(stderr, "%s\n", what);
	else
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

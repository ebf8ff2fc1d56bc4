/*-------------------------------------------------------------------------
 *
 * socket.c
 *	  The sockets of libcurl in our epoll descriptor.
 *
 * A kept connection stays there between requests, so that the next one on it
 * costs no system call, and its end is seen.
 *
 * IDENTIFICATION
 *	  src/http/socket.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "http/state.h"

/* Reads of 512 bytes before an idle connection is shut down all the same. */
#define MAX_GOODBYES	64

/*
 * Stands in sockets[] for those of no transfer: newer versions of libcurl
 * watch one of their own (the resolver's), and connections being shut down.
 */
static RfTransferState no_transfer;

static bool tell_epoll(RfHttpEngine *engine, int fd, uint32_t events);
static void keep_idle(RfHttpEngine *engine, int fd);
static bool have_room(RfHttpEngine *engine, int fd);

/*
 * libcurl wants a socket watched, watched differently, or no longer watched.
 * Once a request may have left, its only socket is the connection's, which
 * rf_guard_open_socket() has opened: what is noted about that one is true.
 */
int
rf_socket_watch(CURL *easy, curl_socket_t fd, int what, void *arg,
				void *socket_arg)
{
	RfHttpEngine *engine = arg;
	RfTransferState *user = &no_transfer;
	char	   *state = NULL;
	uint32_t	events = 0;

	(void) socket_arg;
	if (what == CURL_POLL_REMOVE)
	{
		keep_idle(engine, fd);
		return 0;
	}

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &state);
	if (state != NULL)
		user = (RfTransferState *) (void *) state;
	if (!have_room(engine, fd))
		return -1;
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	engine->sockets[fd].user = user;
	if (user->sent && engine->sockets[fd].events == events)
		return 0;
	return tell_epoll(engine, fd, events) ? 0 : -1;
}

/* Whatever was noted about the descriptor was about another file. */
void
rf_socket_forget(RfHttpEngine *engine, int fd)
{
	if ((size_t) fd >= engine->nsockets)
		return;
	engine->sockets[fd].user = NULL;
	engine->sockets[fd].events = 0;
}

static bool
tell_epoll(RfHttpEngine *engine, int fd, uint32_t events)
{
	RfSocket   *noted = &engine->sockets[fd];
	bool		known = noted->events != 0;
	struct epoll_event event;
	int			result;

	memset(&event, 0, sizeof(event));
	event.data.fd = fd;
	event.events = events;
	result = epoll_ctl(engine->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
	/* Closed and opened again behind our back, or never closed. */
	if (result != 0 && known && errno == ENOENT)
		result = epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event);
	else if (result != 0 && !known && errno == EEXIST)
		result = epoll_ctl(engine->epoll_fd, EPOLL_CTL_MOD, fd, &event);
	noted->events = result == 0 ? events : 0;
	return result == 0;
}

void
rf_socket_unwatch(RfHttpEngine *engine, int fd)
{
	(void) epoll_ctl(engine->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	rf_socket_forget(engine, fd);
}

/*
 * libcurl lets go of a socket: it will close it, or keep the connection.  In
 * between requests a peer has nothing to say, so whatever comes on a kept one
 * is its end; see rf_socket_retire().
 */
static void
keep_idle(RfHttpEngine *engine, int fd)
{
	RfSocket   *noted;
	bool		connection;

	if ((size_t) fd >= engine->nsockets || engine->sockets[fd].user == NULL)
		return;
	noted = &engine->sockets[fd];
	connection = noted->user->sent;
	noted->user = NULL;
	if (!connection)
		rf_socket_unwatch(engine, fd);
	else if (noted->events != EPOLLIN)
		(void) tell_epoll(engine, fd, EPOLLIN);
}

/*
 * A kept connection has ended, or is about to: the peer sent its goodbye (of
 * TLS, before that of TCP, which alone libcurl would take for a sign of
 * life).  A request on it would be lost, and nobody could know whether it
 * arrived.  So nothing is left to be read but the end, which libcurl
 * recognises when it looks whether a kept connection still lives.
 */
void
rf_socket_retire(RfHttpEngine *engine, int fd)
{
	char		goodbye[512];
	int			domain = 0;
	socklen_t	len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
		(domain != AF_INET && domain != AF_INET6))
	{
		rf_socket_unwatch(engine, fd);	/* a resolver's, not a peer's */
		return;
	}
	for (int i = 0; i < MAX_GOODBYES; i++)
	{
		ssize_t		len_read = recv(fd, goodbye, sizeof(goodbye), MSG_DONTWAIT);

		/* libcurl has read what this event was about: all is well. */
		if (i == 0 && len_read < 0 && errno == EAGAIN)
			return;
		if (len_read <= 0)
			break;
	}
	(void) shutdown(fd, SHUT_RDWR);
	rf_socket_unwatch(engine, fd);
}

/* In the table of descriptors. */
static bool
have_room(RfHttpEngine *engine, int fd)
{
	size_t		count = (size_t) fd + 64;
	RfSocket   *sockets;

	if ((size_t) fd < engine->nsockets)
		return true;
	sockets = realloc(engine->sockets, count * sizeof(*sockets));
	if (sockets == NULL)
		return false;
	memset(sockets + engine->nsockets, 0,
		   (count - engine->nsockets) * sizeof(*sockets));
	engine->sockets = sockets;
	engine->nsockets = count;
	return true;
}

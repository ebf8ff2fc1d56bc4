/*-------------------------------------------------------------------------
 *
 * loop.c
 *	  libcurl's multi handle on our epoll descriptor.
 *
 * libcurl says which sockets it wants watched and when its timer is due, we
 * say what happened.  The timer is one-shot: it is cleared before libcurl is
 * told, or the loop would spin.
 *
 * Every stretch of libcurl calls stands between rf_loop_enter() and
 * rf_loop_leave(), with all signals blocked but those that a fault of our own
 * raises: a resolver thread inherits the mask, and a handler of the server
 * must never run on such a thread.
 *
 * When a call on the multi handle fails as a whole, nothing of it can be
 * trusted.  All transfers are ended by what left, the handle is leaked with
 * everything in it, and a new one is made.
 *
 * IDENTIFICATION
 *	  src/http/loop.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "http/state.h"

#define MAX_EVENTS		512

/* A peer that never stops sending must not keep us from judging deadlines. */
#define MAX_ROUNDS		16

/* Reads of 512 bytes before an idle connection is shut down all the same. */
#define MAX_GOODBYES	64

/*
 * Stands in watched[] for sockets of no transfer: newer versions of libcurl
 * watch one of their own (the resolver's), and connections being shut down.
 */
static RfTransferState no_transfer;

static int	watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
						 void *socket_arg);
static bool repeat_stale(RfHttpEngine *engine, RfTransferState *state);
static int	set_timer(CURLM *multi, long timeout_ms, void *arg);
static void watch_idle(RfHttpEngine *engine, int fd);
static void retire_idle(RfHttpEngine *engine, int fd);
static bool remember_socket(RfHttpEngine *engine, int fd, RfTransferState *state);
static void drain_sigpipe(const sigset_t *caller_mask);
static int	read_ready(RfHttpEngine *engine);
static void note_code(RfHttpEngine *engine, CURLMcode code);

bool
rf_loop_open_multi(RfHttpEngine *engine)
{
	CURLM	   *multi = curl_multi_init();

	engine->timer_us = RF_NEVER_US;
	engine->multi = multi;
	if (multi == NULL)
		return false;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, engine);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, engine);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long) CURLPIPE_NOTHING);
#if LIBCURL_VERSION_NUM >= RF_CURL_RESOLVER_POOL

	/*
	 * What does not fit waits behind names that are not answered.  A name may
	 * be looked up by two threads at once, one for each family of addresses.
	 */
	curl_multi_setopt(multi, CURLMOPT_RESOLVE_THREADS_MAX, 2L * RF_HOST_MAX_RESOLVERS);
	/* And nobody waits for these to end. */
	curl_multi_setopt(multi, CURLMOPT_QUICK_EXIT, 1L);
#endif
	rf_loop_apply_limits(engine);
	return true;
}

void
rf_loop_apply_limits(RfHttpEngine *engine)
{
	long		most = engine->setup->max_connections;

	if (engine->multi == NULL)
		return;
	curl_multi_setopt(engine->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, most);
	curl_multi_setopt(engine->multi, CURLMOPT_MAX_HOST_CONNECTIONS, most);
	curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, most);
}

void
rf_loop_enter(RfHttpEngine *engine, int64_t now_us)
{
	static const int of_faults[] = {
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS
	};
	sigset_t	all;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof(of_faults) / sizeof(of_faults[0]); i++)
		sigdelset(&all, of_faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, &engine->caller_mask);
	engine->now_us = now_us;
}

void
rf_loop_leave(RfHttpEngine *engine)
{
	if (engine->broken)
		rf_loop_renew_multi(engine);
	if (!engine->ignores_sigpipe)
		drain_sigpipe(&engine->caller_mask);
	pthread_sigmask(SIG_SETMASK, &engine->caller_mask, NULL);
}

void
rf_loop_fire_timer(RfHttpEngine *engine)
{
	int			running;

	engine->timer_us = RF_NEVER_US;
	note_code(engine, curl_multi_socket_action(engine->multi, CURL_SOCKET_TIMEOUT,
											   0, &running));
}

/*
 * Read and write what is ready.  Once is enough, unless a deadline is due:
 * then again until nothing is ready, because an answer that lies in a socket
 * is an answer.  The time stays that of before the last look, so that nothing
 * can have arrived before a deadline and be judged unread.
 */
void
rf_loop_read_sockets(RfHttpEngine *engine, int64_t (*clock_us) (void))
{
	for (int round = 0; round < MAX_ROUNDS && !engine->broken; round++)
	{
		bool		fired;
		int			nevents;

		engine->now_us = clock_us();
		fired = engine->now_us >= engine->timer_us;
		if (fired)
			rf_loop_fire_timer(engine);
		nevents = read_ready(engine);
		rf_loop_collect(engine);
		if (nevents == 0 && !fired)
			break;
		if (nevents < MAX_EVENTS && engine->now_us < engine->earliest_us)
			break;
	}
}

/* Take in what libcurl has finished. */
void
rf_loop_collect(RfHttpEngine *engine)
{
	CURLMsg    *message;
	int			left;

	while (!engine->broken &&
		   (message = curl_multi_info_read(engine->multi, &left)) != NULL)
	{
		CURLcode	code = message->data.result;
		char	   *state = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &state);
		if (state != NULL && !repeat_stale(engine, (RfTransferState *) (void *) state))
			rf_finish_transfer((RfTransferState *) (void *) state, code);
	}
}

/* Nothing has left on the connection that had ended: take a new one. */
static bool
repeat_stale(RfHttpEngine *engine, RfTransferState *state)
{
	if (!state->stale)
		return false;
	state->stale = false;
	if (curl_multi_remove_handle(engine->multi, state->easy) != CURLM_OK ||
		curl_easy_setopt(state->easy, CURLOPT_FRESH_CONNECT, 1L) != CURLE_OK)
		return false;
	return curl_multi_add_handle(engine->multi, state->easy) == CURLM_OK;
}

void
rf_loop_renew_multi(RfHttpEngine *engine)
{
	engine->multi = NULL;
	while (engine->running != NULL)
	{
		engine->running->why = "the transfer library failed";
		engine->running->easy = NULL;	/* leaked with the multi handle */
		rf_finish_transfer(engine->running, CURLE_ABORTED_BY_CALLBACK);
	}

	for (size_t fd = 0; fd < engine->nwatched; fd++)
	{
		if (engine->watched[fd] == NULL)
			continue;
		epoll_ctl(engine->epoll_fd, EPOLL_CTL_DEL, (int) fd, NULL);
		/* Nobody will close it; at least the peer shall not wait. */
		shutdown((int) fd, SHUT_RDWR);
		engine->watched[fd] = NULL;
	}
	engine->broken = false;
	(void) rf_loop_open_multi(engine);	/* else the next start tries again */
}

/* libcurl wants a socket watched, watched differently, or no longer watched. */
static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
			 void *socket_arg)
{
	RfHttpEngine *engine = arg;
	struct epoll_event event;
	char	   *state = NULL;
	bool		known;

	(void) socket_arg;
	if (what == CURL_POLL_REMOVE)
	{
		watch_idle(engine, fd);
		return 0;
	}

	known = (size_t) fd < engine->nwatched && engine->watched[fd] != NULL;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &state);
	if (!remember_socket(engine, fd, state != NULL ?
						 (RfTransferState *) (void *) state : &no_transfer))
		return -1;

	memset(&event, 0, sizeof(event));
	event.data.fd = fd;
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(engine->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	/* Closed and opened again behind our back, or never closed. */
	if (known && errno == ENOENT)
		return epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event);
	if (!known && errno == EEXIST)
		return epoll_ctl(engine->epoll_fd, EPOLL_CTL_MOD, fd, &event);
	return -1;
}

static int
set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	RfHttpEngine *engine = arg;

	(void) multi;
	engine->timer_us = timeout_ms < 0 ? RF_NEVER_US :
		engine->now_us + (int64_t) timeout_ms * 1000;
	return 0;
}

/*
 * libcurl lets go of a socket: it will close it, or keep the connection.  In
 * between requests a peer has nothing to say, so whatever comes on a kept one
 * is its end; see retire_idle().
 */
static void
watch_idle(RfHttpEngine *engine, int fd)
{
	struct epoll_event event;

	if ((size_t) fd < engine->nwatched)
		engine->watched[fd] = NULL;
	memset(&event, 0, sizeof(event));
	event.data.fd = fd;
	event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
	/* It fails when the socket is closed already: that is removed, too. */
	(void) epoll_ctl(engine->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

/*
 * A kept connection has ended, or is about to: the peer sent its goodbye (of
 * TLS, before that of TCP, which alone libcurl would take for a sign of
 * life).  A request on it would be lost, and nobody could know whether it
 * arrived.  So nothing is left to be read but the end, which libcurl
 * recognises when it looks whether a kept connection still lives.
 */
static void
retire_idle(RfHttpEngine *engine, int fd)
{
	char		goodbye[512];
	int			domain = 0;
	socklen_t	len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
		(domain != AF_INET && domain != AF_INET6))
		return;					/* a resolver's, not a peer's */
	for (int i = 0; i < MAX_GOODBYES; i++)
	{
		ssize_t		len_read = recv(fd, goodbye, sizeof(goodbye), MSG_DONTWAIT);

		/* libcurl has read what this event was about: all is well. */
		if (i == 0 && len_read < 0 && errno == EAGAIN)
		{
			watch_idle(engine, fd);
			return;
		}
		if (len_read <= 0)
			break;
	}
	(void) shutdown(fd, SHUT_RDWR);
}

/* Whose socket: so that traffic on it counts as the transfer's. */
static bool
remember_socket(RfHttpEngine *engine, int fd, RfTransferState *state)
{
	if ((size_t) fd >= engine->nwatched)
	{
		size_t		count = (size_t) fd + 64;
		RfTransferState **watched;

		watched = realloc(engine->watched, count * sizeof(*watched));
		if (watched == NULL)
			return false;
		memset(watched + engine->nwatched, 0,
			   (count - engine->nwatched) * sizeof(*watched));
		engine->watched = watched;
		engine->nwatched = count;
	}
	engine->watched[fd] = state;
	return true;
}

/* libcurl with NOSIGNAL leaves SIGPIPE to us: forget the ones we caused. */
static void
drain_sigpipe(const sigset_t *caller_mask)
{
	static const struct timespec no_wait;
	sigset_t	pipe_only;

	if (sigismember(caller_mask, SIGPIPE))
		return;
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	while (sigtimedwait(&pipe_only, NULL, &no_wait) == SIGPIPE)
		;
}

static int
read_ready(RfHttpEngine *engine)
{
	struct epoll_event events[MAX_EVENTS];
	int			nevents = 0;

	if (!engine->broken)
		nevents = epoll_wait(engine->epoll_fd, events, MAX_EVENTS, 0);
	for (int i = 0; i < nevents && !engine->broken; i++)
	{
		int			fd = events[i].data.fd;
		uint32_t	ready = events[i].events;
		int			what = 0;
		int			running;

		if (ready & (EPOLLIN | EPOLLHUP))
			what |= CURL_CSELECT_IN;
		if (ready & EPOLLOUT)
			what |= CURL_CSELECT_OUT;
		if (ready & EPOLLERR)
			what |= CURL_CSELECT_ERR;
		if ((size_t) fd >= engine->nwatched || engine->watched[fd] == NULL)
		{
			retire_idle(engine, fd);
			continue;
		}
		engine->watched[fd]->moved_us = engine->now_us;
		note_code(engine, curl_multi_socket_action(engine->multi, fd, what, &running));
	}
	return nevents > 0 ? nevents : 0;
}

static void
note_code(RfHttpEngine *engine, CURLMcode code)
{
	if (code != CURLM_OK)
		engine->broken = true;
}

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
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "http/state.h"

#define MAX_EVENTS		512

/* A peer that never stops sending must not keep us from judging deadlines. */
#define MAX_ROUNDS		16

static bool repeat_stale(RfHttpEngine *engine, RfTransferState *state);
static int	set_timer(CURLM *multi, long timeout_ms, void *arg);
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
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, rf_socket_watch);
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
	rf_options_forget(state);
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

	for (size_t fd = 0; fd < engine->nsockets; fd++)
	{
		if (engine->sockets[fd].user == NULL)
			continue;
		rf_socket_unwatch(engine, (int) fd);
		/* Nobody will close it; at least the peer shall not wait. */
		shutdown((int) fd, SHUT_RDWR);
	}
	engine->broken = false;
	(void) rf_loop_open_multi(engine);	/* else the next start tries again */
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
		if ((size_t) fd >= engine->nsockets || engine->sockets[fd].user == NULL)
		{
			rf_socket_retire(engine, fd);
			continue;
		}
		engine->sockets[fd].user->moved_us = engine->now_us;
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

/*-------------------------------------------------------------------------
 *
 * engine.c
 *	  The engine's public functions, and its lists.
 *
 * A transfer's state goes POOLED, RUNNING, FINISHED, TAKEN, POOLED; README.md
 * has the picture.  Every transfer whose start returned true comes out of
 * rf_http_next_finished() once, however it ended.
 *
 * IDENTIFICATION
 *	  src/http/engine.c
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "http/memory.h"
#include "http/shortage.h"
#include "http/state.h"

/* How often an idle engine asks whether its connections are in the way. */
#define SHED_EVERY_US	INT64_C(1000000)

/* Since 8.7 the buffer of a request lives as long as its handle. */
#define CURL_KEEPS_HEADS	0x080700

static void shed_idle(RfHttpEngine *engine);
static void drop_idle_handles(RfHttpEngine *engine);
static const char *check_library(void);
static bool resolvable_host(const RfHttpSetup *setup, const char *url,
							RfHostName *name);
static RfTransferState *take_state(RfHttpEngine *engine, const char **why);
static const char *begin(RfTransferState *state, RfTransfer *transfer);
static void unqueue(RfHttpEngine *engine, RfTransferState *state);

RfHttpEngine *
rf_http_engine_create(const RfHttpConfig *config, const char **why)
{
	RfHttpEngine *engine;
	struct sigaction of_sigpipe;
	bool		opened;

	*why = check_library();
	if (*why != NULL)
		return NULL;
	engine = calloc(1, sizeof(RfHttpEngine));
	*why = "out of memory";
	if (engine == NULL)
		return NULL;
	engine->earliest_us = RF_NEVER_US;
	engine->hosts.count_threads =
		curl_version_info(CURLVERSION_NOW)->version_num < RF_CURL_RESOLVER_POOL;
	engine->ignores_sigpipe = sigaction(SIGPIPE, NULL, &of_sigpipe) == 0 &&
		of_sigpipe.sa_handler == SIG_IGN;
	engine->setup = rf_setup_create(config, NULL, why);
	engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	opened = engine->setup != NULL && engine->epoll_fd >= 0;
	if (opened)
	{
		*why = "out of memory";
		rf_loop_enter(engine, 0);
		opened = rf_loop_open_multi(engine);
		rf_loop_leave(engine);
	}
	else if (engine->setup != NULL)
		*why = "no descriptor for epoll";

	if (!opened)
	{
		if (engine->epoll_fd >= 0)
			close(engine->epoll_fd);
		rf_setup_release(engine->setup);
		free(engine);
		return NULL;
	}
	*why = NULL;
	return engine;
}

bool
rf_http_configure(RfHttpEngine *engine, const RfHttpConfig *config)
{
	const char *why;
	RfHttpSetup *setup = rf_setup_create(config, engine->setup, &why);

	if (setup == NULL)
		return false;
	rf_setup_release(engine->setup);
	engine->setup = setup;
	rf_loop_enter(engine, engine->now_us);
	rf_loop_apply_limits(engine);
	rf_loop_leave(engine);
	return true;
}

int
rf_http_epoll_fd(const RfHttpEngine *engine)
{
	return engine->epoll_fd;
}

bool
rf_http_is_ready(const RfHttpEngine *engine)
{
	struct epoll_event event;

	return epoll_wait(engine->epoll_fd, &event, 1, 0) > 0;
}

int
rf_http_in_flight(const RfHttpEngine *engine)
{
	return engine->nrunning;
}

int
rf_http_host_capacity(RfHttpEngine *engine, const char *url, int64_t now_us)
{
	RfHostName	name;
	RfHost	   *host;

	if (!resolvable_host(engine->setup, url, &name) || name.numeric)
		return INT_MAX;			/* start() says what is wrong with a bad URL */
	host = rf_host_find(&engine->hosts, &name, now_us);
	return host != NULL ? rf_host_capacity(&engine->hosts, host, now_us) : 1;
}

bool
rf_http_start(RfHttpEngine *engine, RfTransfer *transfer, int64_t now_us)
{
	const char *why = NULL;
	RfTransferState *state;

	rf_loop_enter(engine, now_us);
	state = take_state(engine, &why);
	if (state != NULL)
		why = begin(state, transfer);
	if (why != NULL)
		rf_finish_refused(state, transfer, why, now_us);
	else
	{
		/* It may end in here: an answer can be faster than we are. */
		rf_loop_fire_timer(engine);
		rf_loop_collect(engine);
	}
	rf_loop_leave(engine);
	return why == NULL;
}

void
rf_http_turn(RfHttpEngine *engine, int64_t (*clock_us) (void))
{
	int64_t		now_us = clock_us();

	rf_loop_enter(engine, now_us);
	if (engine->multi != NULL)
	{
		rf_deadline_forgive_late_turn(engine, now_us);
		rf_loop_read_sockets(engine, clock_us);
		rf_deadline_forgive_long_turn(engine, now_us);
	}
	if (!engine->broken && engine->now_us >= engine->earliest_us)
		rf_deadline_judge(engine);
	engine->turned_us = engine->now_us;
	shed_idle(engine);
	rf_loop_leave(engine);
}

int64_t
rf_http_next_deadline(const RfHttpEngine *engine)
{
	/* A caller that sleeps on what ended in rf_http_start() would oversleep. */
	if (engine->finished_first != NULL)
		return engine->now_us;
	return rf_deadline_earliest(engine);
}

RfTransfer *
rf_http_next_finished(RfHttpEngine *engine)
{
	RfTransferState *state = engine->finished_first;

	if (state == NULL)
		return NULL;
	unqueue(engine, state);
	state->phase = RF_PHASE_TAKEN;
	return state->transfer;
}

void
rf_http_abort(RfHttpEngine *engine, RfTransfer *transfer, const char *why,
			  int64_t now_us)
{
	RfTransferState *state = transfer->state;

	if (state == NULL || state->phase != RF_PHASE_RUNNING)
		return;
	rf_loop_enter(engine, now_us);
	state->why = why;
	rf_finish_transfer(state, CURLE_ABORTED_BY_CALLBACK);
	rf_loop_leave(engine);
}

void
rf_http_release(RfTransfer *transfer)
{
	RfTransferState *state = transfer->state;

	if (state != NULL)
	{
		RfHttpEngine *engine = state->engine;

		rf_http_abort(engine, transfer, "given up", engine->now_us);
		if (state->phase == RF_PHASE_FINISHED)
			unqueue(engine, state);
		state->phase = RF_PHASE_POOLED;
		state->transfer = NULL;
		state->next = engine->pool;
		engine->pool = state;
		transfer->state = NULL;
		if (engine->nrunning == 0 && engine->finished_first == NULL)
			drop_idle_handles(engine);
	}
	rf_request_free(&transfer->request);
	rf_response_free(&transfer->response);
}

/*
 * Kept connections are closed by the next transfer, which may never start when
 * they hold the last descriptors: the caller cannot even read a key.
 */
static void
shed_idle(RfHttpEngine *engine)
{
	if (engine->nrunning > 0 || engine->multi == NULL || engine->broken ||
		engine->now_us - engine->shed_us < SHED_EVERY_US)
		return;
	engine->shed_us = engine->now_us;
	if (rf_shortage_now(engine->epoll_fd) == NULL)
		return;
	(void) curl_multi_cleanup(engine->multi);
	(void) rf_loop_open_multi(engine);	/* else the next start tries again */
}

/*
 * Newer versions of libcurl keep a request's head in its handle, key included,
 * until the next one overwrites it.  With the last transfer that is let go of
 * they go, too: there may be no turn for a long time.  Connections stay: they
 * belong to the multi handle, and so do TLS sessions in the newest.
 */
static void
drop_idle_handles(RfHttpEngine *engine)
{
	static int	needed = -1;

	if (needed < 0)
		needed = curl_version_info(CURLVERSION_NOW)->version_num >= CURL_KEEPS_HEADS;
	if (needed == 0)
		return;
	rf_loop_enter(engine, engine->now_us);
	for (RfTransferState *state = engine->pool; state != NULL; state = state->next)
	{
		if (state->easy != NULL)
			curl_easy_cleanup(state->easy);
		state->easy = NULL;
	}
	rf_loop_leave(engine);
}

/* NULL when the library will do.  Initialises it once a process. */
static const char *
check_library(void)
{
	static bool initialised = false;
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

	if (info->version_num < RF_CURL_MIN_VERSION)
		return "libcurl is older than 7.87";
	if ((info->features & CURL_VERSION_ASYNCHDNS) == 0)
		return "libcurl has no asynchronous resolver";
	if ((info->features & CURL_VERSION_THREADSAFE) == 0)
		return "libcurl is not safe with threads";
	if ((info->features & CURL_VERSION_SSL) == 0)
		return "libcurl has no TLS";
	if (!initialised && rf_memory_global_init() != CURLE_OK)
		return "libcurl could not be initialised";
	initialised = true;
	return NULL;
}

/* The host whose name this machine has to resolve: with a proxy, the proxy. */
static bool
resolvable_host(const RfHttpSetup *setup, const char *url, RfHostName *name)
{
	if (*setup->proxy != '\0')
		return rf_host_parse_proxy(setup->proxy, name);
	return rf_host_parse(url, name);
}

static RfTransferState *
take_state(RfHttpEngine *engine, const char **why)
{
	RfTransferState *state = engine->pool;

	*why = rf_shortage_of_memory;
	if (engine->multi == NULL && !rf_loop_open_multi(engine))
		return NULL;
	if (state != NULL)
		engine->pool = state->next;
	else
	{
		state = calloc(1, sizeof(RfTransferState));
		if (state == NULL)
			return NULL;
		state->engine = engine;
	}
	state->next = NULL;
	if (state->easy == NULL)
		rf_options_new_handle(state);
	if (state->easy == NULL)
	{
		state->next = engine->pool;
		engine->pool = state;
		return NULL;
	}
	*why = NULL;
	return state;
}

/* Hand it to libcurl.  NULL, or why that cannot be. */
static const char *
begin(RfTransferState *state, RfTransfer *transfer)
{
	RfHttpEngine *engine = state->engine;
	RfHostName	target;
	RfHostName	resolved;
	const char *why;
	bool		insecure;

	state->transfer = transfer;
	state->setup = rf_setup_share(engine->setup);
	if (!rf_host_parse(transfer->request.url, &target))
		return "not an http or https URL";
	insecure = rf_host_is_listed(&target, state->setup->insecure_hosts);
	if (!target.secure && !insecure)
		return "the host may only be spoken to by https";
	if (!resolvable_host(state->setup, transfer->request.url, &resolved))
		return "the proxy's name is not understood";

	rf_deadline_set(state);
	if (!resolved.numeric)
		state->host = rf_host_find(&engine->hosts, &resolved, engine->now_us);
	if (state->host != NULL)
	{
		state->host->users++;
		state->probing = engine->now_us >= state->host->fresh_until_us;
		state->host->probes += state->probing ? 1 : 0;
	}
	why = rf_options_apply(state, insecure ? "http,https" : "https");
	if (why != NULL)
		return why;
	if (curl_multi_add_handle(engine->multi, state->easy) != CURLM_OK)
	{
		state->easy = NULL;		/* nobody knows what became of it: leaked */
		engine->broken = true;
		return "the transfer library refused the transfer";
	}

	transfer->state = state;
	transfer->started_us = engine->now_us;
	state->phase = RF_PHASE_RUNNING;
	state->prev = NULL;
	state->next = engine->running;
	if (engine->running != NULL)
		engine->running->prev = state;
	engine->running = state;
	engine->nrunning++;
	return NULL;
}

static void
unqueue(RfHttpEngine *engine, RfTransferState *state)
{
	RfTransferState **link = &engine->finished_first;
	RfTransferState *previous = NULL;

	while (*link != state)
	{
		previous = *link;
		link = &previous->next;
	}
	*link = state->next;
	if (engine->finished_last == state)
		engine->finished_last = previous;
	state->next = NULL;
}

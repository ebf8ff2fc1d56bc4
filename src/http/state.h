/*-------------------------------------------------------------------------
 *
 * state.h
 *	  What the files of the HTTP engine share among themselves.
 *
 * Included by src/http/ only.  Everything here belongs to the one thread that
 * calls the engine; libcurl's resolver threads never see it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HTTP_STATE_H
#define ROLEFERRY_HTTP_STATE_H

#include <curl/curl.h>
#include <signal.h>

#include "http/engine.h"
#include "http/host.h"
#include "http/setup.h"

/* 7.87 has CURLOPT_QUICK_EXIT and the cache of the CA store. */
#define RF_CURL_MIN_VERSION		0x075700
#if LIBCURL_VERSION_NUM < RF_CURL_MIN_VERSION
#error "roleferry needs libcurl 7.87 or newer"
#endif

/* From this version on libcurl resolves names in a pool of threads. */
#define RF_CURL_RESOLVER_POOL	0x081400

#define RF_NEVER_US				INT64_MAX

typedef enum RfTransferPhase
{
	RF_PHASE_POOLED,			/* not in use */
	RF_PHASE_RUNNING,			/* libcurl has it */
	RF_PHASE_FINISHED,			/* waits for rf_http_next_finished() */
	RF_PHASE_TAKEN				/* waits for rf_http_release() */
} RfTransferPhase;

/*
 * The engine's half of a transfer.  Pooled together with its easy handle and
 * never freed, so that whatever libcurl still points to stays valid.
 */
typedef struct RfTransferState
{
	RfHttpEngine *engine;
	struct RfTransferState *next;	/* in the list of its phase */
	struct RfTransferState *prev;	/* while running */
	RfTransferPhase phase;
	RfTransfer *transfer;		/* NULL while pooled */
	RfHttpSetup *setup;			/* the settings it started with */
	RfHost	   *host;			/* NULL for numeric addresses */

	CURL	   *easy;			/* NULL until needed */
	struct curl_slist *headers; /* ours, wiped before it is freed */
	curl_mime  *mime;
	CURLU	   *url;			/* of the transfer before, taken to pieces */
	char	   *url_text;		/* NULL: none */

	/* What the handle is still set up for, from the transfer before: */
	RfHttpSetup *set_up;		/* NULL: nothing */
	const char *set_up_protocols;
	bool		set_up_named;	/* the host had a name */
	bool		set_up_probing;

	int64_t		connect_deadline_us;
	int64_t		total_deadline_us;
	int64_t		moved_us;		/* when a byte last moved */

	size_t		header_bytes;	/* of all header lines, kept or not */
	size_t		body_capacity;
	const char *why;			/* what a callback of ours refused, or NULL */
	bool		starved;		/* why is a shortage of ours */
	bool		probing;		/* counted in host->probes */
	bool		resolving;		/* counted in the table's resolving */
	bool		sent;			/* the once-guard has let it through */
	bool		stale;			/* nothing sent: the kept connection had ended */
	bool		head_done;		/* headers of the final answer are complete */
	bool		interim;		/* reading the headers of a 1xx answer */
} RfTransferState;

/*
 * A descriptor that libcurl has had watched.  A connection stays in epoll from
 * one request to the next: what comes in between is its end.
 */
typedef struct RfSocket
{
	RfTransferState *user;		/* whose traffic it carries; NULL: nobody's
								 * now */
	uint32_t	events;			/* what epoll was told; 0: it does not know it */
} RfSocket;

struct RfHttpEngine
{
	CURLM	   *multi;			/* NULL after a failure, until the next start */
	int			epoll_fd;
	RfHttpSetup *setup;			/* for transfers to come */
	RfHostTable hosts;

	int64_t		now_us;			/* of the public call under way */
	int64_t		turned_us;		/* end of the latest turn */
	int64_t		shed_us;		/* when it was last asked what to close */
	int64_t		timer_us;		/* libcurl's one-shot timer */
	int64_t		earliest_us;	/* no deadline of ours is before this */

	RfTransferState *running;	/* doubly linked */
	int			nrunning;
	RfTransferState *finished_first;	/* a queue */
	RfTransferState *finished_last;
	RfTransferState *pool;

	RfSocket   *sockets;		/* by descriptor */
	size_t		nsockets;
	bool		broken;			/* libcurl failed as a whole: renew the multi */

	sigset_t	caller_mask;
	bool		ignores_sigpipe;	/* as the server's processes do */
};

/* deadline.c */
extern void rf_deadline_set(RfTransferState *state);
extern void rf_deadline_expect(RfTransferState *state);
extern int64_t rf_deadline_earliest(const RfHttpEngine *engine);
extern void rf_deadline_forgive_late_turn(RfHttpEngine *engine, int64_t now_us);
extern void rf_deadline_forgive_long_turn(RfHttpEngine *engine, int64_t began_us);
extern void rf_deadline_judge(RfHttpEngine *engine);

/* loop.c: libcurl's callbacks and the turning of the wheel */
extern bool rf_loop_open_multi(RfHttpEngine *engine);
extern void rf_loop_apply_limits(RfHttpEngine *engine);
extern void rf_loop_enter(RfHttpEngine *engine, int64_t now_us);
extern void rf_loop_leave(RfHttpEngine *engine);
extern void rf_loop_fire_timer(RfHttpEngine *engine);
extern void rf_loop_read_sockets(RfHttpEngine *engine, int64_t (*clock_us) (void));
extern void rf_loop_collect(RfHttpEngine *engine);
extern void rf_loop_renew_multi(RfHttpEngine *engine);

/* socket.c: which of its sockets libcurl wants watched */
extern int	rf_socket_watch(CURL *easy, curl_socket_t fd, int what, void *arg,
							void *socket_arg);
extern void rf_socket_unwatch(RfHttpEngine *engine, int fd);
extern void rf_socket_forget(RfHttpEngine *engine, int fd);
extern void rf_socket_retire(RfHttpEngine *engine, int fd);

/* finish.c: the end of a transfer */
extern void rf_finish_transfer(RfTransferState *state, CURLcode code);
extern void rf_finish_refused(RfTransferState *state, RfTransfer *transfer,
							  const char *why, int64_t now_us);

/* options.c: what libcurl is told about a transfer; NULL or why not */
extern const char *rf_options_apply(RfTransferState *state, const char *protocols);

/* At its end; keep: the handle is good for another like it. */
extern void rf_options_clear(RfTransferState *state, bool keep);

/* NULL where there is no memory. */
extern void rf_options_new_handle(RfTransferState *state);

/* The handle is to be set up anew. */
extern void rf_options_forget(RfTransferState *state);

/* payload.c: headers and form; NULL or why not, and false: no memory */
extern const char *rf_payload_make_headers(RfTransferState *state);
extern bool rf_payload_make_form(RfTransferState *state);
extern void rf_payload_free(RfTransferState *state);

/* answer.c: callbacks that read the answer */
extern size_t rf_answer_header(char *data, size_t size, size_t count, void *arg);
extern size_t rf_answer_body(char *data, size_t size, size_t count, void *arg);

/* guard.c: callbacks that say no */
extern int	rf_guard_prerequest(void *arg, char *remote_ip, char *local_ip,
								int remote_port, int local_port);
extern int	rf_guard_resolve(void *resolver, void *reserved, void *arg);
extern curl_socket_t rf_guard_open_socket(void *arg, curlsocktype purpose,
										  struct curl_sockaddr *address);

#endif							/* ROLEFERRY_HTTP_STATE_H */

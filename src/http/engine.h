/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  HTTPS transfers on one libcurl multi handle and one epoll descriptor.
 *
 * One engine a process, created after fork and never cleaned up.  The caller
 * waits on rf_http_epoll_fd() together with whatever else it waits for, calls
 * rf_http_turn(), and takes finished transfers with rf_http_next_finished().
 * Knows no provider, no SQL and no PostgreSQL: memory is malloc'd, nothing
 * here raises, all signals are blocked while libcurl runs (its resolver
 * threads inherit the mask).
 *
 * Time is the monotonic clock in microseconds, passed in.
 *
 * Deadlines are the engine's own, and judged only after every readable socket
 * has been read: an answer that waited in the socket while the process was
 * stopped is an answer, not a timeout.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ENGINE_H
#define ROLEFERRY_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/request.h"

typedef struct RfHttpEngine RfHttpEngine;

typedef struct RfHttpConfig
{
	int			max_connections;	/* in all and to one host */
	int64_t		connect_timeout_us; /* until the connection is usable, TLS
									 * included */
	int64_t		total_timeout_us;	/* from start to the end of the answer */
	int64_t		idle_timeout_us;	/* no byte in either direction (slowloris:
									 * see stall) */
	int			reuse_max_idle_s;	/* a connection idle longer carries no
									 * effectful request */
	size_t		max_body_bytes; /* kept of an answer */
	const char *ca_file;		/* PEM bundle; NULL or "": the system's
								 * default */
	const char *proxy;			/* "" or NULL: none, whatever the environment
								 * says */
	const char *allow_insecure_hosts;	/* comma list of host[:port] that may
										 * be http */
	const char *allow_private_addresses;	/* comma list of addresses or CIDR
											 * blocks */
} RfHttpConfig;

typedef enum RfTransferEnd
{
	RF_TRANSFER_ANSWERED,		/* response.status is set; body may be cut */
	RF_TRANSFER_NOT_SENT,		/* no byte of the request can have left */
	RF_TRANSFER_AMBIGUOUS		/* it may have arrived; no status line came
								 * back */
} RfTransferEnd;

#define RF_TRANSFER_WHY_MAX 160

typedef struct RfTransfer
{
	/* set by the caller before rf_http_start() */
	RfRequest	request;		/* owned by the transfer from then on */
	void	   *owner;

	/* set by the engine */
	RfTransferEnd end;
	RfResponse	response;
	char		why[RF_TRANSFER_WHY_MAX];	/* "connection refused", no
											 * secret, no URL; empty when
											 * answered */
	bool		timed_out;
	bool		starved;		/* not sent for want of our own descriptors or
								 * memory: no fault of the host's */
	bool		reused;			/* went out on a kept-alive connection */
	int64_t		started_us;
	int64_t		sent_us;		/* request may have begun to leave; 0: never */
	int64_t		finished_us;

	struct RfTransferState *state;	/* the engine's own */
} RfTransfer;

/*
 * NULL and *why when libcurl is too old (7.87), has no asynchronous resolver,
 * or something cannot be created.
 */
extern RfHttpEngine *rf_http_engine_create(const RfHttpConfig *config,
										   const char **why);

/* New settings; transfers in flight keep theirs.  False: out of memory, old ones stay. */
extern bool rf_http_configure(RfHttpEngine *engine, const RfHttpConfig *config);

extern int	rf_http_epoll_fd(const RfHttpEngine *engine);

/* Would rf_http_turn() find a socket ready?  Does not wait. */
extern bool rf_http_is_ready(const RfHttpEngine *engine);
extern int	rf_http_in_flight(const RfHttpEngine *engine);

/*
 * How many transfers to this URL's host may start now: while a host name is
 * not resolved one transfer goes ahead and the rest wait (0), or each would
 * cost a resolver thread.
 */
extern int	rf_http_host_capacity(RfHttpEngine *engine, const char *url,
								  int64_t now_us);

/*
 * Start.  False: it could not even be started (then it is finished already,
 * with end = NOT_SENT and why set, and is not returned by next_finished()).
 */
extern bool rf_http_start(RfHttpEngine *engine, RfTransfer *transfer,
						  int64_t now_us);

/* Read and write whatever is ready, then judge deadlines.  Never blocks. */
extern void rf_http_turn(RfHttpEngine *engine, int64_t (*clock_us) (void));

/*
 * When must rf_http_turn() run even if no socket is ready?  INT64_MAX: never.
 * The past while something finished has not been taken.
 */
extern int64_t rf_http_next_deadline(const RfHttpEngine *engine);

extern RfTransfer *rf_http_next_finished(RfHttpEngine *engine);

/*
 * Give up on a transfer now: end is NOT_SENT or AMBIGUOUS by what left (or
 * ANSWERED, cut, when the status line is there).  It comes out of
 * rf_http_next_finished() as any other, unless it is released first.
 */
extern void rf_http_abort(RfHttpEngine *engine, RfTransfer *transfer,
						  const char *why, int64_t now_us);

/* Frees what the engine and the request hold, wiping secrets; not the struct. */
extern void rf_http_release(RfTransfer *transfer);

#endif							/* ROLEFERRY_ENGINE_H */

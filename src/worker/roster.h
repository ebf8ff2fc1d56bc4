/*-------------------------------------------------------------------------
 *
 * roster.h
 *	  The accounts as the dispatcher uses them, and orders of accounts.
 *
 * Entries live as long as the process, so that a transfer in flight can point
 * to its account while servers are altered or dropped.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ROSTER_H
#define ROLEFERRY_ROSTER_H

#include "account/account.h"
#include "account/secret.h"
#include "core/log_pace.h"
#include "http/engine.h"
#include "shmem/gate.h"
#include "worker/queues.h"

#define RF_ROUTE_MAX_ACCOUNTS 32

struct RfLimitRule;				/* limits.c */

typedef struct RfRosterEntry
{
	Oid			server;
	bool		present;		/* the server exists still, under this name */
	char	   *name;
	const RfProvider *provider;
	char	   *base_url;
	char	   *region;
	char	   *domain;
	char	   *dialect;
	char	   *secret_name;
	char	   *quota_group;
	int			max_in_flight;	/* 0: no bound of its own */
	uint32		cost_per_call;	/* credits, where nothing better is known */
	int			in_flight;
	int			reserved;		/* claimed in this turn, not yet started */
	int64		paused_until_us;	/* by a person; 0: not */
	unsigned long secret_version;	/* last used */
	int64		secret_checked_us;
	bool		secret_good;
	struct RfLimitRule *limits; /* its rate limits */
	int			nlimits;
	bool		too_many_limits;	/* more than can be kept: closed */
	RfLogPace	notices;		/* lines about it in the log */
} RfRosterEntry;

/* Read the accounts again if they changed.  In a transaction. */
extern void rf_roster_refresh(void);

/* NULL: there is no such account now. */
extern RfRosterEntry *rf_roster_find_server(Oid server);

/* Entry i, present or not; NULL: past the end. */
extern RfRosterEntry *rf_roster_at(int i);

/* NULL: there is no such account now. */
extern RfRosterEntry *rf_roster_find(const char *name);

/* The account's key for a request now; NULL: unusable (its gate is closed). */
extern const RfSecret *rf_roster_secret(RfRosterEntry *entry, bool reread);

/*
 * Requests that may start on this account now.  0 with *closed: its gate is
 * closed, others may take over.  0 otherwise: it is only busy for a moment.
 */
extern int	rf_roster_capacity(RfRosterEntry *entry, RfHttpEngine *engine,
							   int64 now_us, bool *closed);

/* The route of jobs of a queue that no account holds up: they are not sent. */
extern int	rf_roster_capture_route(const char *queue);

/* Intern a queue and an order of accounts (List of char *); -1: none. */
extern int	rf_roster_route(const char *queue, List *accounts);

/* The queue of a route; NULL: not known. */
extern struct RfQueueEntry *rf_roster_route_queue(int route);

/* The route of the jobs that a pool of executors runs: see pool.h. */
extern int	rf_roster_pool_route(const char *queue, int pool);
extern bool rf_roster_is_pool(int route);

/*
 * Requests that may start on this route now; INT_MAX: no bound.  Where the
 * queue or every account is closed, *opens_at_us is the earliest to open (0 if unknown).
 */
extern int	rf_roster_route_capacity(int route, RfHttpEngine *engine,
									 int64 now_us, int64 *opens_at_us);

/* Jobs of this route were claimed: fewer can be claimed for its accounts. */
extern void rf_roster_reserve(int route, int count, RfHttpEngine *engine,
							  int64 now_us);

/* Nothing is claimed that has not started. */
extern void rf_roster_release_all(void);

extern const char *rf_roster_url(RfRosterEntry *entry);

#endif							/* ROLEFERRY_ROSTER_H */

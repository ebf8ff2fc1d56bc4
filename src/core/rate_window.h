/*-------------------------------------------------------------------------
 *
 * rate_window.h
 *	  Exact sliding window: at most N requests in any interval of length W.
 *
 * Pure logic: no PostgreSQL headers, no allocation, no clock.  The caller
 * owns the memory (in shared memory: there are no pointers in it), holds
 * whatever lock protects it, and passes the current monotonic time in.
 *
 * A token is taken before a request begins and comes back one window after
 * the request has ended: at some moment in between the provider has counted
 * it, nobody knows which.  So whatever moments the provider takes, no interval
 * of length W has more than N of them.
 *
 * With pacing, requests also begin at least W/N apart.
 *
 * A request may take several tokens: credits are counted so.  A window of
 * credits may be far larger than what there is memory for; it is coarse: it
 * keeps tokens that come back at nearly the same time together, and all of them
 * come back with the last.  So it is never more generous than an exact one, and
 * at most a 500th of its length slower.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RATE_WINDOW_H
#define ROLEFERRY_RATE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RF_RATE_MAX_REQUESTS	100000
#define RF_RATE_MAX_CREDITS		1000000000
#define RF_RATE_COARSE_PLACES	512

/* When is not known: as soon as a request that is under way has ended. */
#define RF_RATE_WHEN_ENDED		INT64_MAX

typedef struct RfRateWindow
{
	uint32_t	max;			/* N */
	uint32_t	running;		/* tokens taken whose requests have not ended */
	uint32_t	ended;			/* tokens that come back, in the ring */
	uint32_t	places;			/* of the ring: N, or fewer if it is coarse */
	uint32_t	filled;			/* of them */
	uint32_t	first;			/* index of the oldest */
	uint32_t	promised;		/* tokens to come that somebody waits for */
	uint32_t	early;			/* of those, by whom a moment too early */
	bool		pace;
	bool		coarse;
	int64_t		per_us;			/* W */
	int64_t		paced_until_us; /* no request begins before */
	int64_t		promised_until_us;	/* the last moment promised, with pacing */
	int64_t		joined_until_us;	/* coarse: the newest place takes more */
	int64_t		ends[];			/* ring: when they ended, oldest first; then,
								 * if coarse, how many in each place */
} RfRateWindow;

/* Bytes that a window of so many tokens takes. */
extern size_t rf_rate_window_size(uint32_t max, bool coarse);

/*
 * max: 1 to RF_RATE_MAX_REQUESTS, or RF_RATE_MAX_CREDITS if coarse; per_us: at
 * least 1.
 */
extern void rf_rate_window_init(RfRateWindow *window, uint32_t max,
								int64_t per_us, bool pace, bool coarse);

/*
 * The same requests in a window of another size, which was initialized: what
 * the old one has forgotten stays forgotten.
 */
extern void rf_rate_window_copy(RfRateWindow *to, const RfRateWindow *from);

/* How many tokens can be taken now. */
extern uint32_t rf_rate_window_free(RfRateWindow *window, int64_t now_us);

/* Tokens that count now: of requests under way, or ended less than a window ago. */
extern uint32_t rf_rate_window_used(const RfRateWindow *window, int64_t now_us);

/* When can so many be taken, if nobody does before?  0: now. */
extern int64_t rf_rate_window_next(RfRateWindow *window, uint32_t tokens,
								   int64_t now_us);

/* Who asks when his turn is? */
typedef enum RfRateWaiter
{
	RF_RATE_CURIOUS,			/* he may not wait at all */
	RF_RATE_NEWCOMER,			/* he waits, behind all who were promised */
	RF_RATE_EARLY				/* he was promised and came too early */
} RfRateWaiter;

/* The next of his kind to ask gets the tokens after his. */
extern int64_t rf_rate_window_turn(RfRateWindow *window, uint32_t tokens,
								   int64_t now_us, RfRateWaiter waiter);

/* Take tokens of each window (NULL: one of each), or of none (false). */
extern bool rf_rate_windows_take(RfRateWindow **windows, const uint32_t *tokens,
								 int nwindows, int64_t now_us);

/* The request has ended.  Moments never go back. */
extern void rf_rate_window_end(RfRateWindow *window, uint32_t tokens,
							   int64_t now_us);

/* It never began, or took less: these tokens are as good as new. */
extern void rf_rate_window_withdraw(RfRateWindow *window, uint32_t tokens);

/* Nobody will tell how these requests end: they end now. */
extern void rf_rate_window_end_all(RfRateWindow *window, int64_t now_us);

/* Count tokens of requests that ended then and that it never saw begin. */
extern void rf_rate_window_add(RfRateWindow *window, uint32_t tokens,
							   int64_t ended_us);

#endif							/* ROLEFERRY_RATE_WINDOW_H */

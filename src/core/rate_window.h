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
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RATE_WINDOW_H
#define ROLEFERRY_RATE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RF_RATE_MAX_REQUESTS	100000

/* When is not known: as soon as a request that is under way has ended. */
#define RF_RATE_WHEN_ENDED		INT64_MAX

typedef struct RfRateWindow
{
	uint32_t	max;			/* N */
	uint32_t	running;		/* tokens taken whose requests have not ended */
	uint32_t	ended;			/* tokens that come back, in the ring */
	uint32_t	first;			/* index of the oldest of them */
	uint32_t	promised;		/* tokens to come that somebody waits for */
	uint32_t	early;			/* of those, by whom a moment too early */
	bool		pace;
	int64_t		per_us;			/* W */
	int64_t		paced_until_us; /* no request begins before */
	int64_t		promised_until_us;	/* the last moment promised, with pacing */
	int64_t		ends[];			/* ring of max: when they ended, oldest first */
} RfRateWindow;

/* Bytes that a window of so many requests takes. */
extern size_t rf_rate_window_size(uint32_t max);

/* max: 1 to RF_RATE_MAX_REQUESTS; per_us: at least 1. */
extern void rf_rate_window_init(RfRateWindow *window, uint32_t max,
								int64_t per_us, bool pace);

/*
 * The same requests in a window of another size, which was initialized: what
 * the old one has forgotten stays forgotten.
 */
extern void rf_rate_window_copy(RfRateWindow *to, const RfRateWindow *from);

/* How many requests may begin now. */
extern uint32_t rf_rate_window_free(RfRateWindow *window, int64_t now_us);

/* Requests that count now: under way, or ended less than a window ago. */
extern uint32_t rf_rate_window_used(const RfRateWindow *window, int64_t now_us);

/* When may one begin, if none does before?  0: now. */
extern int64_t rf_rate_window_next(RfRateWindow *window, int64_t now_us);

/* Who asks when his turn is? */
typedef enum RfRateWaiter
{
	RF_RATE_CURIOUS,			/* he may not wait at all */
	RF_RATE_NEWCOMER,			/* he waits, behind all who were promised */
	RF_RATE_EARLY				/* he was promised and came too early */
} RfRateWaiter;

/* The next of his kind to ask gets the token after his. */
extern int64_t rf_rate_window_turn(RfRateWindow *window, int64_t now_us,
								   RfRateWaiter waiter);

/* Take a token of each window, or of none (false). */
extern bool rf_rate_windows_take(RfRateWindow **windows, int nwindows,
								 int64_t now_us);

/* The request has ended.  Moments never go back. */
extern void rf_rate_window_end(RfRateWindow *window, int64_t now_us);

/* It never began: the token is as good as new. */
extern void rf_rate_window_withdraw(RfRateWindow *window);

/* Nobody will tell how these requests end: they end now. */
extern void rf_rate_window_end_all(RfRateWindow *window, int64_t now_us);

/* Count requests that ended then, and that this window never saw begin. */
extern void rf_rate_window_add(RfRateWindow *window, uint32_t count,
							   int64_t ended_us);

#endif							/* ROLEFERRY_RATE_WINDOW_H */

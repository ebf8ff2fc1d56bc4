/*-------------------------------------------------------------------------
 *
 * order_keys.h
 *	  Order keys as the dispatcher uses them: which of their jobs may run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WORKER_ORDER_KEYS_H
#define ROLEFERRY_WORKER_ORDER_KEYS_H

#include "outbox/claim.h"

struct RfDispatcher;

/* A commit has put a job of a key into a parked lane, or ended one: its id. */
extern void rf_order_keys_hint(int64 lane, int64 id);

/*
 * In the claim's transaction: first let go whose turn it is, then, of what was
 * claimed, park what must wait.  Returns the jobs that may start.
 */
extern void rf_order_keys_advance(struct RfDispatcher *d);

/* Those that were served from where they are parked: order_ready.h. */
extern List *rf_order_keys_claim_ready(struct RfDispatcher *d);
extern List *rf_order_keys_sift(struct RfDispatcher *d, List *jobs);
extern void rf_order_keys_claimed(bool committed);

/* Is a claim wanted, though nothing else is due; and when is one? */
extern bool rf_order_keys_want_claim(void);
extern int64 rf_order_keys_next_us(void);

/* A job runs no longer: it is gone, or waits again.  Lane 0: it is of no key. */
extern void rf_order_keys_ended(int64 lane, int64 id);

/* The same of one whose row is gone: who looks for the next need not pass it. */
extern void rf_order_keys_gone(int64 lane, int64 id);

/*
 * Look for keys whose turn nobody announced: of all of them after this call, of
 * some at other sweeps.
 */
extern void rf_order_keys_look_everywhere(void);
extern void rf_order_keys_sweep(void);

#endif							/* ROLEFERRY_WORKER_ORDER_KEYS_H */

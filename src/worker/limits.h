/*-------------------------------------------------------------------------
 *
 * limits.h
 *	  Rate limits as the dispatcher keeps them.
 *
 * A full window is a closed gate: the next account may have the job, or it
 * waits until the moment its token comes back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_LIMITS_H
#define ROLEFERRY_LIMITS_H

#include "shmem/limit.h"
#include "worker/flight.h"
#include "worker/limit_rules.h"

struct RfDispatcher;

/*
 * What a request costs: said by who made it, or the account's cost_per_call.
 * More than a budget of the account ever holds: it can never go there.
 */
extern uint32 rf_limits_cost(const RfFlight *flight, const RfRosterEntry *entry);

/*
 * How much requests of this endpoint may cost now, leaving aside limits by key;
 * UINT32_MAX: there is no budget.  *requests: how many there may be; INT_MAX: any
 * number.  Where one of them is 0, *next_us says when it is more; 0: not known.
 */
extern uint32 rf_limits_affordable(RfRosterEntry *entry, const char *endpoint,
								   int64 now_us, int *requests, int64 *next_us);
extern const char *rf_limits_endpoint(const RfFlight *flight);
extern bool rf_limits_never(RfFlight *flight, RfRosterEntry *entry);

/*
 * Requests that the account's limits let begin now, leaving aside those that
 * depend on the request: by key, by endpoint, and budgets where requests do not
 * cost the same; INT_MAX: it has no others.  *next_us: where none may, when one may; 0: as
 * soon as another has ended.
 */
extern int	rf_limits_room(RfRosterEntry *entry, int64 now_us, int64 *next_us);

/* Do all its limits let this job go by this account now? */
extern bool rf_limits_admit(RfFlight *flight, RfRosterEntry *entry, int64 now_us);

/* When it is this job's turn there; 0: it is not they that hold it up. */
extern int64 rf_limits_turn(RfFlight *flight, RfRosterEntry *entry, int64 now_us);

/*
 * It waits for its turn at that account, then or, if it came too early, when
 * this returns.  When the limits change, all that wait so are due: in a
 * transaction.
 */
extern TimestampTz rf_limits_defer(RfFlight *flight, RfRosterEntry *entry,
								   int64 now_us, TimestampTz run_at);
extern void rf_limits_release(void);

/* So does this one, which was told its moment elsewhere. */
extern void rf_limits_remember(int64 job_id, TimestampTz run_at);

/* What a request takes of which windows (up to RF_LIMITS_MAX). */
#define RF_LIMITS_CLOSED	(-1)	/* one of them cannot be had */
extern int	rf_limits_gather(RfFlight *flight, RfRosterEntry *entry,
							 RfLimitShare *shares, int64 now_us);

/*
 * Take a token of each window for the account it goes out by.  False: none
 * was granted; it is claimed again after a moment.
 */
#define RF_UNGRANTED_US INT64CONST(20000)
extern bool rf_limits_take(RfFlight *flight);

/* It never started: its tokens are free again. */
extern void rf_limits_withdraw(RfFlight *flight);

/* Its request has ended and cost so many credits; or it never left. */
extern void rf_limits_end(RfFlight *flight, bool left, uint32 credits);

/*
 * In the claim's transaction: write down the tokens that those about to start
 * will take.  They can be taken once that is committed.
 */
extern void rf_limits_grant(struct RfDispatcher *d);
extern void rf_limits_granted(bool committed);

/*
 * What the answer says is left of the provider's windows: ours never let more
 * through than before.
 */
extern void rf_limits_learn(RfFlight *flight);

#endif							/* ROLEFERRY_LIMITS_H */

/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  Executors, and the jobs of SQL tasks that are on their way to them.
 *
 * A pool is the executors of one role, those for tasks that share
 * transactions apart.  All executors of a database share
 * roleferry.max_executors.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_POOL_H
#define ROLEFERRY_POOL_H

#include "outbox/claim.h"
#include "worker/queues.h"

struct RfDispatcher;

/* Jobs an executor has in hand, the one under way included. */
#define RF_PREFETCH			4
#define RF_PREFETCH_BATCH	100

/* pool.c: who runs what */

/* Read the tasks again.  In a transaction, connected to SPI. */
extern void rf_pools_refresh(void);

/* The pool for a task's jobs of this role; numbers are kept. */
extern int	rf_pool_for(const char *task, const char *role);
extern const char *rf_pool_role(int pool);
extern bool rf_pool_is_batch(int pool);

/* Is it a job for an executor? */
extern bool rf_pool_wants(const RfClaimedJob *job);

/* Failures after which it is given up: as it says, or its task, or the setting. */
extern int	rf_pool_max_attempts(const RfClaimedJob *job);

/* Jobs that can be claimed for it now. */
extern int	rf_pool_room(int pool);

/* In the claim's transaction: on its way once that is committed. */
extern void rf_pool_keep(struct RfDispatcher *d, RfClaimedJob *job);
extern void rf_pools_claimed(struct RfDispatcher *d, bool committed);
extern bool rf_pools_have_kept(void);

/* staff.c: the executors */

/* Give out, or settle what cannot run. */
extern bool rf_staff_give(struct RfDispatcher *d, int pool, Oid role,
						  const RfClaimedJob *job, RfQueueEntry *queue);

/* What became of jobs; who ended; who is to make room for another role. */
extern void rf_staff_turn(struct RfDispatcher *d);

/* The room in executors that there are, and in those that could be started. */
extern int	rf_staff_room(int pool, int prefetch);

/* May any of them have more to do, or another be started? */
extern bool rf_staff_has_room(void);

/* Jobs that are with executors.  ids has room for them. */
extern int	rf_staff_in_hand(void);
extern int	rf_staff_ids(int64 *ids);

/* When to look at them again though nobody wakes us; INT64_MAX: no need. */
extern int64 rf_staff_look_at_us(void);

/* Leaving: finish what is under way, then: not even that. */
extern void rf_staff_dismiss(void);
extern void rf_staff_stop(struct RfDispatcher *d);
extern bool rf_staff_is_gone(void);

#endif							/* ROLEFERRY_POOL_H */

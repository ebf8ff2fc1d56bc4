/*-------------------------------------------------------------------------
 *
 * idempotency.h
 *	  One job for each (role, idempotency key).
 *
 * Runs as a role that may write roleferry.idempotency, connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_IDEMPOTENCY_H
#define ROLEFERRY_IDEMPOTENCY_H

/*
 * True: the key is this job's now, if the transaction commits.  False: it was
 * used before, or by a concurrent transaction (which is waited for, as by any
 * unique index).
 */
extern bool rf_idempotency_take(const char *role, const char *key, int64 job_id);

/* The job that has the key.  Raises where it cannot be seen yet. */
extern int64 rf_idempotency_holder(const char *role, const char *key);

#endif							/* ROLEFERRY_IDEMPOTENCY_H */

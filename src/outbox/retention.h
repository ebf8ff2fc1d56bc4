/*-------------------------------------------------------------------------
 *
 * retention.h
 *	  Letting old records go.
 *
 * In a transaction, connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RETENTION_H
#define ROLEFERRY_RETENTION_H

/* Which attempt table (0 to 2) is written now. */
extern int	rf_retention_attempt_table(void);

/*
 * Empty the oldest attempt table and write into it from now on, when the
 * current one has been written for half the retention.  Waits for no lock
 * longer than lock_timeout.
 */
extern void rf_retention_rotate_attempts(void);

/* The same for results.  A table that somebody reads is left for the next time. */
extern int	rf_retention_result_table(void);
extern void rf_retention_rotate_results(void);

/* Delete a bounded number of old rows; true when there may be more. */
extern bool rf_retention_purge(void);

#endif							/* ROLEFERRY_RETENTION_H */

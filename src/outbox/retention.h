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

/* Tables of which three take turns, so that what is old goes by TRUNCATE. */
typedef enum RfTurns
{
	RF_TURNS_ATTEMPTS,
	RF_TURNS_RESULTS
} RfTurns;

/* Which of the three (0 to 2) is written now. */
extern int	rf_retention_table(RfTurns which);

/*
 * Empty the oldest and write into it from now on, when the current one has
 * been written for half the time that its rows are kept.  One that somebody
 * uses is left for the next time.  Attempts of jobs that wait or are dead
 * letters move to attempt_kept.
 */
extern void rf_retention_rotate(RfTurns which);

/* Delete a bounded number of old rows; true when there may be more. */
extern bool rf_retention_purge(void);

#endif							/* ROLEFERRY_RETENTION_H */

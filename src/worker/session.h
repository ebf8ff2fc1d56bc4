/*-------------------------------------------------------------------------
 *
 * session.h
 *	  A background worker's database session: settings and transactions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SESSION_H
#define ROLEFERRY_SESSION_H

/* Connect and pin what a database or role could have set otherwise. */
extern void rf_session_connect(const char *database);

typedef enum RfCommit
{
	RF_COMMIT_LAZY,				/* not flushed: a flushed commit follows in
								 * this turn */
	RF_COMMIT_FLUSHED,			/* on the local disk */
	RF_COMMIT_CLAIM				/* as roleferry.claim_synchronous_commit says */
} RfCommit;

typedef void (*RfWork) (void *arg);

/*
 * Run work in a transaction of its own, connected to SPI, holding a share
 * lock on the extension.  False: it failed and was rolled back, a WARNING
 * says why; or the extension is not there, being changed, or of another version
 * than this library: then work was not called and *missing is set.
 *
 * Where the extension was dropped, or another one stands in its place, what
 * this process has in memory belongs to nobody: it exits, and the launcher
 * starts another.
 */
extern bool rf_session_run(RfWork work, void *arg, RfCommit commit,
						   const char *doing, bool *missing);

/*
 * In a transaction, first of all: hold the extension as it is.  False: it
 * cannot be had now, or is of another version.
 */
extern bool rf_session_lock_extension(void);

/* What the last transaction met instead of work, or NULL. */
extern const char *rf_session_obstacle(void);

#endif							/* ROLEFERRY_SESSION_H */

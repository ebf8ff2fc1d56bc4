/*-------------------------------------------------------------------------
 *
 * evict.h
 *	  Asking the dispatcher out of a database that a session wants alone.
 *
 * DROP DATABASE, and whatever else needs a database without sessions, asks
 * first; the dispatcher lands what it can within the grace the asker grants,
 * settles, and exits, and none is started until the asker is done.  Askers are kept in
 * shared memory by backend: a session that dies is forgotten.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EVICT_H
#define ROLEFERRY_EVICT_H

/* For answers that are on their way; nobody waits for us longer than 2 s. */
#define RF_EVICT_GRACE_MS	1500

/* The same for who wants it by force. */
#define RF_EVICT_FORCE_MS	300

/*
 * In a session: ask, and wait until the dispatcher is gone.  False: it is
 * still there after a while (the command will then say so itself), or too
 * many sessions ask at once.
 */
extern bool rf_evict_begin(Oid database, int grace_ms);
extern void rf_evict_end(void);

/* In the dispatcher: must it leave? */
extern bool rf_evict_asked(Oid database);

/* In the launcher: must it, or must one that ran at that moment have left? */
extern bool rf_evict_asked_since(Oid database, int64 since_us);

/* How long answers may take: the shortest of those that ask. */
extern int	rf_evict_grace_ms(Oid database);

#endif							/* ROLEFERRY_EVICT_H */

/*-------------------------------------------------------------------------
 *
 * watch.h
 *	  Is it worth while to watch for something before one sleeps?
 *
 * Each time while what is watched for comes; after some times in vain only once
 * in a while, so that it is noticed when it pays again.
 *
 * Pure logic: no PostgreSQL headers, no clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WATCH_H
#define ROLEFERRY_WATCH_H

#include <stdbool.h>

#define RF_WATCH_IN_VAIN	8	/* times before it is given up */
#define RF_WATCH_SELDOM		64	/* then one wait of so many is watched */

/* All zero at first. */
typedef struct RfWatch
{
	int			in_vain;		/* since it came last */
	unsigned	waits;			/* since it was given up */
} RfWatch;

/* With every wait: is this one to be watched? */
extern bool rf_watch_wants(RfWatch *watch);

/* What came of it. */
extern void rf_watch_learn(RfWatch *watch, bool came);

/* May so many watch, each of whom keeps a core from those they wait for? */
extern bool rf_watch_has_cores(int watchers, int cores);

#endif							/* ROLEFERRY_WATCH_H */

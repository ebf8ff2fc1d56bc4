/*-------------------------------------------------------------------------
 *
 * watch.c
 *	  Is it worth while to watch for something before one sleeps?
 *
 * IDENTIFICATION
 *	  src/core/watch.c
 *
 *-------------------------------------------------------------------------
 */
#include "core/watch.h"

bool
rf_watch_wants(RfWatch *watch)
{
	return watch->in_vain < RF_WATCH_IN_VAIN || ++watch->waits % RF_WATCH_SELDOM == 0;
}

void
rf_watch_learn(RfWatch *watch, bool came)
{
	if (came)
		watch->in_vain = 0;
	else if (watch->in_vain < RF_WATCH_IN_VAIN)
		watch->in_vain++;
}

bool
rf_watch_has_cores(int watchers, int cores)
{
	return watchers <= cores / 2;
}

/*-------------------------------------------------------------------------
 *
 * mode.h
 *	  May anything leave, and how?
 *
 * The server has a mode, a session may have one, and a job carries the one it
 * was enqueued under; the strictest holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_MODE_H
#define ROLEFERRY_MODE_H

#include <stdbool.h>

/* From the loosest to the strictest. */
typedef enum RfMode
{
	RF_MODE_LIVE,
	RF_MODE_SANDBOX,			/* with the provider's own test flag */
	RF_MODE_CAPTURE,			/* nothing is sent: it can be looked at */
	RF_MODE_OFF					/* nothing is sent, and jobs wait */
} RfMode;

/* What becomes of a job that is ready to leave. */
typedef enum RfModeVerdict
{
	RF_MODE_SENDS,
	RF_MODE_TESTS,				/* it is sent with the test flag */
	RF_MODE_KEEPS,				/* it is not sent, and that is its end */
	RF_MODE_WAITS,
	RF_MODE_REFUSES				/* it would have to be a test, and cannot be */
} RfModeVerdict;

extern RfMode rf_mode_stricter(RfMode a, RfMode b);

/*
 * What a new job carries, of the mode its session chose (live: none) and the
 * server's.  A server that is off makes jobs wait and not worthless: they go
 * when it is on again, so that is not written down.
 */
extern RfMode rf_mode_of_new_job(RfMode chosen, RfMode server);

/* can_test: there is a test flag for what it asks. */
extern RfModeVerdict rf_mode_decide(RfMode mode, bool can_test);

extern const char *rf_mode_text(RfMode mode);

/* NULL is live; so is what is no mode, which nothing of ours writes. */
extern RfMode rf_mode_of_text(const char *text);

#endif							/* ROLEFERRY_MODE_H */

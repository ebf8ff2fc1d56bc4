/*-------------------------------------------------------------------------
 *
 * replay.h
 *	  Recorded events taken up again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_REPLAY_H
#define ROLEFERRY_REPLAY_H

#include "inbox/intake.h"

/* What to take up; NULL and 0 leave it open. */
typedef struct RfReplay
{
	bool		due;			/* those that failed and whose time has come */
	char	   *source;
	char	   *status;			/* failed, dead or shadow */
	char	   *type;
	int64		since;			/* TimestampTz they were received; 0: any */
	int			max_events;
	bool		dry_run;
} RfReplay;

/*
 * Connected to SPI, as the tables' owner: calls report() for each, with the
 * status it has now, oldest first.
 */
extern void rf_replay(const RfReplay *replay,
					  void (*report) (void *arg, const RfIncoming *event), void *arg);

#endif							/* ROLEFERRY_REPLAY_H */

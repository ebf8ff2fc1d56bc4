/*-------------------------------------------------------------------------
 *
 * history.h
 *	  How the server came from one timeline to another.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HISTORY_H
#define ROLEFERRY_HISTORY_H

#include "access/xlogdefs.h"

#define RF_HISTORY_REASON_MAX 128

typedef enum RfHistory
{
	RF_HISTORY_PROMOTED,		/* a standby was promoted, here and since the
								 * server started */
	RF_HISTORY_RESTORED,		/* recovery stopped at a target: *reason says
								 * which */
	RF_HISTORY_UNKNOWN			/* nothing proves the one or the other */
} RfHistory;

/* From then to now, two different timelines.  reason: RF_HISTORY_REASON_MAX. */
extern RfHistory rf_history_since(TimeLineID then, TimeLineID now, char *reason);

#endif							/* ROLEFERRY_HISTORY_H */

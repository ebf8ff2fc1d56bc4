/*-------------------------------------------------------------------------
 *
 * pause.h
 *	  The tables pause and queue, as the dispatcher reads them.
 *
 * All functions run in a transaction, connected to SPI; lists are palloc'd.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_PAUSE_H
#define ROLEFERRY_PAUSE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef enum RfPauseKind
{
	RF_PAUSE_QUEUE,
	RF_PAUSE_ACCOUNT,
	RF_PAUSE_ALL
} RfPauseKind;

typedef struct RfPause
{
	RfPauseKind kind;
	char	   *name;			/* of the queue or account */
	Oid			server;			/* the account's, when it was paused */
	TimestampTz until;			/* DT_NOEND: until it is resumed */
} RfPause;

typedef struct RfQueueBound
{
	char	   *name;
	int			concurrency;	/* 0: no bound of its own */
} RfQueueBound;

extern List *rf_pause_list(void);	/* of RfPause, those in force */
extern List *rf_pause_bounds(void); /* of RfQueueBound */

/* Forget those that have ended. */
extern void rf_pause_purge(void);

#endif							/* ROLEFERRY_PAUSE_H */

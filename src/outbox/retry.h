/*-------------------------------------------------------------------------
 *
 * retry.h
 *	  The table retry_policy: how jobs are tried again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RETRY_H
#define ROLEFERRY_RETRY_H

#include "nodes/pg_list.h"

typedef struct RfRetryRow
{
	char	   *task;			/* "*": any */
	char	   *outcome;
	int			max_attempts;	/* 0: it does not say */
	int64		base_us;		/* -1: it does not say */
	int64		cap_us;
} RfRetryRow;

/* All of them, palloc'd; in a transaction, connected to SPI. */
extern List *rf_retry_rows(void);

#endif							/* ROLEFERRY_RETRY_H */

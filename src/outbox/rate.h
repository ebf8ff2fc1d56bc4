/*-------------------------------------------------------------------------
 *
 * rate.h
 *	  Rate limits as they are written, and their use as it is on disk.
 *
 * All functions run in a transaction, connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RATE_H
#define ROLEFERRY_RATE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* What a limit counts apart. */
typedef enum RfRateBy
{
	RF_RATE_ALL,
	RF_RATE_FROM_ADDR,
	RF_RATE_TO_DOMAIN,
	RF_RATE_TENANT_KEY
} RfRateBy;

typedef struct RfRateRule
{
	int64		id;
	Oid			server;			/* when it was written, or InvalidOid */
	char	   *account;
	char	   *endpoint;		/* empty: all */
	RfRateBy	by;
	uint32		max;
	int64		per_us;
	bool		pace;
	bool		credits;		/* it counts credits */
} RfRateRule;

/*
 * One block of tokens.  outstanding: those granted before whose requests had
 * not ended by then.  So between two blocks of a window
 * outstanding + tokens - (the next one's outstanding) requests have ended.
 */
typedef struct RfRateUse
{
	int64		limit_id;
	uint64		key_hash;
	TimestampTz granted_at;
	uint32		tokens;
	uint32		outstanding;
} RfRateUse;

/* Of RfRateRule: rows of rate_limit, and defaults where there are none. */
extern List *rf_rate_rules(void);
extern List *rf_rate_uses(void);	/* of RfRateUse, by window, in order */
extern void rf_rate_write(List *uses);

/* Jobs that waited for their token are due again. */
extern void rf_rate_release(const int64 *ids, int nids);

/* Blocks that no window can remember. */
extern void rf_rate_purge(void);

#endif							/* ROLEFERRY_RATE_H */

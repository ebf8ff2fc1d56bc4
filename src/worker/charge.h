/*-------------------------------------------------------------------------
 *
 * charge.h
 *	  The databases that the launcher is to serve, and how each of them stands.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CHARGE_H
#define ROLEFERRY_CHARGE_H

#include "postmaster/bgworker.h"

#include "shmem/shared.h"

#define RF_FIRST_BACKOFF_US	INT64CONST(1000000)

typedef struct RfCharge
{
	char		database[NAMEDATALEN];	/* empty: free */
	Oid			oid;			/* when it was last looked up */
	bool		wanted;
	BackgroundWorkerHandle *handle; /* NULL: not running, or not ours */
	bool		dismissed;		/* told to stop: its end is no failure */
	bool		no_slot;		/* no slot was free at the last try */
	int64		started_us;
	int64		start_at_us;	/* not before */
	int64		backoff_us;
	char		trouble[128];	/* why it has no dispatcher; empty: none */
	int64		complained_us;	/* 0: the log knows nothing of it */
} RfCharge;

/* The launcher's own; one with an empty name is free. */
extern RfCharge rf_charges[RF_MAX_DISPATCHERS];

/* After a change of roleferry.databases: who is wanted, and who no longer. */
extern void rf_charges_read(void);

/* Why it has no dispatcher.  Empty: it is over. */
extern void rf_charge_set_trouble(RfCharge *charge, const char *format,...) pg_attribute_printf(2, 3);

/* Tell the log and pg_stat_activity. */
extern void rf_charges_complain(int64 now);
extern void rf_charges_report(void);

#endif							/* ROLEFERRY_CHARGE_H */

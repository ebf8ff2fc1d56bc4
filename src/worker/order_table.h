/*-------------------------------------------------------------------------
 *
 * order_table.h
 *	  The order keys that the dispatcher remembers, for order_keys.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WORKER_ORDER_TABLE_H
#define ROLEFERRY_WORKER_ORDER_TABLE_H

#include "lib/ilist.h"
#include "lib/pairingheap.h"
#include "utils/hsearch.h"

#include "outbox/order.h"

typedef struct RfOrderEntry
{
	RfOrderKey	key;			/* first: its lane is the table's key */
	bool		to_do;			/* in the list of those to look at */
	bool		empty;			/* the look under way found no job of it */
	dlist_node	node;

	/* order_ready.c: the job that is to be claimed where it is parked */
	struct RfReadyStrand *strand;	/* it belongs to; NULL: there is none */
	pairingheap_node ready_node;
	RfOrderPlace ready;
	TimestampTz ready_run_at;
	bool		served;			/* the claim under way takes it */
} RfOrderEntry;

extern HTAB *rf_order_table;	/* NULL until there is one */
extern dlist_head rf_order_to_do;	/* keys to look at */

extern RfOrderEntry *rf_order_table_find(int64 lane);

/* Names are copied where they were not known. */
extern RfOrderEntry *rf_order_table_enter(int64 lane, const char *role, const char *name);

/* It must not be in a list. */
extern void rf_order_table_forget(RfOrderEntry *entry);

/* Into the list of those to look at. */
extern void rf_order_table_look_at(RfOrderEntry *entry);

#endif							/* ROLEFERRY_WORKER_ORDER_TABLE_H */

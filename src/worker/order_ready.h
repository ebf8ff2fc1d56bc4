/*-------------------------------------------------------------------------
 *
 * order_ready.h
 *	  Jobs of order keys that are claimed where they are parked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WORKER_ORDER_READY_H
#define ROLEFERRY_WORKER_ORDER_READY_H

#include "core/lanes.h"
#include "worker/order_table.h"

struct RfDispatcher;

/*
 * The head of this key may be claimed when its strand is served.  False: put it
 * into its lane instead, there are too many.
 */
extern bool rf_order_ready_add(struct RfDispatcher *d, RfOrderEntry *entry,
							   const RfOrderHead *head);
extern void rf_order_ready_remove(struct RfDispatcher *d, RfOrderEntry *entry);

/*
 * A strand is served: take up to that many of its ready jobs, if the first of
 * them is due and goes before those that stand in its lane.  Returns how many;
 * they are claimed by rf_order_ready_claim(), all strands' together.
 */
extern int	rf_order_ready_serve(struct RfDispatcher *d, RfStrand *strand, int room,
								 TimestampTz now);

/* Claim what was served; the keys of what could not be claimed go to *missed. */
extern List *rf_order_ready_claim(struct RfDispatcher *d, List **missed);

/* Jobs of a strand that are ready. */
extern int	rf_order_ready_count(const RfStrand *strand);

/* Entries served by the claim under way, which has failed; the list is the caller's. */
extern List *rf_order_ready_forget_served(void);

#endif							/* ROLEFERRY_WORKER_ORDER_READY_H */

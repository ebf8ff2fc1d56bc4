/*-------------------------------------------------------------------------
 *
 * order_index.h
 *	  The index of order keys' jobs, read without a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ORDER_INDEX_H
#define ROLEFERRY_ORDER_INDEX_H

#include "access/genam.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"

#define RF_ORDER_INDEX_COLUMNS	3

typedef struct RfOrderIndex
{
	Relation	outbox;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *row;
	ScanKeyData keys[RF_ORDER_INDEX_COLUMNS];
} RfOrderIndex;

/* As of now.  False: table or index are not as we made them, ask by a statement. */
extern bool rf_order_index_open(RfOrderIndex *index);
extern void rf_order_index_close(RfOrderIndex *index);

/*
 * The first job of the key from this id on, as a row of the outbox that is good
 * until the next call; NULL: there is none.  *last: the index has nothing behind
 * it, not even what is not committed yet.
 */
extern TupleTableSlot *rf_order_index_first(RfOrderIndex *index, const char *role,
											const char *name, int64 low, bool *last);

#endif							/* ROLEFERRY_ORDER_INDEX_H */

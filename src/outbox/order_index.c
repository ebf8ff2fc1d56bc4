/*-------------------------------------------------------------------------
 *
 * order_index.c
 *	  The index of order keys' jobs, read without a statement.
 *
 * Each job of a key that has ended is followed by one such look: a statement
 * would take longer to start than to look.
 *
 * IDENTIFICATION
 *	  src/outbox/order_index.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "outbox/order_index.h"
#include "outbox/relation.h"
#include "outbox/shape.h"

static bool is_ours(Relation index);
static void init_keys(ScanKey keys);

bool
rf_order_index_open(RfOrderIndex *index)
{
	Oid			index_oid = rf_relation_find(RF_RELATION_OUTBOX_ORDER_KEY_IDX);

	index->outbox = table_open(rf_relation_oid(RF_RELATION_OUTBOX), AccessShareLock);
	index->index = OidIsValid(index_oid) ? index_open(index_oid, AccessShareLock) : NULL;
	if (index->index == NULL || !rf_shape_is_outbox(index->outbox) ||
		index->index->rd_index->indrelid != RelationGetRelid(index->outbox) || !is_ours(index->index))
	{
		if (index->index != NULL)
			index_close(index->index, NoLock);
		table_close(index->outbox, NoLock);
		return false;
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	index->scan = rf_index_beginscan(index->outbox, index->index, GetActiveSnapshot(), RF_ORDER_INDEX_COLUMNS);
	index->row = table_slot_create(index->outbox, NULL);
	init_keys(index->keys);
	return true;
}

void
rf_order_index_close(RfOrderIndex *index)
{
	ExecDropSingleTupleTableSlot(index->row);
	index_endscan(index->scan);
	PopActiveSnapshot();
	index_close(index->index, NoLock);
	table_close(index->outbox, NoLock);
}

TupleTableSlot *
rf_order_index_first(RfOrderIndex *index, const char *role, const char *name, int64 low, bool *last)
{
	*last = false;
	index->keys[0].sk_argument = CStringGetTextDatum(role);
	index->keys[1].sk_argument = CStringGetTextDatum(name);
	index->keys[2].sk_argument = Int64GetDatum(low);
	index_rescan(index->scan, index->keys, RF_ORDER_INDEX_COLUMNS, NULL, 0);
	if (!index_getnext_slot(index->scan, ForwardScanDirection, index->row))
		return NULL;
	*last = index_getnext_tid(index->scan, ForwardScanDirection) == NULL;
	return index->row;
}

/* (role, order_key, id), each ascending; what it leaves out has no key. */
static bool
is_ours(Relation index)
{
	static const RfOutboxColumn columns[RF_ORDER_INDEX_COLUMNS] = {
		RF_OUTBOX_ROLE, RF_OUTBOX_ORDER_KEY, RF_OUTBOX_ID
	};

	if (index->rd_rel->relam != BTREE_AM_OID || !index->rd_index->indisvalid ||
		index->rd_index->indnkeyatts != RF_ORDER_INDEX_COLUMNS)
		return false;
	for (int i = 0; i < RF_ORDER_INDEX_COLUMNS; i++)
		if (index->rd_index->indkey.values[i] != columns[i] + 1 || index->rd_indoption[i] != 0)
			return false;
	return index->rd_indcollation[0] == C_COLLATION_OID && index->rd_indcollation[1] == C_COLLATION_OID;
}

static void
init_keys(ScanKey keys)
{
	ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ, 0);
	ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ, 0);
	ScanKeyEntryInitialize(&keys[2], 0, 3, BTGreaterEqualStrategyNumber, InvalidOid, InvalidOid, F_INT8GE, 0);
}

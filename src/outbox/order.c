/*-------------------------------------------------------------------------
 *
 * order.c
 *	  Jobs with an order_key: where a new one is put.
 *
 * One index probe for a job with a key, none for others.  It sees what is
 * committed now, whatever the transaction's snapshot, and what this
 * transaction has put in; jobs of transactions under way it does not see.
 * So two may stand in their lanes at once, which the claim finds out; and a
 * job may be parked behind one that ends before it is committed, which the
 * dispatcher is told to look after.  Behind a job of the same transaction it
 * need not be told: that one cannot end before the commit.
 *
 * IDENTIFICATION
 *	  src/outbox/order.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "outbox/insert.h"
#include "outbox/order.h"
#include "outbox/relation.h"
#include "outbox/statement.h"
#include "shmem/wake.h"

static bool find_other(const RfJobDraft *draft, bool *ours);
static void set_key(ScanKey key, Relation outbox, const char *column, const char *value);

int64
rf_order_lane(const char *role, const char *name)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) role, strlen(role), 0);

	hash = hash_bytes_extended((const unsigned char *) name, strlen(name), hash);
	return (int64) (hash | (UINT64CONST(1) << 63));
}

void
rf_order_place(RfJobDraft *draft, int64 id)
{
	bool		ours;

	if (draft->order_key == NULL || !find_other(draft, &ours))
	{
		rf_wake_note(draft->lane, draft->priority, draft->run_at);
		return;
	}
	draft->lane = rf_order_lane(draft->role, draft->order_key);
	if (!ours)
		rf_wake_note(draft->lane, 0, id);	/* of a key: the smallest id */
}

/*
 * Another job of the key, the one with the largest id; *ours: this transaction
 * has put it in.  From the end: what stands before has long been sent, and its
 * dead rows may still be there.
 */
static bool
find_other(const RfJobDraft *draft, bool *ours)
{
	Oid			index_oid = rf_relation_find(RF_RELATION_OUTBOX_ORDER_KEY_IDX);
	Relation	outbox;
	Relation	index;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	found;

	if (!OidIsValid(index_oid))
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("the index roleferry.outbox_order_key_idx does not exist"),
				 errhint("Without it jobs have no order: CREATE INDEX outbox_order_key_idx ON roleferry.outbox (role, order_key, id) WHERE order_key IS NOT NULL.")));
	outbox = table_open(rf_relation_oid(RF_RELATION_OUTBOX), AccessShareLock);
	index = index_open(index_oid, AccessShareLock);
	set_key(&keys[0], outbox, "role", draft->role);
	set_key(&keys[1], outbox, "order_key", draft->order_key);
	scan = systable_beginscan_ordered(outbox, index, SnapshotSelf, 2, keys);
	found = systable_getnext_ordered(scan, BackwardScanDirection);
	*ours = HeapTupleIsValid(found) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(found->t_data));
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(outbox, AccessShareLock);
	return HeapTupleIsValid(found);
}

static void
set_key(ScanKey key, Relation outbox, const char *column, const char *value)
{
	ScanKeyEntryInitialize(key, 0, get_attnum(RelationGetRelid(outbox), column),
						   BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ,
						   CStringGetTextDatum(value));
}

void
rf_order_note_ended(int64 id)
{
	static RfStatement find = {
		"SELECT d.role, d.order_key FROM roleferry.dead_letter AS d"
		" WHERE d.job_id OPERATOR(pg_catalog.=) $1 AND d.order_key IS NOT NULL",
		1, {INT8OID}, NULL
	};
	Datum		value = Int64GetDatum(id);
	Oid			userid;
	int			security;

	rf_insert_begin_as_owner(&userid, &security);
	if (rf_statement_run(&find, &value, NULL) > 0)
		rf_wake_note(rf_order_lane(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
								   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2)), 0, 0);
	rf_insert_end_as_owner(userid, security);
}

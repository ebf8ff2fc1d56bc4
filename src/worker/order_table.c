/*-------------------------------------------------------------------------
 *
 * order_table.c
 *	  The order keys that the dispatcher remembers.
 *
 * IDENTIFICATION
 *	  src/worker/order_table.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "worker/order_table.h"

HTAB	   *rf_order_table = NULL;
dlist_head	rf_order_to_do = DLIST_STATIC_INIT(rf_order_to_do);

RfOrderEntry *
rf_order_table_find(int64 lane)
{
	return rf_order_table == NULL ? NULL : hash_search(rf_order_table, &lane, HASH_FIND, NULL);
}

RfOrderEntry *
rf_order_table_enter(int64 lane, const char *role, const char *name)
{
	RfOrderEntry *entry;
	bool		known;

	if (rf_order_table == NULL)
	{
		HASHCTL		control;

		memset(&control, 0, sizeof(control));
		control.keysize = sizeof(int64);
		control.entrysize = sizeof(RfOrderEntry);
		control.hcxt = TopMemoryContext;
		rf_order_table = hash_create("roleferry order keys", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(rf_order_table, &lane, HASH_ENTER, &known);
	if (!known)
	{
		memset(entry, 0, sizeof(RfOrderEntry));
		entry->key.lane = lane;
	}
	if (entry->key.name == NULL && name != NULL)
	{
		entry->key.role = MemoryContextStrdup(TopMemoryContext, role);
		entry->key.name = MemoryContextStrdup(TopMemoryContext, name);
	}
	return entry;
}

void
rf_order_table_forget(RfOrderEntry *entry)
{
	int64		lane = entry->key.lane;

	if (entry->key.name != NULL)
	{
		pfree(entry->key.name);
		pfree(entry->key.role);
	}
	(void) hash_search(rf_order_table, &lane, HASH_REMOVE, NULL);
}

void
rf_order_table_look_at(RfOrderEntry *entry)
{
	if (entry->to_do)
		return;
	entry->to_do = true;
	dlist_push_tail(&rf_order_to_do, &entry->node);
}

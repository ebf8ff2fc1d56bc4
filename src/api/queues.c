/*-------------------------------------------------------------------------
 *
 * queues.c
 *	  SQL functions about routes, queues and pauses.
 *
 * IDENTIFICATION
 *	  src/api/queues.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "shmem/shared.h"
#include "shmem/wake.h"

PG_FUNCTION_INFO_V1(roleferry_queues_changed);
PG_FUNCTION_INFO_V1(roleferry_pauses_known);

/*
 * After each statement on route, queue or pause: whoever has a copy reads it
 * again, this session at its next command and the others after the commit.
 */
Datum
roleferry_queues_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("queues_changed() is a trigger function")));
	CacheInvalidateRelcache(trigger->tg_relation);
	if (rf_shared != NULL)
		rf_wake_note_rules();
	return PointerGetDatum(NULL);
}

/* Without a dispatcher nobody starts anything. */
Datum
roleferry_pauses_known(PG_FUNCTION_ARGS)
{
	RfDispatcherSlot *slot = rf_shared != NULL ? rf_shared_find_dispatcher(MyDatabaseId) : NULL;

	PG_RETURN_BOOL(slot == NULL || pg_atomic_read_u32(&slot->rules) != RF_RULES_CHANGED);
}

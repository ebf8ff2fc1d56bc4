/*-------------------------------------------------------------------------
 *
 * append.c
 *	  Putting a new job's row into the outbox without a statement.
 *
 * An INSERT through SPI starts an executor for each row, which reads the CHECK
 * constraints from their text anew, and runs a trigger that finds its work
 * done: half of what enqueueing costs.  A row of ours has been checked, knows
 * all its columns and has no trigger to fear; so it goes to the table and its
 * indexes directly, the way logical replication applies one.
 *
 * That holds for the outbox as we made it.  Where somebody has added to it,
 * the caller's statement does the work.
 *
 * IDENTIFICATION
 *	  src/outbox/append.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "outbox/append.h"
#include "outbox/shape.h"
#include "outbox/target.h"

/* An incarnation that no dispatcher has. */
#define NOBODY			0

static bool append(const RfJobDraft *draft, int64 id, int64 incarnation);
static void fill_slot(TupleTableSlot *slot, const RfJobDraft *draft, int64 id);
static void claim_slot(TupleTableSlot *slot, int64 incarnation);

bool
rf_append_waiting(const RfJobDraft *draft, int64 id)
{
	return append(draft, id, NOBODY);
}

bool
rf_append_running(const RfJobDraft *draft, int64 id, int64 incarnation)
{
	return append(draft, id, incarnation);
}

static bool
append(const RfJobDraft *draft, int64 id, int64 incarnation)
{
	RfTarget   *target = rf_target_open();
	Relation	outbox;
	bool		possible;

	if (target == NULL)
		return false;
	outbox = target->result->ri_RelationDesc;
	fill_slot(target->row, draft, id);
	if (incarnation != NOBODY)
		claim_slot(target->row, incarnation);
	possible = !rf_shape_lacks_a_value(outbox, target->row);
	if (possible)
	{
		Oid			userid;
		int			context;

		PreventCommandIfReadOnly("INSERT");
		PreventCommandIfParallelMode("INSERT");
		GetUserIdAndSecContext(&userid, &context);
		SetUserIdAndSecContext(outbox->rd_rel->relowner,
							   context | SECURITY_LOCAL_USERID_CHANGE);
		rf_target_insert(target);
		SetUserIdAndSecContext(userid, context);
	}
	rf_target_close(target);
	return possible;
}

static void
fill_slot(TupleTableSlot *slot, const RfJobDraft *draft, int64 id)
{
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, RF_OUTBOX_COLUMNS * sizeof(bool));
	rf_shape_set(slot, RF_OUTBOX_ID, Int64GetDatum(id));
	rf_shape_set(slot, RF_OUTBOX_LANE, Int64GetDatum(draft->lane));
	rf_shape_set(slot, RF_OUTBOX_RUN_AT, TimestampTzGetDatum(draft->run_at));
	rf_shape_set(slot, RF_OUTBOX_CREATED_AT,
				 TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()));
	if (draft->expires_at != DT_NOEND)
		rf_shape_set(slot, RF_OUTBOX_EXPIRES_AT, TimestampTzGetDatum(draft->expires_at));
	rf_shape_set(slot, RF_OUTBOX_ATTEMPTS, Int32GetDatum(0));
	rf_shape_set(slot, RF_OUTBOX_FAILURES, Int32GetDatum(0));
	if (draft->max_attempts != 0)
		rf_shape_set(slot, RF_OUTBOX_MAX_ATTEMPTS, Int32GetDatum(draft->max_attempts));
	rf_shape_set(slot, RF_OUTBOX_PRIORITY, Int16GetDatum((int16) draft->priority));
	rf_shape_set(slot, RF_OUTBOX_CRASHES, Int16GetDatum(0));
	rf_shape_set_text(slot, RF_OUTBOX_DELIVERY, draft->effective_delivery);
	rf_shape_set_text(slot, RF_OUTBOX_TASK, draft->task);
	rf_shape_set_text(slot, RF_OUTBOX_ROLE, draft->role);
	rf_shape_set_text(slot, RF_OUTBOX_QUEUE, draft->effective_queue);
	rf_shape_set_text(slot, RF_OUTBOX_TENANT_KEY, draft->tenant_key);
	rf_shape_set_text(slot, RF_OUTBOX_ORDER_KEY, draft->order_key);
	rf_shape_set_text(slot, RF_OUTBOX_IDEMPOTENCY_KEY, draft->idempotency_key);
	rf_shape_set_text(slot, RF_OUTBOX_ON_DONE, draft->on_done);
	rf_shape_set(slot, RF_OUTBOX_ACCOUNTS, rf_job_accounts_array(draft));
	rf_shape_set(slot, RF_OUTBOX_ARGS, JsonbPGetDatum(draft->args));
	rf_shape_set_text(slot, RF_OUTBOX_MODE, rf_job_mode_column(draft));
	ExecStoreVirtualTuple(slot);
}

/* As if the dispatcher had claimed what was waiting. */
static void
claim_slot(TupleTableSlot *slot, int64 incarnation)
{
	rf_shape_set(slot, RF_OUTBOX_WORKER, Int64GetDatum(incarnation));
	rf_shape_set(slot, RF_OUTBOX_ATTEMPTS, Int32GetDatum(1));
	rf_shape_set(slot, RF_OUTBOX_CLAIMED_AT,
				 TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()));
}

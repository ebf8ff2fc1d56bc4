/*-------------------------------------------------------------------------
 *
 * order_claim.c
 *	  Claiming jobs of order keys where they are parked.
 *
 * They are known by their ids, and by where their rows stood when their turn
 * was found.  A statement would look up each of them twice and lock it before
 * it writes to it; so each is read where it was seen, and written to from
 * there, without a statement.  What is no longer there, or in somebody's hands,
 * or is not as it was, the statement claims, if anybody may.  It does so, too,
 * where the table is not as we made it.
 *
 * IDENTIFICATION
 *	  src/outbox/order_claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "outbox/claimed_job.h"
#include "outbox/order.h"
#include "outbox/relation.h"
#include "outbox/shape.h"
#include "outbox/statement.h"

/* What is claimed without a statement, in one transaction. */
typedef struct Seizure
{
	Relation	outbox;
	BlockNumber nblocks;
	EState	   *estate;
	TupleTableSlot *found;
	TupleTableSlot *row;		/* the same, claimed */
} Seizure;

static List *claim_in_place(int64 incarnation, const RfOrderPlace *places, int nplaces,
							TimestampTz now, MemoryContext parent, int64 *left, int *nleft);
static bool claim_one(Seizure *seizure, int64 incarnation, const RfOrderPlace *place,
					  TimestampTz now);
static bool find_parked(Seizure *seizure, const RfOrderPlace *place, TimestampTz now);
static void fill_row(Seizure *seizure, int64 incarnation);
static void insert_into_indexes(Seizure *seizure, RfIndexesToUpdate indexes);
static List *claim_by_id(int64 incarnation, const int64 *ids, int nids,
						 TimestampTz now, MemoryContext parent);

List *
rf_order_claim(int64 incarnation, const RfOrderPlace *places, int nplaces, TimestampTz now,
			   MemoryContext parent)
{
	int64	   *left = palloc((nplaces + 1) * sizeof(int64));
	int			nleft = 0;
	List	   *jobs = claim_in_place(incarnation, places, nplaces, now, parent, left, &nleft);

	if (nleft > 0)
	{
		List	   *others = claim_by_id(incarnation, left, nleft, now, parent);
		MemoryContext old = MemoryContextSwitchTo(parent);

		jobs = list_concat(jobs, others);
		list_free(others);
		MemoryContextSwitchTo(old);
	}
	rf_claimed_jobs_sort(jobs);
	return jobs;
}

static List *
claim_in_place(int64 incarnation, const RfOrderPlace *places, int nplaces,
			   TimestampTz now, MemoryContext parent, int64 *left, int *nleft)
{
	Seizure		seizure = {.outbox = table_open(rf_relation_oid(RF_RELATION_OUTBOX), RowExclusiveLock)};
	bool		possible = rf_shape_is_outbox(seizure.outbox);
	List	   *jobs = NIL;

	if (possible)
	{
		CheckCmdReplicaIdentity(seizure.outbox, CMD_UPDATE);
		seizure.nblocks = RelationGetNumberOfBlocks(seizure.outbox);
		seizure.estate = CreateExecutorState();
		seizure.found = table_slot_create(seizure.outbox, &seizure.estate->es_tupleTable);
		seizure.row = table_slot_create(seizure.outbox, &seizure.estate->es_tupleTable);
	}
	for (int i = 0; i < nplaces; i++)
	{
		MemoryContext old;
		RfClaimedJob *job;

		if (!possible || !claim_one(&seizure, incarnation, &places[i], now))
		{
			left[(*nleft)++] = places[i].id;
			continue;
		}
		job = rf_claimed_job_of_row(seizure.row, parent);
		old = MemoryContextSwitchTo(parent);
		jobs = lappend(jobs, job);
		MemoryContextSwitchTo(old);
	}
	if (possible)
	{
		ExecResetTupleTable(seizure.estate->es_tupleTable, false);
		FreeExecutorState(seizure.estate);
		CommandCounterIncrement();
	}
	table_close(seizure.outbox, NoLock);
	return jobs;
}

/* False: it is not there, or somebody has it in hand. */
static bool
claim_one(Seizure *seizure, int64 incarnation, const RfOrderPlace *place, TimestampTz now)
{
	TM_FailureData failure;
	LockTupleMode mode;
	RfIndexesToUpdate indexes;

	if (!find_parked(seizure, place, now))
		return false;
	fill_row(seizure, incarnation);
	if (table_tuple_update(seizure->outbox, &seizure->found->tts_tid, seizure->row,
						   GetCurrentCommandId(true), GetActiveSnapshot(), InvalidSnapshot,
						   false, &failure, &mode, &indexes) != TM_Ok)
		return false;
	insert_into_indexes(seizure, indexes);
	return true;
}

/*
 * Where a row was may be another's by now, or past the end.  Who has it locked,
 * or had, is not waited for: the statement passes over him.
 */
static bool
find_parked(Seizure *seizure, const RfOrderPlace *place, TimestampTz now)
{
	TupleTableSlot *found = seizure->found;
	ItemPointerData at = place->at;
	bool		copied;

	if (!ItemPointerIsValid(&at) || ItemPointerGetBlockNumber(&at) >= seizure->nblocks ||
		!table_tuple_fetch_row_version(seizure->outbox, &at, GetActiveSnapshot(), found))
		return false;
	if (!(ExecFetchSlotHeapTuple(found, false, &copied)->t_data->t_infomask & HEAP_XMAX_INVALID))
		return false;
	slot_getallattrs(found);
	return DatumGetInt64(found->tts_values[RF_OUTBOX_ID]) == place->id &&
		found->tts_isnull[RF_OUTBOX_WORKER] &&
		DatumGetInt64(found->tts_values[RF_OUTBOX_LANE]) < 0 &&
		DatumGetTimestampTz(found->tts_values[RF_OUTBOX_RUN_AT]) <= now;
}

static void
fill_row(Seizure *seizure, int64 incarnation)
{
	TupleTableSlot *row = ExecClearTuple(seizure->row);
	const TupleTableSlot *found = seizure->found;

	memcpy(row->tts_values, found->tts_values, RF_OUTBOX_COLUMNS * sizeof(Datum));
	memcpy(row->tts_isnull, found->tts_isnull, RF_OUTBOX_COLUMNS * sizeof(bool));
	rf_shape_set(row, RF_OUTBOX_WORKER, Int64GetDatum(incarnation));
	rf_shape_set(row, RF_OUTBOX_ATTEMPTS,
				 Int32GetDatum(DatumGetInt32(found->tts_values[RF_OUTBOX_ATTEMPTS]) + 1));
	rf_shape_set(row, RF_OUTBOX_CLAIMED_AT, TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()));
	ExecStoreVirtualTuple(row);
}

/* None where the row found room on its page, as it should: as the table's owner. */
static void
insert_into_indexes(Seizure *seizure, RfIndexesToUpdate indexes)
{
	ResultRelInfo *target;
	Oid			userid;
	int			context;

	if (!rf_needs_indexes(indexes))
		return;
	GetUserIdAndSecContext(&userid, &context);
	SetUserIdAndSecContext(seizure->outbox->rd_rel->relowner,
						   context | SECURITY_LOCAL_USERID_CHANGE);
	target = makeNode(ResultRelInfo);
	InitResultRelInfo(target, seizure->outbox, 0, NULL, 0);
	ExecOpenIndices(target, false);
	(void) rf_update_index_tuples(target, seizure->row, seizure->estate, indexes);
	ExecCloseIndices(target);
	ResetPerTupleExprContext(seizure->estate);
	SetUserIdAndSecContext(userid, context);
}

static List *
claim_by_id(int64 incarnation, const int64 *ids, int nids, TimestampTz now, MemoryContext parent)
{
	static RfStatement claim = {
		"UPDATE roleferry.outbox AS o"
		" SET worker = $1, attempts = o.attempts + 1, claimed_at = pg_catalog.now()"
		" WHERE o.id = ANY (ARRAY("
		"SELECT c.id FROM roleferry.outbox AS c WHERE c.id = ANY ($2) AND c.worker IS NULL"
		" AND c.lane < 0 AND c.run_at <= $3 FOR UPDATE SKIP LOCKED))"
		" RETURNING " RF_JOB_COLUMNS,
		3, {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID}, NULL
	};
	Datum		values[3];

	values[0] = Int64GetDatum(incarnation);
	values[1] = rf_id_array(ids, nids);
	values[2] = TimestampTzGetDatum(now);
	return rf_claimed_jobs(rf_statement_run(&claim, values, NULL), parent);
}

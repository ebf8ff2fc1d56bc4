/*-------------------------------------------------------------------------
 *
 * outbox_check.c
 *	  The outbox's BEFORE INSERT trigger: for plain INSERT and COPY.
 *
 * Checks the job, writes what follows from it into the row (queue, delivery,
 * accounts, lane), takes the idempotency key, and notes where the dispatcher
 * is to look when the transaction commits.
 *
 * A row that carries a lane already was checked: it comes from enqueue_email()
 * or from a dump, and only the table's owner can write that column.
 *
 * IDENTIFICATION
 *	  src/api/outbox_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "outbox/depth.h"
#include "outbox/idempotency.h"
#include "outbox/job.h"
#include "outbox/order.h"
#include "outbox/shape.h"
#include "shmem/server_mode.h"
#include "shmem/shared.h"
#include "api/version.h"

/* What is read or written here; another version's table may lack the rest. */
static const RfOutboxColumn needed[] = {
	RF_OUTBOX_ID,
	RF_OUTBOX_LANE,
	RF_OUTBOX_RUN_AT,
	RF_OUTBOX_PRIORITY,
	RF_OUTBOX_MAX_ATTEMPTS,
	RF_OUTBOX_DELIVERY,
	RF_OUTBOX_TASK,
	RF_OUTBOX_ROLE,
	RF_OUTBOX_QUEUE,
	RF_OUTBOX_TENANT_KEY,
	RF_OUTBOX_ORDER_KEY,
	RF_OUTBOX_IDEMPOTENCY_KEY,
	RF_OUTBOX_ON_DONE,
	RF_OUTBOX_ACCOUNTS,
	RF_OUTBOX_ARGS,
	RF_OUTBOX_MODE
};

/* Whose attribute numbers are known; InvalidOid: look again. */
static Oid	known_relation = InvalidOid;

static void find_columns(Relation relation, int *attnums);
static void forget_columns(Datum arg, Oid relation);
static void read_draft(HeapTuple tuple, TupleDesc desc, const int *attnums,
					   RfJobDraft *draft);
static char *text_column(HeapTuple tuple, TupleDesc desc, int attnum);
static Datum column(HeapTuple tuple, TupleDesc desc, const int *attnums,
					RfOutboxColumn which);
static Datum required_column(HeapTuple tuple, TupleDesc desc,
							 const int *attnums, RfOutboxColumn which);
static void check_max_attempts(HeapTuple tuple, TupleDesc desc, int attnum);
static RfKeyEnd take_idempotency_key(Relation relation, const RfJobDraft *draft,
									 int64 id, RfJobProblem *problem);
static HeapTuple write_findings(HeapTuple tuple, TupleDesc desc,
								const int *attnums, const RfJobDraft *draft);

PG_FUNCTION_INFO_V1(roleferry_outbox_check);

Datum
roleferry_outbox_check(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	int			attnums[RF_OUTBOX_COLUMNS];
	RfJobDraft	draft;
	RfJobProblem problem;
	HeapTuple	tuple;
	TupleDesc	desc;
	int64		id;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("roleferry.outbox_check() is a BEFORE INSERT row trigger")));

	tuple = trigger->tg_trigtuple;
	desc = RelationGetDescr(trigger->tg_relation);
	find_columns(trigger->tg_relation, attnums);
	if (DatumGetInt64(column(tuple, desc, attnums, RF_OUTBOX_LANE)) != RF_LANE_UNCHECKED)
		return PointerGetDatum(tuple);

	rf_shared_require();
	read_draft(tuple, desc, attnums, &draft);
	if (!rf_job_check(&draft, &problem))
		rf_job_raise(&problem);

	id = DatumGetInt64(column(tuple, desc, attnums, RF_OUTBOX_ID));
	if (draft.idempotency_key != NULL)
	{
		RfKeyEnd	key = take_idempotency_key(trigger->tg_relation, &draft, id, &problem);

		if (key == RF_KEY_CLASHES)
			rf_job_raise(&problem);
		if (key == RF_KEY_KNOWN)
			return PointerGetDatum(NULL);	/* the first job stands: skip the
											 * row */
	}

	rf_depth_enter(draft.effective_queue, false);
	rf_order_place(&draft, id);
	return PointerGetDatum(write_findings(tuple, desc, attnums, &draft));
}

/* Found once: attribute numbers change only where an update script does it. */
static void
find_columns(Relation relation, int *attnums)
{
	static bool watching = false;
	static int	known[RF_OUTBOX_COLUMNS];

	if (!watching)
	{
		CacheRegisterRelcacheCallback(forget_columns, (Datum) 0);
		watching = true;
	}
	if (known_relation != RelationGetRelid(relation))
	{
		TupleDesc	desc = RelationGetDescr(relation);

		for (size_t i = 0; i < lengthof(needed); i++)
		{
			int		   *attnum = &known[needed[i]];

			*attnum = SPI_fnumber(desc, rf_shape_outbox_name(needed[i]));
			if (*attnum <= 0 || SPI_gettypeid(desc, *attnum) != rf_shape_outbox_type(needed[i]))
				rf_version_raise("the table roleferry.outbox");
		}
		known_relation = RelationGetRelid(relation);
	}
	memcpy(attnums, known, sizeof(known));
}

static void
forget_columns(Datum arg, Oid relation)
{
	if (relation == known_relation || relation == InvalidOid)
		known_relation = InvalidOid;
}

static void
read_draft(HeapTuple tuple, TupleDesc desc, const int *attnums,
		   RfJobDraft *draft)
{
	Datum		args;

	memset(draft, 0, sizeof(*draft));
	draft->task = text_column(tuple, desc, attnums[RF_OUTBOX_TASK]);
	draft->role = text_column(tuple, desc, attnums[RF_OUTBOX_ROLE]);
	draft->queue = text_column(tuple, desc, attnums[RF_OUTBOX_QUEUE]);
	draft->tenant_key = text_column(tuple, desc, attnums[RF_OUTBOX_TENANT_KEY]);
	draft->order_key = text_column(tuple, desc, attnums[RF_OUTBOX_ORDER_KEY]);
	draft->idempotency_key = text_column(tuple, desc, attnums[RF_OUTBOX_IDEMPOTENCY_KEY]);
	draft->delivery = text_column(tuple, desc, attnums[RF_OUTBOX_DELIVERY]);
	draft->on_done = text_column(tuple, desc, attnums[RF_OUTBOX_ON_DONE]);

	draft->run_at = DatumGetTimestampTz(required_column(tuple, desc, attnums, RF_OUTBOX_RUN_AT));
	draft->priority = DatumGetInt16(required_column(tuple, desc, attnums, RF_OUTBOX_PRIORITY));
	args = required_column(tuple, desc, attnums, RF_OUTBOX_ARGS);
	(void) required_column(tuple, desc, attnums, RF_OUTBOX_TASK);
	(void) required_column(tuple, desc, attnums, RF_OUTBOX_ROLE);
	check_max_attempts(tuple, desc, attnums[RF_OUTBOX_MAX_ATTEMPTS]);
	draft->args = DatumGetJsonbP(args);
	/* A job that is tried again has one already. */
	draft->mode = rf_mode_stricter(rf_mode_for_new_job(),
								   rf_mode_of_text(text_column(tuple, desc, attnums[RF_OUTBOX_MODE])));
}

static char *
text_column(HeapTuple tuple, TupleDesc desc, int attnum)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attnum, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static Datum
column(HeapTuple tuple, TupleDesc desc, const int *attnums, RfOutboxColumn which)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attnums[which], desc, &isnull);

	return isnull ? (Datum) 0 : value;
}

/*
 * The table's constraints are only checked after us, and their errors put the
 * row into the server's log, addresses and all.
 */
static Datum
required_column(HeapTuple tuple, TupleDesc desc, const int *attnums,
				RfOutboxColumn which)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attnums[which], desc, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"%s\" is null", rf_shape_outbox_name(which))));
	return value;
}

static void
check_max_attempts(HeapTuple tuple, TupleDesc desc, int attnum)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attnum, desc, &isnull);

	if (!isnull && (DatumGetInt32(value) < 1 || DatumGetInt32(value) > 1000))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"max_attempts\" is not between 1 and 1000")));
}

/* As the table's owner: senders have no right to the keys of others. */
static RfKeyEnd
take_idempotency_key(Relation relation, const RfJobDraft *draft, int64 id,
					 RfJobProblem *problem)
{
	RfKeyEnd	taken;
	Oid			userid;
	int			context;

	GetUserIdAndSecContext(&userid, &context);
	SetUserIdAndSecContext(relation->rd_rel->relowner,
						   context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
	taken = rf_idempotency_take(draft, &id, problem);
	SPI_finish();
	SetUserIdAndSecContext(userid, context);
	return taken;
}

static HeapTuple
write_findings(HeapTuple tuple, TupleDesc desc, const int *attnums,
			   const RfJobDraft *draft)
{
	int			replaced[6];
	Datum		values[6];
	bool		nulls[6] = {false, false, false, false, false, false};
	const char *mode = rf_job_mode_column(draft);

	replaced[0] = attnums[RF_OUTBOX_LANE];
	values[0] = Int64GetDatum(draft->lane);
	replaced[1] = attnums[RF_OUTBOX_QUEUE];
	values[1] = CStringGetTextDatum(draft->effective_queue);
	replaced[2] = attnums[RF_OUTBOX_DELIVERY];
	values[2] = CStringGetTextDatum(draft->effective_delivery);
	replaced[3] = attnums[RF_OUTBOX_ACCOUNTS];
	values[3] = rf_job_accounts_array(draft);
	replaced[4] = attnums[RF_OUTBOX_PRIORITY];
	values[4] = Int16GetDatum((int16) draft->priority);
	replaced[5] = attnums[RF_OUTBOX_MODE];
	values[5] = mode ? CStringGetTextDatum(mode) : (Datum) 0;
	nulls[5] = mode == NULL;
	return heap_modify_tuple_by_cols(tuple, desc, 6, replaced, values, nulls);
}

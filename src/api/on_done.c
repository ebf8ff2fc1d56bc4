/*-------------------------------------------------------------------------
 *
 * on_done.c
 *	  For SQL that settles jobs: telling the task in on_done.
 *
 * IDENTIFICATION
 *	  src/api/on_done.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "account/account.h"
#include "api/version.h"
#include "outbox/on_done.h"

/* Parameters of on_done_tell(). */
enum
{
	P_ON_DONE,
	P_ROLE,
	P_TENANT_KEY,
	P_JOB_ID,
	P_TASK,
	P_STATUS,
	P_PROVIDER,
	P_MESSAGE_ID,
	P_REASON,
	P_HTTP_STATUS,
	P_IDEMPOTENCY_KEY,
	P_COUNT
};

static char *text_parameter(FunctionCallInfo fcinfo, int which);
static char *text_of(HeapTuple row, TupleDesc desc, const char *column);
static Datum value_of(HeapTuple row, TupleDesc desc, const char *column, Oid type);

PG_FUNCTION_INFO_V1(roleferry_on_done_tell);
PG_FUNCTION_INFO_V1(roleferry_dead_letter_on_done);

Datum
roleferry_on_done_tell(PG_FUNCTION_ARGS)
{
	RfDone		done = {0};

	rf_version_require_arguments(fcinfo, P_COUNT);
	done.on_done = text_parameter(fcinfo, P_ON_DONE);
	done.role = text_parameter(fcinfo, P_ROLE);
	done.tenant_key = text_parameter(fcinfo, P_TENANT_KEY);
	done.job_id = PG_ARGISNULL(P_JOB_ID) ? 0 : PG_GETARG_INT64(P_JOB_ID);
	done.task = text_parameter(fcinfo, P_TASK);
	done.status = text_parameter(fcinfo, P_STATUS);
	done.provider = text_parameter(fcinfo, P_PROVIDER);
	done.message_id = text_parameter(fcinfo, P_MESSAGE_ID);
	done.reason = text_parameter(fcinfo, P_REASON);
	done.http_status = PG_ARGISNULL(P_HTTP_STATUS) ? 0 : PG_GETARG_INT32(P_HTTP_STATUS);
	done.idempotency_key = text_parameter(fcinfo, P_IDEMPOTENCY_KEY);
	if (done.on_done != NULL && done.role != NULL)
		rf_on_done_tell(&done);
	if (done.reason == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(P_REASON));
}

/* The row notes what was told. */
Datum
roleferry_dead_letter_on_done(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	row;
	TupleDesc	desc;
	RfDone		done = {0};
	RfAccount  *account;
	char	   *name;
	int			attnum;
	Datum		state;
	bool		isnull = false;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("roleferry.dead_letter_on_done() is a BEFORE INSERT OR UPDATE row trigger")));
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	desc = RelationGetDescr(trigger->tg_relation);
	done.on_done = text_of(row, desc, "on_done");
	done.role = text_of(row, desc, "role");
	done.tenant_key = text_of(row, desc, "tenant_key");
	done.job_id = DatumGetInt64(value_of(row, desc, "job_id", INT8OID));
	done.task = text_of(row, desc, "task");
	done.status = text_of(row, desc, "state");
	done.reason = text_of(row, desc, TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? "note" : "reason");
	done.http_status = DatumGetInt32(value_of(row, desc, "http_status", INT4OID));
	done.idempotency_key = text_of(row, desc, "idempotency_key");
	name = text_of(row, desc, "account");
	account = name != NULL ? rf_account_by_name(name) : NULL;
	if (account != NULL)
		done.provider = pstrdup(account->provider->name);
	rf_on_done_tell(&done);

	attnum = SPI_fnumber(desc, "on_done_state");
	if (attnum <= 0)
		rf_version_raise("the table roleferry.dead_letter");
	state = CStringGetTextDatum(done.status);
	return PointerGetDatum(heap_modify_tuple_by_cols(row, desc, 1, &attnum, &state, &isnull));
}

static char *
text_parameter(FunctionCallInfo fcinfo, int which)
{
	return PG_ARGISNULL(which) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(which));
}

static char *
text_of(HeapTuple row, TupleDesc desc, const char *column)
{
	Datum		value = value_of(row, desc, column, TEXTOID);

	return value != (Datum) 0 ? TextDatumGetCString(value) : NULL;
}

/* 0: null. */
static Datum
value_of(HeapTuple row, TupleDesc desc, const char *column, Oid type)
{
	int			attnum = SPI_fnumber(desc, column);
	bool		isnull;
	Datum		value;

	if (attnum <= 0 || SPI_gettypeid(desc, attnum) != type)
		rf_version_raise("the table roleferry.dead_letter");
	value = heap_getattr(row, attnum, desc, &isnull);
	return isnull ? (Datum) 0 : value;
}

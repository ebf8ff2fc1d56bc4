/*-------------------------------------------------------------------------
 *
 * enqueue_email.c
 *	  roleferry.enqueue_email(): one e-mail into the outbox.
 *
 * Turns its parameters into args, checks the job as the outbox's trigger does,
 * and inserts one finished row, as the outbox's owner but in the caller's name.
 *
 * IDENTIFICATION
 *	  src/api/enqueue_email.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "outbox/idempotency.h"
#include "outbox/job.h"
#include "outbox/statement.h"
#include "shmem/wake.h"

/* Parameters of the SQL function, in its order. */
typedef enum Parameter
{
	P_FROM_ADDR,
	P_TO_ADDR,
	P_SUBJECT,
	P_BODY_HTML,
	P_REPLY_TO,
	P_CUSTOM_ARGS,
	P_BODY_TEXT,
	P_CC,
	P_BCC,
	P_HEADERS,
	P_TAGS,
	P_ACCOUNTS,
	P_IDEMPOTENCY_KEY,
	P_DELIVERY,
	P_PROVIDER_OPTIONS,
	P_RUN_AT,
	P_PRIORITY,
	P_QUEUE,
	P_EXPIRES_AT,
	P_MAX_ATTEMPTS,
	P_ORDER_KEY,
	P_TENANT_KEY,
	P_ON_INVALID
} Parameter;

#define DEFAULT_PRIORITY 5

/* Which parameters become members of args, and of which type. */
static const struct
{
	Parameter	parameter;
	const char *name;
	Oid			type;
}			arg_members[] = {
	{P_FROM_ADDR, "from_addr", TEXTOID},
	{P_TO_ADDR, "to_addr", TEXTOID},
	{P_SUBJECT, "subject", TEXTOID},
	{P_BODY_HTML, "body_html", TEXTOID},
	{P_REPLY_TO, "reply_to", TEXTOID},
	{P_CUSTOM_ARGS, "custom_args", JSONBOID},
	{P_BODY_TEXT, "body_text", TEXTOID},
	{P_CC, "cc", TEXTARRAYOID},
	{P_BCC, "bcc", TEXTARRAYOID},
	{P_HEADERS, "headers", JSONBOID},
	{P_TAGS, "tags", TEXTARRAYOID},
	{P_ACCOUNTS, "accounts", TEXTARRAYOID},
	{P_PROVIDER_OPTIONS, "provider_options", JSONBOID}
};

static Jsonb *build_args(FunctionCallInfo fcinfo);
static void push_text(JsonbParseState **state, text *value, JsonbIteratorToken token);
static void push_text_array(JsonbParseState **state, const char *name, ArrayType *array);
static void push_jsonb(JsonbParseState **state, const char *name, Jsonb *value);
static bool wants_reject(FunctionCallInfo fcinfo);
static void fill_draft(FunctionCallInfo fcinfo, Jsonb *args, RfJobDraft *draft);
static char *text_parameter(FunctionCallInfo fcinfo, Parameter which);
static int64 insert_job(FunctionCallInfo fcinfo, const RfJobDraft *draft);
static int64 next_id(void);
static int64 insert_dead_letter(const RfJobDraft *draft, const RfJobProblem *problem);
static Oid	outbox_owner(void);

PG_FUNCTION_INFO_V1(roleferry_enqueue_email);

Datum
roleferry_enqueue_email(PG_FUNCTION_ARGS)
{
	char	   *role = GetUserNameFromId(GetUserId(), false);
	bool		reject;
	bool		good;
	Oid			userid;
	int			context;
	int64		id;
	RfJobDraft	draft;
	RfJobProblem problem;

	rf_shared_require();
	reject = wants_reject(fcinfo);
	fill_draft(fcinfo, build_args(fcinfo), &draft);
	draft.role = role;
	good = rf_job_check(&draft, &problem);
	if (!good && !reject)
		rf_job_raise(&problem);

	GetUserIdAndSecContext(&userid, &context);
	SetUserIdAndSecContext(outbox_owner(), context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
	id = good ? insert_job(fcinfo, &draft) : insert_dead_letter(&draft, &problem);
	SPI_finish();
	SetUserIdAndSecContext(userid, context);
	PG_RETURN_INT64(id);
}

static Jsonb *
build_args(FunctionCallInfo fcinfo)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (size_t i = 0; i < lengthof(arg_members); i++)
	{
		const char *name = arg_members[i].name;
		Datum		value;

		if (PG_ARGISNULL(arg_members[i].parameter))
			continue;
		value = PG_GETARG_DATUM(arg_members[i].parameter);
		if (arg_members[i].type == TEXTOID)
		{
			push_text(&state, cstring_to_text(name), WJB_KEY);
			push_text(&state, DatumGetTextPP(value), WJB_VALUE);
		}
		else if (arg_members[i].type == TEXTARRAYOID)
			push_text_array(&state, name, DatumGetArrayTypeP(value));
		else
			push_jsonb(&state, name, DatumGetJsonbP(value));
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(object);
}

static void
push_text(JsonbParseState **state, text *value, JsonbIteratorToken token)
{
	JsonbValue	string;

	string.type = jbvString;
	string.val.string.val = VARDATA_ANY(value);
	string.val.string.len = VARSIZE_ANY_EXHDR(value);
	(void) pushJsonbValue(state, token, &string);
}

static void
push_text_array(JsonbParseState **state, const char *name, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			nelements;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &nelements);
	push_text(state, cstring_to_text(name), WJB_KEY);
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < nelements; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(RF_ERRCODE_BAD_ARGUMENT),
					 errmsg("\"%s[%d]\" is null", name, i + 1)));
		push_text(state, DatumGetTextPP(elements[i]), WJB_ELEM);
	}
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

static void
push_jsonb(JsonbParseState **state, const char *name, Jsonb *value)
{
	JsonbValue	binary;

	if (!JB_ROOT_IS_OBJECT(value))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"%s\" is not a JSON object", name)));
	push_text(state, cstring_to_text(name), WJB_KEY);
	binary.type = jbvBinary;
	binary.val.binary.data = &value->root;
	binary.val.binary.len = VARSIZE_ANY_EXHDR(value);
	(void) pushJsonbValue(state, WJB_VALUE, &binary);
}

static bool
wants_reject(FunctionCallInfo fcinfo)
{
	char	   *on_invalid = text_parameter(fcinfo, P_ON_INVALID);

	if (on_invalid == NULL || strcmp(on_invalid, "error") == 0)
		return false;
	if (strcmp(on_invalid, "reject") == 0)
		return true;
	ereport(ERROR,
			(errcode(RF_ERRCODE_BAD_ARGUMENT),
			 errmsg("\"on_invalid\" is not a way to treat a bad mail"),
			 errhint("Valid values are: error, reject.")));
	return false;				/* keep compiler quiet */
}

static void
fill_draft(FunctionCallInfo fcinfo, Jsonb *args, RfJobDraft *draft)
{
	memset(draft, 0, sizeof(*draft));
	draft->task = "send_email";
	draft->args = args;
	draft->queue = text_parameter(fcinfo, P_QUEUE);
	draft->tenant_key = text_parameter(fcinfo, P_TENANT_KEY);
	draft->order_key = text_parameter(fcinfo, P_ORDER_KEY);
	draft->idempotency_key = text_parameter(fcinfo, P_IDEMPOTENCY_KEY);
	draft->delivery = text_parameter(fcinfo, P_DELIVERY);
	draft->priority = PG_ARGISNULL(P_PRIORITY) ? DEFAULT_PRIORITY : PG_GETARG_INT32(P_PRIORITY);
	draft->run_at = PG_ARGISNULL(P_RUN_AT) ? GetCurrentTransactionStartTimestamp() :
		PG_GETARG_TIMESTAMPTZ(P_RUN_AT);

	/* Before it is cut to the column's width. */
	if (draft->priority < 0 || draft->priority > 10)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"priority\" is not between 0 and 10"),
				 errhint("10 goes first.")));
	if (!PG_ARGISNULL(P_MAX_ATTEMPTS) &&
		(PG_GETARG_INT32(P_MAX_ATTEMPTS) < 1 || PG_GETARG_INT32(P_MAX_ATTEMPTS) > 1000))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"max_attempts\" is not between 1 and 1000")));
}

static char *
text_parameter(FunctionCallInfo fcinfo, Parameter which)
{
	return PG_ARGISNULL(which) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(which));
}

static int64
insert_job(FunctionCallInfo fcinfo, const RfJobDraft *draft)
{
	static RfStatement insert = {
		"INSERT INTO roleferry.outbox (id, task, args, role, queue, delivery, accounts, lane, priority, run_at,"
		" expires_at, max_attempts, idempotency_key, order_key, tenant_key)"
		" VALUES ($1, 'send_email', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
		14, {INT8OID, JSONBOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, INT8OID, INT2OID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID, TEXTOID}, NULL
	};
	static const Parameter optional[] = {
		P_EXPIRES_AT, P_MAX_ATTEMPTS, P_IDEMPOTENCY_KEY, P_ORDER_KEY, P_TENANT_KEY
	};
	int64		id = next_id();
	Datum		values[14];
	char		nulls[14];

	if (draft->idempotency_key != NULL &&
		!rf_idempotency_take(draft->role, draft->idempotency_key, id))
		return rf_idempotency_holder(draft->role, draft->idempotency_key);

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(id);
	values[1] = JsonbPGetDatum(draft->args);
	values[2] = CStringGetTextDatum(draft->role);
	values[3] = CStringGetTextDatum(draft->effective_queue);
	values[4] = CStringGetTextDatum(draft->effective_delivery);
	values[5] = rf_job_accounts_array(draft);
	values[6] = Int64GetDatum(draft->lane);
	values[7] = Int16GetDatum((int16) draft->priority);
	values[8] = TimestampTzGetDatum(draft->run_at);
	for (size_t i = 0; i < lengthof(optional); i++)
	{
		bool		missing = PG_ARGISNULL(optional[i]);

		values[9 + i] = missing ? (Datum) 0 : PG_GETARG_DATUM(optional[i]);
		nulls[9 + i] = missing ? 'n' : ' ';
	}
	(void) rf_statement_run(&insert, values, nulls);
	rf_wake_note(draft->lane, draft->priority, draft->run_at);
	return id;
}

/* Taken beforehand, because the idempotency key needs it before the row does. */
static int64
next_id(void)
{
	Oid			schema = get_namespace_oid("roleferry", false);

	return nextval_internal(get_relname_relid("outbox_id_seq", schema), false);
}

/* on_invalid => 'reject': the bad mail is kept, with what is wrong with it. */
static int64
insert_dead_letter(const RfJobDraft *draft, const RfJobProblem *problem)
{
	static RfStatement insert = {
		"INSERT INTO roleferry.dead_letter (job_id, created_at, attempts, failures, priority, state,"
		" outcome, reason, task, role, queue, tenant_key, order_key, delivery, args)"
		" VALUES (pg_catalog.nextval('roleferry.outbox_id_seq'), pg_catalog.now(), 0, 0, $1, 'failed',"
		" 'permanent', $2, $3, $4, $5, $6, $7, $8, $9) RETURNING job_id",
		9, {INT2OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID}, NULL
	};
	const char *texts[7];
	Datum		values[9];
	char		nulls[9];
	bool		isnull;

	texts[0] = problem->message;
	texts[1] = draft->task;
	texts[2] = draft->role;
	texts[3] = draft->queue;
	texts[4] = draft->tenant_key;
	texts[5] = draft->order_key;
	texts[6] = draft->delivery;

	values[0] = Int16GetDatum((int16) draft->priority);
	nulls[0] = ' ';
	for (int i = 0; i < 7; i++)
	{
		values[i + 1] = texts[i] ? CStringGetTextDatum(texts[i]) : (Datum) 0;
		nulls[i + 1] = texts[i] ? ' ' : 'n';
	}
	values[8] = JsonbPGetDatum(draft->args);
	nulls[8] = ' ';
	(void) rf_statement_run(&insert, values, nulls);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
}

static Oid
outbox_owner(void)
{
	Oid			schema = get_namespace_oid("roleferry", false);
	Oid			outbox = get_relname_relid("outbox", schema);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(outbox));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("roleferry.outbox does not exist")));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*-------------------------------------------------------------------------
 *
 * on_done.c
 *	  The SQL task that is told how a provider's job has ended.
 *
 * It is enqueued by the transaction that settles the job, as the job's role,
 * so there is one for each settlement whatever crashes.  What ended well is
 * settled by few statements, which stay as they are where no job of a turn has
 * an on_done.  There are many ways to become a dead letter: a trigger of that
 * table sees all of them, and the row notes which state was told, so that a
 * restored one tells nothing again.
 *
 * IDENTIFICATION
 *	  src/outbox/on_done.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "outbox/handler_job.h"
#include "outbox/insert.h"
#include "outbox/on_done.h"
#include "outbox/settle.h"
#include "outbox/statement.h"
#include "shmem/fault.h"

static void draft_of(const RfDone *done, RfJobDraft *draft);
static Jsonb *receipt_of(const RfDone *done);
static void push_key(JsonbParseState **state, const char *key);
static void push_text(JsonbParseState **state, const char *key, const char *value);
static void push_number(JsonbParseState **state, const char *key, int64 value);
static const RfSettlement *find(List *settlements, int64 job_id);
static const char *said(const char *utf8);

bool
rf_on_done_check(const RfJobDraft *draft, RfJobProblem *problem)
{
	RfDone		done = {draft->on_done, draft->role, NULL, 0, draft->task, "", NULL, NULL, NULL, 0, NULL};
	RfJobDraft	follower;

	if (!rf_job_is_built_in(draft->task))
	{
		problem->sqlerrcode = RF_ERRCODE_BAD_ARGUMENT;
		problem->message = pstrdup("\"on_done\" is for what a provider does");
		problem->detail = NULL;
		problem->hint = pstrdup("A SQL task enqueues by itself what comes after it.");
		return false;
	}
	if (rf_job_is_built_in(draft->on_done) || strcmp(draft->on_done, RF_HANDLER_TASK) == 0)
	{
		problem->sqlerrcode = RF_ERRCODE_BAD_ARGUMENT;
		problem->message = psprintf("\"on_done\" is not a SQL task: \"%s\"", draft->on_done);
		problem->detail = NULL;
		problem->hint = pstrdup("Name one that register_task() has made.");
		return false;
	}
	draft_of(&done, &follower);
	if (rf_job_check(&follower, problem))
		return true;
	problem->message = psprintf("\"on_done\" cannot be run: %s", problem->message);
	return false;
}

void
rf_on_done_tell(const RfDone *done)
{
	RfJobDraft	draft;
	RfJobProblem problem;
	int64		id;

	draft_of(done, &draft);
	if (rf_job_check_guarded(&draft, &problem))
		(void) rf_insert_waiting(&draft, &id, NULL, NULL);	/* it has no key */
	else if (problem.passes)
		rf_job_raise(&problem); /* to be settled again in a moment */
	else
		(void) rf_insert_dead_letter(&draft, &problem);
	RF_FAULT("on_done_told");
}

void
rf_on_done_settled(int64 incarnation, List *settlements)
{
	static RfStatement read = {
		"SELECT o.id, o.task, o.on_done, o.role, o.tenant_key, o.idempotency_key FROM roleferry.outbox AS o"
		" WHERE o.id = ANY ($1) AND o.worker = $2 AND o.on_done IS NOT NULL ORDER BY o.id FOR UPDATE OF o",
		2, {INT8ARRAYOID, INT8OID}, NULL
	};
	RfColumn	ids;
	Datum		values[2];
	ListCell   *lc;
	uint64		count;
	SPITupleTable *rows;
	int			wanted = 0;

	foreach(lc, settlements)
	{
		const RfSettlement *s = lfirst(lc);

		if (!s->on_done || (s->kind != RF_SETTLE_SENT && s->kind != RF_SETTLE_DONE))
			continue;
		if (wanted++ == 0)
			rf_column_init(&ids, INT8OID);
		rf_column_add(&ids, Int64GetDatum(s->job_id), false);
	}
	if (wanted == 0)
		return;
	values[0] = rf_column_array(&ids);
	values[1] = Int64GetDatum(incarnation);
	count = rf_statement_run(&read, values, NULL);
	rows = SPI_tuptable;
	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple	row = rows->vals[i];
		bool		isnull;
		int64		id = DatumGetInt64(SPI_getbinval(row, rows->tupdesc, 1, &isnull));
		const RfSettlement *s = find(settlements, id);
		RfDone		done = {0};

		done.job_id = id;
		done.task = SPI_getvalue(row, rows->tupdesc, 2);
		done.on_done = SPI_getvalue(row, rows->tupdesc, 3);
		done.role = SPI_getvalue(row, rows->tupdesc, 4);
		done.tenant_key = SPI_getvalue(row, rows->tupdesc, 5);
		done.idempotency_key = SPI_getvalue(row, rows->tupdesc, 6);
		done.status = s->kind == RF_SETTLE_SENT ? "sent" : "done";
		done.provider = said(s->provider);
		done.message_id = said(s->kind == RF_SETTLE_SENT ? s->outcome.message_id : NULL);
		done.http_status = s->outcome.http_status;
		rf_on_done_tell(&done);
	}
}

static void
draft_of(const RfDone *done, RfJobDraft *draft)
{
	memset(draft, 0, sizeof(*draft));
	draft->task = done->on_done;
	draft->role = done->role;
	draft->tenant_key = done->tenant_key;
	draft->args = receipt_of(done);
	draft->run_at = GetCurrentTransactionStartTimestamp();
	draft->expires_at = DT_NOEND;
	draft->priority = RF_DEFAULT_PRIORITY;
	draft->follows = true;
}

/* Always the same keys, so that what fits when it is enqueued fits later. */
static Jsonb *
receipt_of(const RfDone *done)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_number(&state, "job_id", done->job_id);
	push_text(&state, "task", done->task);
	push_text(&state, "status", done->status);
	push_text(&state, "provider", done->provider);
	push_text(&state, "message_id", done->message_id);
	push_text(&state, "reason", done->reason);
	push_number(&state, "http_status", done->http_status);
	push_text(&state, "idempotency_key", done->idempotency_key);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = pstrdup(key);
	value.val.string.len = (int) strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &value);
}

static void
push_text(JsonbParseState **state, const char *key, const char *value)
{
	JsonbValue	item;

	push_key(state, key);
	item.type = value != NULL ? jbvString : jbvNull;
	if (value != NULL)
	{
		item.val.string.val = pstrdup(value);
		item.val.string.len = (int) strlen(value);
	}
	(void) pushJsonbValue(state, WJB_VALUE, &item);
}

/* 0: not known. */
static void
push_number(JsonbParseState **state, const char *key, int64 value)
{
	JsonbValue	item;

	push_key(state, key);
	item.type = value != 0 ? jbvNumeric : jbvNull;
	if (value != 0)
		item.val.numeric = int64_to_numeric(value);
	(void) pushJsonbValue(state, WJB_VALUE, &item);
}

static const RfSettlement *
find(List *settlements, int64 job_id)
{
	ListCell   *lc;

	foreach(lc, settlements)
	{
		const RfSettlement *s = lfirst(lc);

		if (s->job_id == job_id && (s->kind == RF_SETTLE_SENT || s->kind == RF_SETTLE_DONE))
			return s;
	}
	elog(ERROR, "no settlement of job " INT64_FORMAT, job_id);
}

static const char *
said(const char *utf8)
{
	return utf8 != NULL && utf8[0] != '\0' ? rf_text_to_server(utf8) : NULL;
}

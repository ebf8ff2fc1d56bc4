/*-------------------------------------------------------------------------
 *
 * handler_job.c
 *	  Jobs that hand a recorded event to one of its handlers.
 *
 * Args name rows, and hold nothing of the event: its bytes are in its row until
 * they are let go or forgotten.  The row also lists the handlers that have not
 * succeeded yet, and whoever runs one takes it off that list in the transaction
 * of its effects.  So a handler has its effect once, however many jobs and
 * replays of the event there are.
 *
 * IDENTIFICATION
 *	  src/outbox/handler_job.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "outbox/handler_job.h"
#include "outbox/insert.h"
#include "outbox/statement.h"
#include "outbox/task.h"
#include "shmem/wake.h"

static bool roles_may(const RfJobDraft *draft, const RfHandlerCall *call, RfJobProblem *problem);
static bool read_id(Jsonb *args, const char *key, int64 *id);
static void read_row(RfHandlerCall *call, MemoryContext context, const char *role);
static bool set_problem(RfJobProblem *problem, int sqlerrcode, char *message, char *hint);

bool
rf_handler_job_check(RfJobDraft *draft, RfJobProblem *problem)
{
	RfHandlerCall *call;
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	Oid			userid;
	int			security;

	rf_insert_begin_as_owner(&userid, &security);
	old = MemoryContextSwitchTo(context);
	call = rf_handler_job_read(draft->args, draft->role);
	MemoryContextSwitchTo(old);
	rf_insert_end_as_owner(userid, security);

	/*
	 * In the same words whatever there is: rows of others are nobody's
	 * business.
	 */
	if (call->problem == NULL && call->done)
		call->problem = "it is done, or was never to be done";
	if (call->problem != NULL)
		return set_problem(problem, RF_ERRCODE_BAD_ARGUMENT,
						   psprintf("there is no such handler to be run: %s", call->problem),
						   pstrdup("Jobs of the task " RF_HANDLER_TASK " are made by webhook_receive()."));
	draft->effective_delivery = "at_least_once";
	draft->accounts = NIL;
	return roles_may(draft, call, problem);
}

RfHandlerCall *
rf_handler_job_read(Jsonb *args, const char *role)
{
	RfHandlerCall *call = palloc0(sizeof(RfHandlerCall));

	if (!JB_ROOT_IS_OBJECT(args) || !read_id(args, "event", &call->event) ||
		!read_id(args, "handler", &call->handler))
		call->problem = "its args name no event and handler";
	else
		read_row(call, CurrentMemoryContext, role);
	return call;
}

bool
rf_handler_job_done(const RfHandlerCall *call, int64 job_id, int attempts)
{
	static RfStatement done = {
		"UPDATE roleferry.webhook_event AS e SET pending = nullif(array_remove(e.pending, $2), '{}'),"
		" jobs = nullif(array_remove(e.jobs, $3), '{}'), attempts = e.attempts + $4,"
		" status = CASE WHEN e.applied AND e.pending = ARRAY[$2] THEN 'applied' ELSE e.status END,"
		" error = CASE WHEN e.applied AND e.pending = ARRAY[$2] THEN NULL ELSE e.error END"
		" WHERE e.id = $1 AND $2 = ANY (e.pending)",
		4, {INT8OID, INT8OID, INT8OID, INT4OID}, NULL
	};
	Datum		values[4];

	values[0] = Int64GetDatum(call->event);
	values[1] = Int64GetDatum(call->handler);
	values[2] = Int64GetDatum(job_id);
	values[3] = Int32GetDatum(attempts);
	return rf_statement_run(&done, values, NULL) > 0;
}

int64
rf_handler_job_find(Datum jobs, int64 handler, bool *dead)
{
	static RfStatement find = {
		"SELECT o.id, false FROM roleferry.outbox AS o WHERE o.id = ANY ($1) AND o.args ->> 'handler' = $2"
		" UNION ALL SELECT d.job_id, true FROM roleferry.dead_letter AS d"
		" WHERE d.job_id = ANY ($1) AND d.args ->> 'handler' = $2",
		2, {INT8ARRAYOID, TEXTOID}, NULL
	};
	Datum		values[2];
	bool		isnull;

	values[0] = jobs;
	values[1] = CStringGetTextDatum(psprintf(INT64_FORMAT, handler));
	if (rf_statement_run(&find, values, NULL) == 0)
		return 0;
	*dead = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* One that is under way finds out by itself. */
void
rf_handler_job_drop(int64 id)
{
	static RfStatement drop = {
		"WITH gone AS (DELETE FROM roleferry.outbox AS o WHERE o.id = $1 AND o.worker IS NULL)"
		" DELETE FROM roleferry.dead_letter AS d WHERE d.job_id = $1",
		1, {INT8OID}, NULL
	};
	Datum		value = Int64GetDatum(id);

	(void) rf_statement_run(&drop, &value, NULL);
}

void
rf_handler_job_hurry(int64 id, bool dead)
{
	static RfStatement again = {
		"SELECT roleferry.job_again($1, session_user::pg_catalog.text, false, 'redrive')",
		1, {INT8OID}, NULL
	};
	static RfStatement hurry = {
		"UPDATE roleferry.outbox AS o SET run_at = pg_catalog.now()"
		" WHERE o.id = $1 AND o.worker IS NULL AND o.run_at > pg_catalog.now()",
		1, {INT8OID}, NULL
	};
	Datum		value = Int64GetDatum(id);

	(void) rf_statement_run(dead ? &again : &hurry, &value, NULL);
	rf_wake_note_everything();
}

Datum
rf_handler_event_datum(const char *data, size_t len)
{
	char	   *string = pnstrdup(data, len);

	string = pg_any_to_server(string, (int) len, PG_UTF8);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(string));
}

/* Never as a superuser, not even where the role became one since. */
static bool
roles_may(const RfJobDraft *draft, const RfHandlerCall *call, RfJobProblem *problem)
{
	Oid			role = get_role_oid(draft->role, true);
	Oid			function;
	char	   *why;

	if (!OidIsValid(role))
		return set_problem(problem, RF_ERRCODE_NOT_FOUND,
						   psprintf("the handler's role \"%s\" does not exist", draft->role), NULL);
	if (superuser_arg(role))
		return set_problem(problem, RF_ERRCODE_NO_RIGHT,
						   psprintf("the handler's role \"%s\" is a superuser", draft->role),
						   pstrdup("Name another in the handler's row."));
	function = rf_task_function(psprintf("%s(pg_catalog.text, pg_catalog.jsonb)", call->function));
	if (!OidIsValid(function))
		return set_problem(problem, ERRCODE_UNDEFINED_FUNCTION,
						   psprintf("the handler's function %s (text, jsonb) does not exist", call->function), NULL);
	if (rf_function_aclcheck(function, role, ACL_EXECUTE) != ACLCHECK_OK)
		return set_problem(problem, RF_ERRCODE_NO_RIGHT,
						   psprintf("role \"%s\" may not execute the handler's function %s", draft->role, call->function), NULL);
	if (!rf_task_role_can_run(draft->role, &why))
		return set_problem(problem, RF_ERRCODE_NO_RIGHT, why, NULL);
	return true;
}

static bool
read_id(Jsonb *args, const char *key, int64 *id)
{
	JsonbValue	value;
	char	   *digits;
	char	   *end;

	if (getKeyJsonValueFromContainer(&args->root, key, (int) strlen(key), &value) == NULL ||
		value.type != jbvNumeric)
		return false;
	digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
	errno = 0;
	*id = strtoi64(digits, &end, 10);
	return errno == 0 && *end == '\0';
}

static void
read_row(RfHandlerCall *call, MemoryContext context, const char *role)
{
	static RfStatement find = {
		"SELECT e.source, e.raw, coalesce($2 OPERATOR(pg_catalog.=) ANY (e.pending), false), h.function, h.role, h.retry_base, h.retry_cap"
		" FROM roleferry.webhook_event AS e LEFT JOIN roleferry.webhook_handler AS h ON h.id OPERATOR(pg_catalog.=) $2"
		" WHERE e.id OPERATOR(pg_catalog.=) $1",
		2, {INT8OID, INT8OID}, NULL
	};
	Datum		values[2];
	Datum		raw;
	char	   *handler_role;
	bool		isnull;
	HeapTuple	row;
	TupleDesc	desc;
	MemoryContext old;

	values[0] = Int64GetDatum(call->event);
	values[1] = Int64GetDatum(call->handler);
	if (rf_statement_run(&find, values, NULL) == 0)
	{
		call->problem = "its event is gone";
		return;
	}
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	old = MemoryContextSwitchTo(context);
	call->source = SPI_getvalue(row, desc, 1);
	call->done = !DatumGetBool(SPI_getbinval(row, desc, 3, &isnull));
	call->function = SPI_getvalue(row, desc, 4);
	handler_role = SPI_getvalue(row, desc, 5);
	call->retry_base_us = rf_interval_us(row, desc, 6);
	call->retry_cap_us = rf_interval_us(row, desc, 7);
	raw = SPI_getbinval(row, desc, 2, &isnull);
	if (!isnull)
		call->raw = (bytea *) PG_DETOAST_DATUM_COPY(raw);
	if (call->done)
		 /* nothing is wrong, whatever has become of the handler */ ;
	else if (call->function == NULL)
		call->problem = "its handler is gone";
	else if (strcmp(handler_role, role) != 0)
		call->problem = "its handler runs as another role now";
	else if (call->raw == NULL)
		call->problem = "the event's contents are no longer kept";
	MemoryContextSwitchTo(old);
}

static bool
set_problem(RfJobProblem *problem, int sqlerrcode, char *message, char *hint)
{
	problem->sqlerrcode = sqlerrcode;
	problem->message = message;
	problem->detail = NULL;
	problem->hint = hint;
	return false;
}

/*-------------------------------------------------------------------------
 *
 * task.c
 *	  SQL tasks: functions that jobs can name.
 *
 * IDENTIFICATION
 *	  src/outbox/task.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "compat.h"
#include "errors.h"
#include "outbox/insert.h"
#include "outbox/statement.h"
#include "outbox/task.h"
#include "outbox/task_call.h"

typedef struct Found
{
	char	   *function;
	char	   *run_as;
} Found;

static bool find(const char *name, Found *found);
static bool roles_may(const RfJobDraft *draft, const Found *found, Oid function,
					  RfJobProblem *problem);
static bool args_fit(const RfJobDraft *draft, Oid function, RfJobProblem *problem);
static bool set_problem(RfJobProblem *problem, int sqlerrcode, char *message,
						char *hint);

List *
rf_task_list(void)
{
	static RfStatement all = {
		"SELECT t.name, t.run_as, t.batch, t.max_attempts FROM roleferry.task AS t", 0, {0}, NULL
	};
	MemoryContext context = CurrentMemoryContext;
	uint64		count = rf_statement_run(&all, NULL, NULL);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *tasks = NIL;

	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		RfTask	   *task = palloc0(sizeof(RfTask));
		bool		isnull;

		task->name = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
		task->run_as = SPI_getvalue(row, SPI_tuptable->tupdesc, 2);
		task->batch = DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &isnull));
		task->max_attempts = DatumGetInt32(SPI_getbinval(row, SPI_tuptable->tupdesc, 4, &isnull));
		tasks = lappend(tasks, task);
	}
	MemoryContextSwitchTo(old);
	return tasks;
}

char *
rf_task_registrar(const char *name)
{
	static RfStatement statement = {
		"SELECT t.registered_by FROM roleferry.task AS t WHERE t.name OPERATOR(pg_catalog.=) $1",
		1, {TEXTOID}, NULL
	};
	Datum		value = CStringGetTextDatum(name);
	MemoryContext context = CurrentMemoryContext;
	char	   *registrar = NULL;
	Oid			userid;
	int			security;

	rf_insert_begin_as_owner(&userid, &security);
	if (rf_statement_run(&statement, &value, NULL) > 0)
		registrar = MemoryContextStrdup(context, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	rf_insert_end_as_owner(userid, security);
	return registrar;
}

void
rf_task_write(Datum *values, const char *nulls)
{
	static RfStatement statement = {
		"INSERT INTO roleferry.task AS t (name, function, run_as, timeout, max_attempts, retry_base, retry_cap,"
		" give_up_on, batch, registered_by)"
		" VALUES ($1, $2, $3, $4, $5, coalesce($6, '2 s'::pg_catalog.interval), coalesce($7, '10 min'::pg_catalog.interval),"
		" coalesce($8, '{0A,22,42}'::pg_catalog.text[]), coalesce($9, false), $10)"
		" ON CONFLICT (name) DO UPDATE SET function = excluded.function, run_as = excluded.run_as,"
		" timeout = excluded.timeout, max_attempts = excluded.max_attempts, retry_base = excluded.retry_base,"
		" retry_cap = excluded.retry_cap, give_up_on = excluded.give_up_on, batch = excluded.batch,"
		" registered_at = pg_catalog.now()",
		10, {TEXTOID, TEXTOID, TEXTOID, INTERVALOID, INT4OID, INTERVALOID, INTERVALOID, TEXTARRAYOID, BOOLOID, TEXTOID}, NULL
	};
	Oid			userid;
	int			security;

	rf_insert_begin_as_owner(&userid, &security);
	(void) rf_statement_run(&statement, values, nulls);
	rf_insert_end_as_owner(userid, security);
}

bool
rf_task_remove(const char *name)
{
	static RfStatement statement = {
		"DELETE FROM roleferry.task AS t WHERE t.name OPERATOR(pg_catalog.=) $1",
		1, {TEXTOID}, NULL
	};
	Datum		value = CStringGetTextDatum(name);
	Oid			userid;
	int			security;
	uint64		gone;

	rf_insert_begin_as_owner(&userid, &security);
	gone = rf_statement_run(&statement, &value, NULL);
	rf_insert_end_as_owner(userid, security);
	return gone > 0;
}

bool
rf_task_tell(const char *name, RfTaskTold *told)
{
	static RfStatement statement = {
		"SELECT t.function, t.run_as, pg_catalog.concat_ws(', ',"
		" CASE WHEN t.timeout IS NOT NULL THEN pg_catalog.concat('timeout ', t.timeout) END,"
		" CASE WHEN t.max_attempts IS NOT NULL THEN pg_catalog.concat('at most ', t.max_attempts, ' attempts') END,"
		" pg_catalog.concat('retries after ', t.retry_base, ' to ', t.retry_cap),"
		" pg_catalog.concat('gives up on ', pg_catalog.array_to_string(t.give_up_on, ' ')),"
		" CASE WHEN t.batch THEN 'shares transactions' END)"
		" FROM roleferry.task AS t WHERE t.name OPERATOR(pg_catalog.=) $1",
		1, {TEXTOID}, NULL
	};
	Datum		value = CStringGetTextDatum(name);
	MemoryContext context = CurrentMemoryContext;
	bool		exists;
	Oid			userid;
	int			security;

	rf_insert_begin_as_owner(&userid, &security);
	exists = rf_statement_run(&statement, &value, NULL) > 0;
	if (exists)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		told->function = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		told->run_as = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
		told->policy = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3);
		MemoryContextSwitchTo(old);
	}
	rf_insert_end_as_owner(userid, security);
	return exists;
}

bool
rf_task_check(RfJobDraft *draft, RfJobProblem *problem)
{
	Found		found;
	Oid			function;

	if (!find(draft->task, &found))
		return set_problem(problem, RF_ERRCODE_BAD_ARGUMENT,
						   psprintf("there is no task \"%s\"", draft->task),
						   pstrdup("A SQL function becomes one by register_task(); others are: send_email, apollo_search, verify_emails, enrich_people."));
	if (draft->delivery != NULL && strcmp(draft->delivery, "at_least_once") != 0)
		return set_problem(problem, RF_ERRCODE_BAD_ARGUMENT,
						   pstrdup("\"delivery\" has no meaning for a SQL task"),
						   pstrdup("Its effects and the job's end commit together: leave it out."));
	if (!JB_ROOT_IS_OBJECT(draft->args))
		return set_problem(problem, RF_ERRCODE_BAD_ARGUMENT,
						   pstrdup("\"args\" is not a JSON object"),
						   pstrdup("Its keys are the names of the function's parameters."));
	if (VARSIZE_ANY_EXHDR(draft->args) > RF_TASK_ARGS_MAX)
		return set_problem(problem, RF_ERRCODE_BAD_ARGUMENT,
						   psprintf("\"args\" is too large: %zu bytes", (size_t) VARSIZE_ANY_EXHDR(draft->args)),
						   psprintf("The most is %d bytes: keep the rest in a table of yours.", RF_TASK_ARGS_MAX));
	function = rf_task_function(found.function);
	if (!OidIsValid(function))
		return set_problem(problem, ERRCODE_UNDEFINED_FUNCTION,
						   psprintf("the function %s of task \"%s\" does not exist", found.function, draft->task),
						   pstrdup("Create it, or register the task with another one."));
	draft->effective_delivery = "at_least_once";
	draft->accounts = NIL;
	return roles_may(draft, &found, function, problem) && args_fit(draft, function, problem);
}

Oid
rf_task_function(const char *signature)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		function;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = CStringGetTextDatum(signature);
	fcinfo->args[0].isnull = false;
	function = to_regprocedure(fcinfo);
	return fcinfo->isnull ? InvalidOid : DatumGetObjectId(function);
}

char *
rf_task_function_text(Oid function)
{
	return format_procedure_qualified(function);
}

/* What InitPostgres() would refuse an executor for, and say to the log only. */
bool
rf_task_role_can_run(const char *role, char **why)
{
	HeapTuple	tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(role));
	Oid			roleid;
	bool		can_login;

	if (!HeapTupleIsValid(tuple))
	{
		*why = psprintf("role \"%s\" does not exist", role);
		return false;
	}
	roleid = ((Form_pg_authid) GETSTRUCT(tuple))->oid;
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (RF_EXECUTORS_NEED_LOGIN && !can_login)
	{
		*why = psprintf("role \"%s\" may not log in, which running SQL tasks takes before PostgreSQL 17", role);
		return false;
	}
	if (rf_database_aclcheck(MyDatabaseId, roleid, ACL_CONNECT) != ACLCHECK_OK)
	{
		*why = psprintf("role \"%s\" may not connect to this database", role);
		return false;
	}
	return true;
}

/* As the owner: senders may not read the table. */
static bool
find(const char *name, Found *found)
{
	static RfStatement statement = {
		"SELECT t.function, t.run_as FROM roleferry.task AS t WHERE t.name OPERATOR(pg_catalog.=) $1",
		1, {TEXTOID}, NULL
	};
	MemoryContext context = CurrentMemoryContext;
	Datum		value = CStringGetTextDatum(name);
	bool		exists;
	Oid			userid;
	int			security;

	memset(found, 0, sizeof(*found));
	rf_insert_begin_as_owner(&userid, &security);
	exists = rf_statement_run(&statement, &value, NULL) > 0;
	if (exists)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		found->function = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		found->run_as = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
		MemoryContextSwitchTo(old);
	}
	rf_insert_end_as_owner(userid, security);
	return exists;
}

/*
 * The role that enqueues needs EXECUTE, even where another runs it: as for a
 * SECURITY DEFINER function.
 */
static bool
roles_may(const RfJobDraft *draft, const Found *found, Oid function,
		  RfJobProblem *problem)
{
	const char *roles[2] = {draft->role, found->run_as};
	const char *runner = found->run_as ? found->run_as : draft->role;
	char	   *why;

	for (int i = 0; i < 2; i++)
	{
		Oid			roleid = roles[i] ? get_role_oid(roles[i], true) : InvalidOid;

		if (roles[i] == NULL)
			continue;
		if (!OidIsValid(roleid))
			return set_problem(problem, RF_ERRCODE_NOT_FOUND,
							   psprintf("role \"%s\" does not exist", roles[i]), NULL);
		if (rf_function_aclcheck(function, roleid, ACL_EXECUTE) != ACLCHECK_OK)
			return set_problem(problem, RF_ERRCODE_NO_RIGHT,
							   psprintf("role \"%s\" may not execute the function of task \"%s\"", roles[i], draft->task),
							   psprintf("GRANT EXECUTE ON FUNCTION %s TO %s.",
										format_procedure(function), quote_identifier(roles[i])));
	}
	if (!rf_task_role_can_run(runner, &why))
		return set_problem(problem, RF_ERRCODE_NO_RIGHT, why,
						   psprintf("ALTER ROLE %s LOGIN, GRANT CONNECT ON DATABASE %s TO it, or register the task with run_as.",
									quote_identifier(runner), quote_identifier(get_database_name(MyDatabaseId))));
	return true;
}

static bool
args_fit(const RfJobDraft *draft, Oid function, RfJobProblem *problem)
{
	RfTaskSignature signature;
	char	   *why;

	if (!rf_task_signature(function, &signature, &why))
		return set_problem(problem, RF_ERRCODE_BAD_ARGUMENT,
						   psprintf("the function of task \"%s\" %s", draft->task, why), NULL);
	if (!rf_task_args_fit(&signature, draft->args, &why))
		return set_problem(problem, RF_ERRCODE_BAD_ARGUMENT, psprintf("\"args\" %s", why), NULL);
	return true;
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

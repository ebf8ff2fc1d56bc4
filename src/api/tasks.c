/*-------------------------------------------------------------------------
 *
 * tasks.c
 *	  roleferry.register_task(), unregister_task() and enqueue().
 *
 * A task's name stands for a function in everybody's jobs, so only who may act
 * for the role that registered it changes it.
 *
 * IDENTIFICATION
 *	  src/api/tasks.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/enqueue_params.h"
#include "api/version.h"
#include "compat.h"
#include "core/task_retry.h"
#include "errors.h"
#include "outbox/handler_job.h"
#include "outbox/statement.h"
#include "outbox/task.h"
#include "outbox/task_call.h"
#include "shmem/shared.h"

#define NAME_MAX_BYTES	200

/* Parameters of register_task(). */
enum
{
	R_NAME,
	R_FUNCTION,
	R_RUN_AS,
	R_TIMEOUT,
	R_MAX_ATTEMPTS,
	R_RETRY_BASE,
	R_RETRY_CAP,
	R_GIVE_UP_ON,
	R_BATCH,
	R_COUNT
};

/* Parameters of enqueue(). */
enum
{
	E_TASK,
	E_ARGS,
	E_IDEMPOTENCY_KEY,
	E_RUN_AT,
	E_PRIORITY,
	E_QUEUE,
	E_EXPIRES_AT,
	E_MAX_ATTEMPTS,
	E_ORDER_KEY,
	E_TENANT_KEY,
	E_DELIVERY,
	E_ON_INVALID,
	E_ON_CONFLICT,
	E_ON_DONE,
	E_COUNT
};

static void check_name(const char *name);
static void check_function(Oid function);
static void check_run_as(FunctionCallInfo fcinfo, Oid function);
static void check_give_up_on(FunctionCallInfo fcinfo);
static void check_interval(FunctionCallInfo fcinfo, int which, const char *field, bool zero_is_good);
static void require_registrar(const char *name);
static void write_task(FunctionCallInfo fcinfo, const char *registrar);
static void bad_argument(const char *field, const char *what);

PG_FUNCTION_INFO_V1(roleferry_register_task);
PG_FUNCTION_INFO_V1(roleferry_unregister_task);
PG_FUNCTION_INFO_V1(roleferry_enqueue);

Datum
roleferry_register_task(PG_FUNCTION_ARGS)
{
	rf_version_require_arguments(fcinfo, R_COUNT);
	for (int i = R_NAME; i <= R_FUNCTION; i++)
		if (PG_ARGISNULL(i))
			bad_argument(i == R_NAME ? "name" : "function", "is null");
	check_name(text_to_cstring(PG_GETARG_TEXT_PP(R_NAME)));
	check_function(PG_GETARG_OID(R_FUNCTION));
	check_run_as(fcinfo, PG_GETARG_OID(R_FUNCTION));
	check_give_up_on(fcinfo);
	check_interval(fcinfo, R_TIMEOUT, "timeout", false);
	check_interval(fcinfo, R_RETRY_BASE, "retry_base", true);
	check_interval(fcinfo, R_RETRY_CAP, "retry_cap", true);
	if (!PG_ARGISNULL(R_MAX_ATTEMPTS) &&
		(PG_GETARG_INT32(R_MAX_ATTEMPTS) < 1 || PG_GETARG_INT32(R_MAX_ATTEMPTS) > 1000))
		bad_argument("max_attempts", "is not between 1 and 1000");
	require_registrar(text_to_cstring(PG_GETARG_TEXT_PP(R_NAME)));
	write_task(fcinfo, GetUserNameFromId(GetUserId(), false));
	PG_RETURN_VOID();
}

Datum
roleferry_unregister_task(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	require_registrar(name);
	PG_RETURN_BOOL(rf_task_remove(name));
}

Datum
roleferry_enqueue(PG_FUNCTION_ARGS)
{
	static const RfEnqueueParams at = {
		E_IDEMPOTENCY_KEY, E_RUN_AT, E_PRIORITY, E_QUEUE, E_EXPIRES_AT, E_MAX_ATTEMPTS, E_ORDER_KEY,
		E_TENANT_KEY, E_DELIVERY, E_ON_INVALID, E_ON_CONFLICT, E_ON_DONE
	};
	RfJobDraft	draft;
	bool		reject;

	rf_shared_require();
	rf_version_require_arguments(fcinfo, E_COUNT);
	if (PG_ARGISNULL(E_TASK))
		bad_argument("task", "is null");
	memset(&draft, 0, sizeof(draft));
	draft.task = text_to_cstring(PG_GETARG_TEXT_PP(E_TASK));
	draft.args = PG_ARGISNULL(E_ARGS) ? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))) :
		PG_GETARG_JSONB_P(E_ARGS);
	reject = rf_enqueue_params_read(fcinfo, &at, &draft);
	PG_RETURN_INT64(rf_enqueue_params_finish(&draft, reject, NULL));
}

static void
check_name(const char *name)
{
	if (name[0] == '\0' || strlen(name) > NAME_MAX_BYTES)
		bad_argument("name", "is empty or longer than 200 bytes");
	for (const char *p = name; *p; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			bad_argument("name", "holds a control character");
	if (rf_job_is_built_in(name) || strcmp(name, RF_HANDLER_TASK) == 0)
		bad_argument("name", "is that of a task of roleferry's own");
}

static void
check_function(Oid function)
{
	RfTaskSignature signature;
	char	   *why;

	if (!rf_task_signature(function, &signature, &why))
		bad_argument("function", why);
}

/* As if it called it: who makes others run it as a role must be that role. */
static void
check_run_as(FunctionCallInfo fcinfo, Oid function)
{
	Oid			role;
	char	   *name;
	char	   *why;

	if (PG_ARGISNULL(R_RUN_AS))
		return;
	role = PG_GETARG_OID(R_RUN_AS);
	name = GetUserNameFromId(role, true);
	if (name == NULL)
		bad_argument("run_as", "is no role");
	if (!rf_member_can_act_as(GetUserId(), role))
		ereport(ERROR,
				(errcode(RF_ERRCODE_NO_RIGHT),
				 errmsg("\"run_as\" is a role you are no member of: \"%s\"", name),
				 errhint("Name a role that you may SET ROLE to.")));
	if (rf_function_aclcheck(function, role, ACL_EXECUTE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NO_RIGHT),
				 errmsg("role \"%s\" may not execute the function", name)));
	if (!rf_task_role_can_run(name, &why))
		ereport(ERROR,
				(errcode(RF_ERRCODE_NO_RIGHT), errmsg_internal("%s", why),
				 errhint("ALTER ROLE %s LOGIN, and GRANT CONNECT ON DATABASE to it.", quote_identifier(name))));
}

static void
check_give_up_on(FunctionCallInfo fcinfo)
{
	List	   *states = rf_name_list(PG_ARGISNULL(R_GIVE_UP_ON) ? (Datum) 0 : PG_GETARG_DATUM(R_GIVE_UP_ON),
									  PG_ARGISNULL(R_GIVE_UP_ON));
	ListCell   *lc;

	foreach(lc, states)
		if (!rf_task_is_sqlstate(lfirst(lc)))
		bad_argument("give_up_on", psprintf("has \"%s\", which is neither a SQLSTATE nor the class of some",
											(char *) lfirst(lc)));
}

static void
check_interval(FunctionCallInfo fcinfo, int which, const char *field, bool zero_is_good)
{
	Interval   *interval;

	if (PG_ARGISNULL(which))
		return;
	interval = PG_GETARG_INTERVAL_P(which);
	if (interval->month < 0 || interval->day < 0 || interval->time < 0 || interval->month > 12 ||
		(!zero_is_good && interval->month == 0 && interval->day == 0 && interval->time == 0))
		bad_argument(field, zero_is_good ? "is negative or longer than a year" : "is not positive, or longer than a year");
}

/* Who registered it first, and whoever may act for him. */
static void
require_registrar(const char *name)
{
	char	   *registrar = rf_task_registrar(name);
	Oid			role;

	if (registrar == NULL)
		return;
	role = get_role_oid(registrar, true);
	if (OidIsValid(role) ? !has_privs_of_role(GetUserId(), role) : !superuser())
		ereport(ERROR,
				(errcode(RF_ERRCODE_NO_RIGHT),
				 errmsg("task \"%s\" was registered by another role", name),
				 errhint("Jobs of others name it: only that role, or a superuser, changes what it does.")));
}

static void
write_task(FunctionCallInfo fcinfo, const char *registrar)
{
	Datum		values[R_COUNT + 1];
	char		nulls[R_COUNT + 1];

	for (int i = 0; i < R_COUNT; i++)
	{
		values[i] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	values[R_FUNCTION] = CStringGetTextDatum(rf_task_function_text(PG_GETARG_OID(R_FUNCTION)));
	if (!PG_ARGISNULL(R_RUN_AS))
		values[R_RUN_AS] = CStringGetTextDatum(GetUserNameFromId(PG_GETARG_OID(R_RUN_AS), false));
	values[R_COUNT] = CStringGetTextDatum(registrar);
	nulls[R_COUNT] = ' ';
	rf_task_write(values, nulls);
}

static void
bad_argument(const char *field, const char *what)
{
	ereport(ERROR,
			(errcode(RF_ERRCODE_BAD_ARGUMENT), errmsg("\"%s\" %s", field, what)));
}

/*-------------------------------------------------------------------------
 *
 * task_session.c
 *	  Calling the function of a SQL task, as the session's role.
 *
 * IDENTIFICATION
 *	  src/worker/task_session.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "errors.h"
#include "outbox/handler_job.h"
#include "outbox/task.h"
#include "outbox/task_call.h"
#include "shmem/fault.h"
#include "shmem/server_mode.h"
#include "worker/task_session.h"

#define MAX_PLANS	64

typedef struct KnownPlan
{
	char	   *sql;
	SPIPlanPtr	plan;
} KnownPlan;

static KnownPlan plans[MAX_PLANS];
static int	nplans = 0;

/* Of the jobs that this transaction has run. */
static RfMode strictest = RF_MODE_LIVE;

static void at_transaction_end(XactEvent event, void *arg);
static SPIPlanPtr find_plan(const char *sql, int nargs, Oid *types);

void
rf_task_session_begin(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}

/*
 * A task has its time, and so have its deferred triggers.  What follows is the
 * commit, which a timeout would not take back: it would end a wait for a
 * standby.  One that came in this moment still counts.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT)
		return;
	disable_timeout(STATEMENT_TIMEOUT, false);
	CHECK_FOR_INTERRUPTS();
}

/*
 * As DISCARD ALL would, but for plans.  The transaction under way has done
 * nothing yet, and began with what the last task has left as defaults.
 */
void
rf_task_reset_session(void)
{
	rf_mode_set_floor(RF_MODE_LIVE);
	strictest = RF_MODE_LIVE;
	PortalHashTableDeleteAll();
	SetPGVariable("session_authorization", NIL, false);
	(void) set_config_option("role", "none", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
	ResetAllOptions();
	XactIsoLevel = DefaultXactIsoLevel;
	XactReadOnly = DefaultXactReadOnly;
	XactDeferrable = DefaultXactDeferrable;
	DropAllPreparedStatements();
	Async_UnlistenAll();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetTempTableNamespace();
	ResetSequenceCaches();
}

void
rf_task_before_commit(void)
{
	rf_mode_set_floor(strictest);
}

void
rf_task_start(const RfRunJob *job)
{
	int			ms = StatementTimeout;
	char		activity[NAMEDATALEN + 64];

	rf_mode_set_floor(job->mode);
	strictest = rf_mode_stricter(strictest, job->mode);
	snprintf(activity, sizeof(activity), "job " INT64_FORMAT ": %s", job->id, job->task);
	pgstat_report_activity(STATE_RUNNING, activity);
	if (job->timeout_us > 0)
		ms = (int) Min(Max(job->timeout_us / 1000, 1), INT_MAX);
	if (ms > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, ms);
	else
		disable_timeout(STATEMENT_TIMEOUT, false);
}

void
rf_task_call(RfRunJob *job)
{
	MemoryContext context = CurrentMemoryContext;
	RfTaskSignature signature;
	StringInfoData call;
	Oid			function = rf_task_function(job->function);
	char	   *why = pstrdup("does not exist");
	Datum		args = JsonbPGetDatum(job->args);
	Oid			type = JSONBOID;
	int			result;

	pgstat_report_activity(STATE_RUNNING, psprintf("task %s, job " INT64_FORMAT, job->task, job->id));
	if (!OidIsValid(function) || !rf_task_signature(function, &signature, &why))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("the function %s of task \"%s\" %s", job->function, job->task, why)));
	if (!JB_ROOT_IS_OBJECT(job->args) || !rf_task_args_fit(&signature, job->args, &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("args do not fit the function of task \"%s\"", job->task)));
	initStringInfo(&call);
	rf_task_call_text(&signature, job->args, &call);

	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	result = SPI_execute_plan(find_plan(call.data, 1, &type), &args, NULL, false, 1);
	if (result != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not execute \"%s\": %s", call.data, SPI_result_code_string(result));
	job->result = NULL;
	if (signature.result != VOIDOID)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		MemoryContext old = MemoryContextSwitchTo(context);

		if (!isnull)
			job->result = (Jsonb *) PG_DETOAST_DATUM_COPY(value);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	PopActiveSnapshot();
	RF_FAULT("task_in_run");
}

/* Who may do so now: a role can have become a superuser since. */
void
rf_task_call_handler(const RfRunJob *job)
{
	const RfHandlerCall *call = job->handler;
	Oid			types[2] = {TEXTOID, JSONBOID};
	Datum		values[2];
	char	   *sql = psprintf("SELECT %s($1, $2)", call->function);

	pgstat_report_activity(STATE_RUNNING, psprintf("handler %s, job " INT64_FORMAT, call->function, job->id));
	if (superuser())
		ereport(ERROR,
				(errcode(RF_ERRCODE_NO_RIGHT),
				 errmsg("the handler's role \"%s\" is a superuser", job->run_as),
				 errhint("Name another in the handler's row.")));
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	values[0] = CStringGetTextDatum(call->source);
	values[1] = rf_handler_event_datum(VARDATA_ANY(call->raw), VARSIZE_ANY_EXHDR(call->raw));
	if (SPI_execute_plan(find_plan(sql, 2, types), values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	SPI_finish();
	PopActiveSnapshot();
	RF_FAULT("task_in_run");
}

/* Plans outlive the transaction; what changes under them makes them anew. */
static SPIPlanPtr
find_plan(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan;

	for (int i = 0; i < nplans; i++)
		if (strcmp(plans[i].sql, sql) == 0)
			return plans[i].plan;

	if (nplans == MAX_PLANS)
	{
		for (int i = 0; i < nplans; i++)
		{
			(void) SPI_freeplan(plans[i].plan);
			pfree(plans[i].sql);
		}
		nplans = 0;
	}
	plan = SPI_prepare(sql, nargs, types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	plans[nplans].sql = MemoryContextStrdup(TopMemoryContext, sql);
	plans[nplans++].plan = plan;
	return plan;
}

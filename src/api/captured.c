/*-------------------------------------------------------------------------
 *
 * captured.c
 *	  roleferry.captured(): what roleferry.mode keeps from being sent.
 *
 * Nothing is kept for it: a mail that was captured is a row like any other, in
 * the outbox while its transaction goes on, among the dead letters later, and
 * its request is built when it is looked at.  So what was rolled back, to a
 * savepoint too, is not there, and nothing else need be done for that.
 *
 * IDENTIFICATION
 *	  src/api/captured.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "api/rendered.h"
#include "api/version.h"
#include "outbox/captured.h"
#include "outbox/statement.h"
#include "shmem/server_mode.h"
#include "shmem/shared.h"

#define NCOLUMNS 7

static void put_row(ReturnSetInfo *result, const RfCaptured *job);
static const RfAccount *first_account(const RfCaptured *job);

PG_FUNCTION_INFO_V1(roleferry_captured);
PG_FUNCTION_INFO_V1(roleferry_server_mode);

Datum
roleferry_captured(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, NCOLUMNS);
	foreach(lc, rf_captured_list(GetUserNameFromId(GetUserId(), false)))
		put_row(result, lfirst(lc));
	return (Datum) 0;
}

Datum
roleferry_server_mode(PG_FUNCTION_ARGS)
{
	rf_shared_require();
	PG_RETURN_TEXT_P(cstring_to_text(rf_mode_text(rf_server_mode())));
}

static void
put_row(ReturnSetInfo *result, const RfCaptured *job)
{
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS] = {false};
	const RfAccount *account = first_account(job);
	char	   *problem = account == NULL ? pstrdup("none of its accounts exists and may be used by its role") : NULL;
	Jsonb	   *request = NULL;

	if (account != NULL && job->args != NULL && strcmp(job->task, "send_email") == 0)
		request = rf_rendered_request(account, job->job_id, job->args, job->installation, false, &problem);
	values[0] = Int64GetDatum(job->job_id);
	values[1] = TimestampTzGetDatum(job->created_at);
	values[2] = CStringGetTextDatum(job->task);
	nulls[3] = job->args == NULL;
	values[3] = JsonbPGetDatum(job->args);
	nulls[4] = account == NULL;
	values[4] = account ? CStringGetTextDatum(account->name) : (Datum) 0;
	nulls[5] = request == NULL;
	values[5] = JsonbPGetDatum(request);
	nulls[6] = problem == NULL;
	values[6] = problem ? CStringGetTextDatum(rf_text_to_server(problem)) : (Datum) 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* As the dispatcher would take it if all were well. */
static const RfAccount *
first_account(const RfCaptured *job)
{
	Oid			roleid = get_role_oid(job->role, true);
	ListCell   *lc;

	foreach(lc, job->accounts)
	{
		RfAccount  *account = rf_account_by_name(lfirst(lc));

		if (account != NULL && OidIsValid(roleid) && rf_account_usable(account, roleid))
			return account;
	}
	return NULL;
}

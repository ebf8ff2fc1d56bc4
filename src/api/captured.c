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

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "api/caller.h"
#include "api/rendered.h"
#include "api/version.h"
#include "outbox/lookup_job.h"
#include "outbox/search_args.h"
#include "outbox/statement.h"
#include "shmem/server_mode.h"
#include "shmem/shared.h"

/* Of the statement, and of the function. */
enum
{
	C_ID = 1,
	C_CREATED_AT,
	C_TASK,
	C_ARGS,
	C_ACCOUNTS,
	C_ROLE,
	C_INSTALLATION
};

#define NCOLUMNS 7

static void put_row(ReturnSetInfo *result, HeapTuple tuple, TupleDesc desc);
static const RfAccount *first_account(HeapTuple tuple, TupleDesc desc);

PG_FUNCTION_INFO_V1(roleferry_captured);
PG_FUNCTION_INFO_V1(roleferry_server_mode);

Datum
roleferry_captured(PG_FUNCTION_ARGS)
{
	static RfStatement find = {
		"SELECT c.*, coalesce((SELECT a.installation FROM roleferry.activation AS a LIMIT 1), '0') FROM ("
		"SELECT o.id, o.created_at, o.task, o.args, o.accounts, o.role FROM roleferry.outbox AS o"
		" WHERE o.mode OPERATOR(pg_catalog.=) 'capture' AND o.task OPERATOR(pg_catalog.=) ANY (ARRAY['send_email', '" RF_SEARCH_TASK "', " RF_LOOKUP_TASKS "])"
		" UNION ALL SELECT d.job_id, d.created_at, d.task, d.args, ARRAY[d.account], d.role"
		" FROM roleferry.dead_letter AS d WHERE d.state OPERATOR(pg_catalog.=) 'captured') AS c"
		" WHERE c.role OPERATOR(pg_catalog.=) $1"
		" OR pg_catalog.has_table_privilege($1::pg_catalog.name, 'roleferry.outbox', 'SELECT')"
		" ORDER BY c.id",
		1, {TEXTOID}, NULL
	};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		asker = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	Oid			userid;
	int			context;
	uint64		found;
	SPITupleTable *rows;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, NCOLUMNS);
	rf_caller_become_owner(fcinfo, &userid, &context);
	SPI_connect();
	found = rf_statement_run(&find, &asker, NULL);
	rows = SPI_tuptable;
	for (uint64 i = 0; i < found; i++)
		put_row(result, rows->vals[i], rows->tupdesc);
	SPI_finish();
	SetUserIdAndSecContext(userid, context);
	return (Datum) 0;
}

Datum
roleferry_server_mode(PG_FUNCTION_ARGS)
{
	rf_shared_require();
	PG_RETURN_TEXT_P(cstring_to_text(rf_mode_text(rf_server_mode())));
}

static void
put_row(ReturnSetInfo *result, HeapTuple tuple, TupleDesc desc)
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS] = {false};
	bool		isnull;
	const RfAccount *account = first_account(tuple, desc);
	char	   *problem = account == NULL ? pstrdup("none of its accounts exists and may be used by its role") : NULL;
	Jsonb	   *request = NULL;

	values[0] = SPI_getbinval(tuple, desc, C_ID, &nulls[0]);
	values[1] = SPI_getbinval(tuple, desc, C_CREATED_AT, &nulls[1]);
	values[2] = SPI_getbinval(tuple, desc, C_TASK, &nulls[2]);
	values[3] = SPI_getbinval(tuple, desc, C_ARGS, &nulls[3]);
	if (account != NULL && !nulls[3] && strcmp(SPI_getvalue(tuple, desc, C_TASK), "send_email") == 0)
		request = rf_rendered_request(account, DatumGetInt64(values[0]),
									  DatumGetJsonbP(values[3]),
									  TextDatumGetCString(SPI_getbinval(tuple, desc, C_INSTALLATION, &isnull)),
									  false, &problem);
	nulls[4] = account == NULL;
	values[4] = account ? CStringGetTextDatum(account->name) : (Datum) 0;
	nulls[5] = request == NULL;
	values[5] = request ? JsonbPGetDatum(request) : (Datum) 0;
	nulls[6] = problem == NULL;
	values[6] = problem ? CStringGetTextDatum(rf_text_to_server(problem)) : (Datum) 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* As the dispatcher would take it if all were well. */
static const RfAccount *
first_account(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		names = SPI_getbinval(tuple, desc, C_ACCOUNTS, &isnull);
	Oid			roleid = get_role_oid(SPI_getvalue(tuple, desc, C_ROLE), true);
	ListCell   *lc;

	foreach(lc, rf_name_list(names, isnull))
	{
		RfAccount  *account = rf_account_by_name(lfirst(lc));

		if (account != NULL && OidIsValid(roleid) && rf_account_usable(account, roleid))
			return account;
	}
	return NULL;
}

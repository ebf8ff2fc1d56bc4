/*-------------------------------------------------------------------------
 *
 * caller.c
 *	  Functions that read for their caller what he may not read himself.
 *
 * IDENTIFICATION
 *	  src/api/caller.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "utils/syscache.h"

#include "api/caller.h"

static Oid	function_owner(Oid function);

void
rf_caller_become_owner(FunctionCallInfo fcinfo, Oid *userid, int *context)
{
	GetUserIdAndSecContext(userid, context);
	SetUserIdAndSecContext(function_owner(fcinfo->flinfo->fn_oid),
						   *context | SECURITY_LOCAL_USERID_CHANGE);
}

static Oid
function_owner(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

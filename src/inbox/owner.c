/*-------------------------------------------------------------------------
 *
 * owner.c
 *	  Acting as the extension's owner, or as a handler's role, for a moment.
 *
 * The caller may have any search_path, one with operators of its own before
 * pg_catalog's, too: nothing is parsed with more rights under that.
 *
 * IDENTIFICATION
 *	  src/inbox/owner.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "inbox/owner.h"

static void begin(RfActing *acting, Oid userid, int context, const char *search_path);

void
rf_acting_begin_owner(RfActing *acting, Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	begin(acting, owner, 0, "pg_catalog, pg_temp");
}

/*
 * pg_temp is last: what the caller has there must not stand in for a table.
 * Nor must what the role leaves behind run with the caller's rights: a temporary
 * table in the place of one that the caller means, a trigger deferred to his
 * commit, a statement prepared in his session are refused.
 */
void
rf_acting_begin_role(RfActing *acting, Oid role)
{
	begin(acting, role, SECURITY_RESTRICTED_OPERATION, "\"$user\", public, pg_temp");
}

/* Whatever was set meanwhile is taken back, also what was set for the session. */
void
rf_acting_end(const RfActing *acting)
{
	AtEOXact_GUC(false, acting->guc_level);
	SetUserIdAndSecContext(acting->userid, acting->context);
}

static void
begin(RfActing *acting, Oid userid, int context, const char *search_path)
{
	GetUserIdAndSecContext(&acting->userid, &acting->context);
	SetUserIdAndSecContext(userid, acting->context | SECURITY_LOCAL_USERID_CHANGE | context);
	acting->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", search_path, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

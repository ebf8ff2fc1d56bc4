/*-------------------------------------------------------------------------
 *
 * utility_hook.c
 *	  Commands that need a database without its dispatcher.
 *
 * DROP DATABASE, ALTER DATABASE RENAME and SET TABLESPACE, and CREATE DATABASE
 * with it as a template fail while anybody is connected.  The dispatcher is
 * asked out first and comes back when the command is over, if its database is
 * still there under a name that is served.  Only who may run the command may
 * ask: anybody else would stop other people's mail.
 *
 * IDENTIFICATION
 *	  src/api/utility_hook.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"

#include "compat.h"
#include "shmem/evict.h"
#include "api/utility_hook.h"

static ProcessUtility_hook_type next_hook = NULL;

static void process_utility(PlannedStmt *pstmt, const char *queryString,
							bool readOnlyTree, ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *queryEnv,
							DestReceiver *dest, QueryCompletion *qc);
static Oid	database_wanted_alone(Node *statement);
static const char *template_of(CreatedbStmt *statement);
static bool moves_tablespace(AlterDatabaseStmt *statement);
static bool may_have_it_alone(Node *statement, Oid database);
static bool is_template(Oid database);

void
rf_utility_install_hook(void)
{
	next_hook = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = process_utility;
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *queryEnv, DestReceiver *dest,
				QueryCompletion *qc)
{
	Oid			database = database_wanted_alone(pstmt->utilityStmt);

	if (!OidIsValid(database))
	{
		next_hook(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
		return;
	}

	PG_TRY();
	{
		(void) rf_evict_begin(database);
		next_hook(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
	}
	PG_FINALLY();
	{
		rf_evict_end();
	}
	PG_END_TRY();
}

/* InvalidOid: none, or not for this user to ask for. */
static Oid
database_wanted_alone(Node *statement)
{
	const char *name = NULL;
	Oid			database;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			name = ((DropdbStmt *) statement)->dbname;
			break;
		case T_CreatedbStmt:
			name = template_of((CreatedbStmt *) statement);
			break;
		case T_AlterDatabaseStmt:
			if (moves_tablespace((AlterDatabaseStmt *) statement))
				name = ((AlterDatabaseStmt *) statement)->dbname;
			break;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				name = ((RenameStmt *) statement)->subname;
			break;
		default:
			break;
	}
	if (name == NULL)
		return InvalidOid;
	database = get_database_oid(name, true);
	if (!OidIsValid(database) || !may_have_it_alone(statement, database))
		return InvalidOid;
	return database;
}

static const char *
template_of(CreatedbStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->options)
	{
		DefElem    *option = lfirst(lc);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return "template1";
}

static bool
moves_tablespace(AlterDatabaseStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->options)
	{
		if (strcmp(((DefElem *) lfirst(lc))->defname, "tablespace") == 0)
			return true;
	}
	return false;
}

/* As the commands themselves will ask: owners, and anybody for a template. */
static bool
may_have_it_alone(Node *statement, Oid database)
{
	if (rf_database_ownercheck(database, GetUserId()))
		return true;
	return IsA(statement, CreatedbStmt) && have_createdb_privilege() &&
		is_template(database);
}

static bool
is_template(Oid database)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	return result;
}

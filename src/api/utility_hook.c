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
 * ALTER EXTENSION roleferry UPDATE asks it out, too, because afterwards there
 * may be nobody who could write what has become of the mails under way: the
 * library's statements are for the tables of its own version.  PostgreSQL takes
 * no lock on an extension that it updates; we do, so that the next dispatcher
 * waits for the end of the transaction.
 *
 * IDENTIFICATION
 *	  src/api/utility_hook.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "compat.h"
#include "errors.h"
#include "shmem/evict.h"
#include "api/utility_hook.h"

static ProcessUtility_hook_type next_hook = NULL;

static void process_utility(PlannedStmt *pstmt, const char *queryString,
							bool readOnlyTree, ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *queryEnv,
							DestReceiver *dest, QueryCompletion *qc);
static Oid	database_wanted_alone(Node *statement);
static int	grace_for(Node *statement);
static Oid	extension_updated(Node *statement);
static bool changes_version(DefElem *new_version);
static void warn_of_other_version(void);
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
	Node	   *statement = pstmt->utilityStmt;
	volatile Oid extension = extension_updated(statement);
	volatile Oid database = OidIsValid(extension) ? MyDatabaseId : database_wanted_alone(statement);

	if (!OidIsValid(database))
	{
		next_hook(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
		return;
	}

	PG_TRY();
	{
		(void) rf_evict_begin(database, grace_for(statement));
		if (OidIsValid(extension))
			LockDatabaseObject(ExtensionRelationId, extension, 0, AccessExclusiveLock);
		next_hook(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
		if (OidIsValid(extension))
			warn_of_other_version();
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

/* Who takes a database by force does not want to wait for anybody. */
static int
grace_for(Node *statement)
{
	ListCell   *lc;

	if (!IsA(statement, DropdbStmt))
		return RF_EVICT_GRACE_MS;
	foreach(lc, ((DropdbStmt *) statement)->options)
	{
		if (strcmp(((DefElem *) lfirst(lc))->defname, "force") == 0)
			return RF_EVICT_FORCE_MS;
	}
	return RF_EVICT_GRACE_MS;
}

/*
 * InvalidOid: no, or not for this user, or it is there already (so that a
 * script that says it each time disturbs nobody).
 */
static Oid
extension_updated(Node *statement)
{
	DefElem    *new_version = NULL;
	Oid			extension;
	ListCell   *lc;

	if (!IsA(statement, AlterExtensionStmt) ||
		strcmp(((AlterExtensionStmt *) statement)->extname, "roleferry") != 0)
		return InvalidOid;
	extension = get_extension_oid("roleferry", true);
	if (!OidIsValid(extension) || !rf_extension_ownercheck(extension, GetUserId()))
		return InvalidOid;
	foreach(lc, ((AlterExtensionStmt *) statement)->options)
	{
		if (strcmp(((DefElem *) lfirst(lc))->defname, "new_version") == 0)
			new_version = lfirst(lc);
	}
	return changes_version(new_version) ? extension : InvalidOid;
}

static bool
changes_version(DefElem *new_version)
{
	Oid			type = TEXTOID;
	Datum		value = new_version ? CStringGetTextDatum(defGetString(new_version)) : (Datum) 0;
	bool		result;

	SPI_connect();
	if (SPI_execute_with_args("SELECT FROM pg_catalog.pg_extension AS e LEFT JOIN pg_catalog.pg_available_extensions AS a"
							  " ON a.name OPERATOR(pg_catalog.=) e.extname"
							  " WHERE e.extname OPERATOR(pg_catalog.=) 'roleferry'"
							  " AND NOT coalesce(coalesce($1, a.default_version) OPERATOR(pg_catalog.=) e.extversion, false)",
							  1, &type, &value, new_version ? NULL : "n", false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not ask for the extension's version");
	result = SPI_processed > 0;
	SPI_finish();
	return result;
}

/* The command has done what it was told: say what follows from it. */
static void
warn_of_other_version(void)
{
	char	   *version;

	SPI_connect();
	if (SPI_execute("SELECT extversion FROM pg_catalog.pg_extension"
					" WHERE extname OPERATOR(pg_catalog.=) 'roleferry'", false, 1) == SPI_OK_SELECT &&
		SPI_processed == 1)
	{
		version = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		if (strcmp(version, RF_VERSION) != 0)
			ereport(WARNING,
					(errcode(RF_ERRCODE_NOT_READY),
					 errmsg("nothing is sent from this database until the server is restarted"),
					 errdetail("The extension is of version %s now, the library that the server has loaded of version %s.",
							   version, RF_VERSION)));
	}
	SPI_finish();
}

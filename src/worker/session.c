/*-------------------------------------------------------------------------
 *
 * session.c
 *	  A background worker's database session: settings and transactions.
 *
 * Each transaction first makes sure that there is an extension to work with,
 * and that it is of this library's version: whatever statements we have were
 * written for those tables.  Anything else is an obstacle: nothing is done,
 * the log says so once, pg_stat_activity as long as it lasts.
 *
 * IDENTIFICATION
 *	  src/worker/session.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "settings.h"
#include "shmem/gate.h"
#include "worker/session.h"
#include "worker/standby.h"

/* Never repeat the same complaint more often than this. */
#define COMPLAIN_INTERVAL_US INT64CONST(60000000)
#define COMPLAINTS	8			/* remembered */

/* Why nothing can be done now, and what the log knows of it; empty: nothing. */
static char obstacle[160];
static char told[sizeof(obstacle)];

static void begin_work(RfCommit commit, const char *doing);
static Oid	find_extension(char *version, size_t size);
static Oid	probe_extension(Relation catalog, Snapshot snapshot, ItemPointer place,
							char *version, size_t size);
static Oid	read_extension(Relation catalog, HeapTuple row, char *version, size_t size);
static bool meet_obstacle(bool worth_a_line, const char *hint,
						  const char *format,...) pg_attribute_printf(3, 4);
static void leave_obstacle(void);
static void report_failure(const char *doing);
static bool is_news(const char *doing, int code);

/*
 * ALTER DATABASE and ALTER ROLE settings reach background workers, too, and a
 * database's owner need not be a superuser.  The planner settings keep every
 * statement on its index, whatever the statistics said on the day it was
 * planned.  Of two who wait for each other the server refuses the one whose
 * deadlock_timeout ends first; lock_timeout is shorter, so that it is us, who
 * try again, and not a person's TRUNCATE.
 */
typedef struct Pin
{
	const char *name;
	const char *value;
} Pin;

static const Pin pinned[] = {
	{"role", "none"},
	{"search_path", "pg_catalog, pg_temp"},
	{"exit_on_error", "off"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"session_replication_role", "origin"},
	{"row_security", "off"},
	{"lock_timeout", "500ms"},
	{"statement_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"synchronous_commit", "off"},
	{"jit", "off"},
	{"enable_indexscan", "on"},
	{"enable_nestloop", "on"},
	{"enable_seqscan", "off"},
	{"enable_bitmapscan", "off"},
	{"enable_hashjoin", "off"},
	{"enable_mergejoin", "off"},
	{"plan_cache_mode", "force_generic_plan"}
};

/* Not every version, or minor version, has these. */
static const Pin pinned_if_known[] = {
	{"transaction_timeout", "0"},
	{"restrict_nonsystem_relation_kind", ""}
};

void
rf_session_connect(const char *database)
{
	BackgroundWorkerInitializeConnection(database, NULL, 0);
	SetSessionAuthorization(BOOTSTRAP_SUPERUSERID, true);
	for (size_t i = 0; i < lengthof(pinned); i++)
		SetConfigOption(pinned[i].name, pinned[i].value, PGC_SUSET, PGC_S_OVERRIDE);
	for (size_t i = 0; i < lengthof(pinned_if_known); i++)
		if (GetConfigOption(pinned_if_known[i].name, true, false) != NULL)
			SetConfigOption(pinned_if_known[i].name, pinned_if_known[i].value,
							PGC_SUSET, PGC_S_OVERRIDE);
}

bool
rf_session_run(RfWork work, void *arg, RfCommit commit, const char *doing,
			   bool *missing)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	*missing = false;
	PG_TRY();
	{
		begin_work(commit, doing);
		if (rf_session_lock_extension())
		{
			SPI_connect();
			PushActiveSnapshot(GetTransactionSnapshot());
			work(arg);
			SPI_finish();
			PopActiveSnapshot();
			done = true;
		}
		else
			*missing = true;
		if (commit == RF_COMMIT_CLAIM)
			rf_standby_begin_wait();
		CommitTransactionCommand();
		if (commit == RF_COMMIT_CLAIM && !rf_standby_end_wait(true))
			done = false;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		if (commit == RF_COMMIT_CLAIM)
			(void) rf_standby_end_wait(false);
		report_failure(doing);
		AbortCurrentTransaction();
		RESUME_INTERRUPTS();
		done = false;
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	pgstat_report_stat(false);
	return done;
}

static void
begin_work(RfCommit commit, const char *doing)
{
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, doing);
	StartTransactionCommand();
	switch (commit)
	{
		case RF_COMMIT_LAZY:
			break;				/* as pinned */
		case RF_COMMIT_FLUSHED:
			ForceSyncCommit();
			break;
		case RF_COMMIT_CLAIM:

			/*
			 * Both: the setting waits for standbys, too, never for less than
			 * the disk; where there is none to wait for, it is not touched,
			 * for each change makes the commit walk through all settings.  As
			 * a session would: a value of PGC_S_OVERRIDE becomes the one to
			 * return to, and no later commit would be lazy.
			 */
			ForceSyncCommit();
			if (rf_standby_is_waited_for())
				(void) set_config_option("synchronous_commit",
										 rf_claim_synchronous_commit == SYNCHRONOUS_COMMIT_ON ? "on" :
										 rf_claim_synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_APPLY ? "remote_apply" :
										 "remote_write",
										 PGC_SUSET, PGC_S_SESSION,
										 GUC_ACTION_LOCAL, true, 0, false);
			break;
	}
}

const char *
rf_session_obstacle(void)
{
	return obstacle[0] != '\0' ? obstacle : NULL;
}

/*
 * DROP EXTENSION, and our hook for ALTER EXTENSION UPDATE, take an exclusive
 * lock on the extension's object.  Taking ours conditionally and first, we
 * never wait for them and never see half of what they do.
 */
bool
rf_session_lock_extension(void)
{
	static Oid	known = InvalidOid;
	char		version[64];
	Oid			extension;

	if (OidIsValid(known) &&
		!ConditionalLockDatabaseObject(ExtensionRelationId, known, 0, AccessShareLock))
		return meet_obstacle(false, NULL, "the extension roleferry is being changed");
	extension = find_extension(version, sizeof(version));
	if (OidIsValid(known) && extension != known)
	{
		ereport(LOG,
				(errmsg("extension roleferry was dropped from database \"%s\"",
						get_database_name(MyDatabaseId))));
		proc_exit(1);
	}
	if (!OidIsValid(extension))
		return meet_obstacle(true, "CREATE EXTENSION roleferry, or take the database out of roleferry.databases.",
							 "this database has no extension roleferry");
	if (!OidIsValid(known))
	{
		known = extension;
		return rf_session_lock_extension();
	}
	if (strcmp(version, RF_VERSION) != 0)
		return meet_obstacle(true, "Restart the server if its library is the older one, else ALTER EXTENSION roleferry UPDATE.",
							 "the extension roleferry is of version %s, the server's library of version %s",
							 version, RF_VERSION);
	leave_obstacle();
	return true;
}

/*
 * Where it was the last time, or by one probe of an index; the lock, where
 * there is one, is held already.  A row that was replaced is seen no more, and
 * where it was may be another's or past the end, when somebody has rewritten
 * the catalog.
 */
static Oid
find_extension(char *version, size_t size)
{
	static ItemPointerData place;
	Relation	catalog = table_open(ExtensionRelationId, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(ExtensionRelationId));
	HeapTupleData row;
	Buffer		buffer;
	Oid			extension = InvalidOid;

	row.t_self = place;
	if (ItemPointerIsValid(&place) &&
		ItemPointerGetBlockNumber(&place) < RelationGetNumberOfBlocks(catalog) &&
		heap_fetch(catalog, snapshot, &row, &buffer, false))
	{
		extension = read_extension(catalog, &row, version, size);
		ReleaseBuffer(buffer);
	}
	if (!OidIsValid(extension))
		extension = probe_extension(catalog, snapshot, &place, version, size);
	UnregisterSnapshot(snapshot);
	table_close(catalog, AccessShareLock);
	return extension;
}

static Oid
probe_extension(Relation catalog, Snapshot snapshot, ItemPointer place,
				char *version, size_t size)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;
	Oid			extension = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("roleferry"));
	scan = systable_beginscan(catalog, ExtensionNameIndexId, true, snapshot, 1, &key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
	{
		extension = read_extension(catalog, row, version, size);
		*place = row->t_self;
	}
	systable_endscan(scan);
	return extension;
}

/* InvalidOid: it is another extension's. */
static Oid
read_extension(Relation catalog, HeapTuple row, char *version, size_t size)
{
	Form_pg_extension form = (Form_pg_extension) GETSTRUCT(row);
	bool		isnull;
	Datum		value = heap_getattr(row, Anum_pg_extension_extversion,
									 RelationGetDescr(catalog), &isnull);

	if (strcmp(NameStr(form->extname), "roleferry") != 0)
		return InvalidOid;
	text_to_cstring_buffer(DatumGetTextPP(value), version, size);
	return form->oid;
}

/* False, for who returns with it. */
static bool
meet_obstacle(bool worth_a_line, const char *hint, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	vsnprintf(obstacle, sizeof(obstacle), format, args);
	va_end(args);
	if (worth_a_line && strcmp(obstacle, told) != 0)
	{
		strlcpy(told, obstacle, sizeof(told));
		ereport(LOG,
				(errmsg("roleferry sends nothing from database \"%s\": %s",
						get_database_name(MyDatabaseId), obstacle),
				 hint ? errhint("%s", hint) : 0));
	}
	return false;
}

static void
leave_obstacle(void)
{
	obstacle[0] = '\0';
	if (told[0] == '\0')
		return;
	told[0] = '\0';
	ereport(LOG,
			(errmsg("roleferry goes on in database \"%s\"", get_database_name(MyDatabaseId))));
}

/* At most a WARNING: whatever it was, it is tried again. */
static void
report_failure(const char *doing)
{
	ErrorData  *error = CopyErrorData();

	FlushErrorState();
	if (is_news(doing, error->sqlerrcode))
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("roleferry dispatcher failed while %s: %s", doing, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 errhint("It will try again.")));
	FreeErrorData(error);
}

/* The same work has not failed in the same way for a while. */
static bool
is_news(const char *doing, int code)
{
	static struct
	{
		const char *doing;		/* a constant */
		int			code;
		int64		told_us;
	}			told_of[COMPLAINTS];
	int64		now_us = rf_gate_now_us();
	int			place = 0;

	for (int i = 0; i < COMPLAINTS; i++)
	{
		if (told_of[i].doing != NULL && told_of[i].code == code && strcmp(told_of[i].doing, doing) == 0)
		{
			place = i;
			if (now_us - told_of[i].told_us <= COMPLAIN_INTERVAL_US)
				return false;
			break;
		}
		if (told_of[i].told_us < told_of[place].told_us)
			place = i;
	}
	told_of[place].doing = doing;
	told_of[place].code = code;
	told_of[place].told_us = now_us;
	return true;
}

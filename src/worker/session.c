/*-------------------------------------------------------------------------
 *
 * session.c
 *	  A background worker's database session: settings and transactions.
 *
 * IDENTIFICATION
 *	  src/worker/session.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "settings.h"
#include "worker/session.h"
#include "worker/standby.h"

/* Never repeat the same complaint more often than this. */
#define COMPLAIN_INTERVAL_MS 10000

static void begin_work(RfCommit commit, const char *doing);
static bool lock_extension(void);
static void report_failure(const char *doing);

/*
 * ALTER DATABASE and ALTER ROLE settings reach background workers, too, and a
 * database's owner need not be a superuser.  The planner settings keep every
 * statement on its index, whatever the statistics said on the day it was
 * planned.
 */
static const struct
{
	const char *name;
	const char *value;
}			pinned[] = {
	{"role", "none"},
	{"search_path", "pg_catalog, pg_temp"},
	{"exit_on_error", "off"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"session_replication_role", "origin"},
	{"row_security", "off"},
	{"lock_timeout", "1s"},
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

void
rf_session_connect(const char *database)
{
	BackgroundWorkerInitializeConnection(database, NULL, 0);
	for (size_t i = 0; i < lengthof(pinned); i++)
		SetConfigOption(pinned[i].name, pinned[i].value, PGC_SUSET, PGC_S_OVERRIDE);
	if (GetConfigOption("transaction_timeout", true, false) != NULL)
		SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
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
		if (lock_extension())
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
			 * the disk.  As a session would: a value of PGC_S_OVERRIDE
			 * becomes the one to return to, and no later commit would be
			 * lazy.
			 */
			ForceSyncCommit();
			if (rf_claim_synchronous_commit != SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
				(void) set_config_option("synchronous_commit",
										 rf_claim_synchronous_commit == SYNCHRONOUS_COMMIT_ON ? "on" :
										 rf_claim_synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_APPLY ? "remote_apply" :
										 "remote_write",
										 PGC_SUSET, PGC_S_SESSION,
										 GUC_ACTION_LOCAL, true, 0, false);
			break;
	}
}

/*
 * DROP EXTENSION takes an exclusive lock on the extension's object.  Taking
 * ours conditionally and first, we never wait for it and never see half of it.
 */
static bool
lock_extension(void)
{
	static Oid	known = InvalidOid;
	Oid			extension = get_extension_oid("roleferry", true);

	if (OidIsValid(known) && extension != known)
	{
		ereport(LOG,
				(errmsg("extension roleferry was dropped from database \"%s\"",
						get_database_name(MyDatabaseId))));
		proc_exit(1);
	}
	if (!OidIsValid(extension))
		return false;
	if (!ConditionalLockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock))
		return false;
	if (get_extension_oid("roleferry", true) != extension)
		return false;
	known = extension;
	return true;
}

/* At most a WARNING: whatever it was, it is tried again. */
static void
report_failure(const char *doing)
{
	static TimestampTz last_complaint = 0;
	ErrorData  *error = CopyErrorData();
	TimestampTz now = GetCurrentTimestamp();

	FlushErrorState();
	if (last_complaint == 0 ||
		TimestampDifferenceExceeds(last_complaint, now, COMPLAIN_INTERVAL_MS))
	{
		last_complaint = now;
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("roleferry dispatcher failed while %s: %s", doing, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 errhint("It will try again.")));
	}
	FreeErrorData(error);
}

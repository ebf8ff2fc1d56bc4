/*-------------------------------------------------------------------------
 *
 * standby.c
 *	  A claim's wait for synchronous standbys, which may be gone.
 *
 * PostgreSQL waits for them as long as it takes, and reads neither the flag of
 * a shutdown nor that of an eviction meanwhile: one dead standby would keep a
 * fast stop, or DROP DATABASE, waiting for ever.  A timer looks at both flags
 * and cancels the wait, as a person could.
 *
 * A claim whose wait was cancelled is not sent: the standby does not know of
 * it, and would send the mail again after its promotion.
 *
 * IDENTIFICATION
 *	  src/worker/standby.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "replication/syncrep.h"
#include "replication/walsender_private.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "settings.h"
#include "shmem/evict.h"
#include "worker/standby.h"

#define LOOK_MS		100

static TimeoutId look_timeout;
static bool watching = false;

static void look(void);
static bool standbys_have(XLogRecPtr end);

void
rf_standby_begin_wait(void)
{
	static bool registered = false;

	/* A claim that took nothing has no transaction that could be waited for. */
	if (SyncRepStandbyNames == NULL || SyncRepStandbyNames[0] == '\0' ||
		rf_claim_synchronous_commit <= SYNCHRONOUS_COMMIT_LOCAL_FLUSH ||
		!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;
	if (!registered)
	{
		look_timeout = RegisterTimeout(USER_TIMEOUT, look);
		registered = true;
	}
	watching = true;
	enable_timeout_every(look_timeout, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_MS), LOOK_MS);
}

bool
rf_standby_end_wait(bool committed)
{
	if (!watching)
		return true;
	disable_timeout(look_timeout, false);
	watching = false;
	QueryCancelPending = false; /* it came too late to cancel anything */
	return committed && standbys_have(XactLastCommitEnd);
}

/* In a signal handler. */
static void
look(void)
{
	if (!ShutdownRequestPending && !rf_evict_asked(MyDatabaseId))
		return;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* As far as anybody in this mode was let go. */
static bool
standbys_have(XLogRecPtr end)
{
	int			mode = SYNC_REP_WAIT_FLUSH;
	bool		result;

	if (rf_claim_synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_APPLY)
		mode = SYNC_REP_WAIT_APPLY;
	else if (rf_claim_synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_WRITE)
		mode = SYNC_REP_WAIT_WRITE;
	LWLockAcquire(SyncRepLock, LW_SHARED);
	result = WalSndCtl->lsn[mode] >= end;
	LWLockRelease(SyncRepLock);
	return result;
}

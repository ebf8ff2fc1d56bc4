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
 * It also cancels what takes too long: meanwhile the dispatcher reads no
 * answer, and what the claim has locked is locked for everybody.  Nothing is
 * claimed again before the standbys have come as far, so that an outage costs
 * one wait and one line in the log.  Patience doubles with each claim that is
 * given up: with a standby that always takes long, claims get through.
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
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "settings.h"
#include "shmem/evict.h"
#include "worker/standby.h"

#define LOOK_MS		100
#define PATIENCE_LOOKS		15	/* 1.5 s */
#define MAX_PATIENCE_LOOKS	600

static TimeoutId look_timeout;
static bool watching = false;
static int	patience = PATIENCE_LOOKS;
static volatile sig_atomic_t looks; /* since the wait began */

/* What standbys did not have when we gave up; invalid: nothing. */
static XLogRecPtr missed = InvalidXLogRecPtr;

static void look(void);
static bool standbys_have(XLogRecPtr end);

void
rf_standby_begin_wait(void)
{
	static bool registered = false;

	/* A claim that took nothing has no transaction that could be waited for. */
	if (!rf_standby_is_waited_for() || !TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;
	if (!registered)
	{
		look_timeout = RegisterTimeout(USER_TIMEOUT, look);
		registered = true;
	}
	watching = true;
	looks = 0;
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
	if (!committed)
		return false;
	if (standbys_have(XactLastCommitEnd))
	{
		if (looks < PATIENCE_LOOKS)
			patience = PATIENCE_LOOKS;
		return true;
	}
	missed = XactLastCommitEnd;
	patience = Min(patience * 2, MAX_PATIENCE_LOOKS);
	return false;
}

bool
rf_standby_is_behind(void)
{
	if (XLogRecPtrIsInvalid(missed))
		return false;
	if (rf_standby_is_waited_for() && !standbys_have(missed))
		return true;
	missed = InvalidXLogRecPtr;
	return false;
}

bool
rf_standby_is_waited_for(void)
{
	return max_wal_senders > 0 && SyncRepStandbyNames != NULL && SyncRepStandbyNames[0] != '\0' &&
		rf_claim_synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH;
}

/* In a signal handler. */
static void
look(void)
{
	if (++looks < patience && !ShutdownRequestPending && !rf_evict_asked(MyDatabaseId))
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

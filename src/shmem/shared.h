/*-------------------------------------------------------------------------
 *
 * shared.h
 *	  What all processes share: dispatcher slots, wake-ups, account gates.
 *
 * One struct in main shared memory, created once by the postmaster (again,
 * empty, after a crash).  It holds no pointers and no descriptors: a dead
 * process leaves nothing here that another could follow.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SHARED_H
#define ROLEFERRY_SHARED_H

#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#include "shmem/gate.h"

#define RF_SHARED_MAGIC		0x52466572	/* "RFer" */
#ifndef RF_SHARED_ABI
#define RF_SHARED_ABI		11	/* raise with every change of layout */
#endif

#define RF_MAX_DISPATCHERS	32
#define RF_MAX_WAKE_HINTS	64
#define RF_MAX_FAULTS		8
#define RF_MAX_EVICTIONS	16
#define RF_MAX_WAITERS		128

/* Where a committed transaction has put jobs. */
typedef struct RfWakeHint
{
	int64		lane;
	int64		run_at;			/* TimestampTz: the smallest of that strand;
								 * in lanes of order keys, below 0: the
								 * smallest id */
	int32		priority;
} RfWakeHint;

/* How a worker of ours does: it writes, everybody reads. */
typedef enum RfPulseState
{
	RF_PULSE_NONE,				/* there is no such process */
	RF_PULSE_STARTING,
	RF_PULSE_MUTE,				/* its database may not send */
	RF_PULSE_IDLE,
	RF_PULSE_BUSY,
	RF_PULSE_LEAVING
} RfPulseState;

typedef struct RfPulse
{
	int			pid;			/* 0: none */
	TimestampTz since;			/* it started */
	pg_atomic_uint32 state;		/* RfPulseState */
	pg_atomic_uint32 in_flight; /* requests, or jobs */
	pg_atomic_uint64 turns;
	pg_atomic_uint64 beat;		/* TimestampTz of the last turn */
} RfPulse;

#define RF_RULES_KNOWN		0
#define RF_RULES_CHANGED	1
#define RF_RULES_ASK		2	/* perhaps: a transaction was prepared */

typedef struct RfDispatcherSlot
{
	/* protected by RfShared.lock; database also read without it */
	Oid			database;		/* InvalidOid: free */
	uint64		incarnation;	/* 0: no dispatcher is alive */
	int			pid;
	int			proc_number;	/* of the living dispatcher */

	RfPulse		pulse;

	/* 1: somebody asked since the dispatcher last looked */
	pg_atomic_uint32 wake;

	/* 1: a call was handed over since the dispatcher last looked (call.h) */
	pg_atomic_uint32 calls;		/* that become jobs */
	pg_atomic_uint32 questions; /* questions */

	/* have limits or forced circuits changed since it last read them? */
	pg_atomic_uint32 rules;

	/* which tables take attempts and results now: executors write there, too */
	pg_atomic_uint32 attempt_table;
	pg_atomic_uint32 result_table;

	slock_t		hints_lock;		/* protects the rest; held for copying only */
	bool		look_everywhere;	/* hints do not tell it all */
	int			nhints;
	RfWakeHint	hints[RF_MAX_WAKE_HINTS];
} RfDispatcherSlot;

/* A session that wants a database for itself: see evict.h. */
typedef struct RfEvictSlot
{
	Oid			database;		/* InvalidOid: free; written under
								 * RfShared.lock */
	int			grace_ms;		/* for answers that are on their way */
	Oid			last_database;	/* of the one that has ended */
	int64		ended_us;
} RfEvictSlot;

/* A session that waits for a job's end: see waiter.h. */
typedef struct RfWaiter
{
	Oid			database;		/* InvalidOid: free */
	int			proc_number;
	int64		job_id;
} RfWaiter;

typedef struct RfFaultSlot
{
	char		name[48];		/* empty: free */
	char		action[16];
	int			skip;			/* times to pass before acting */
	int			count;			/* times left to act */
} RfFaultSlot;

typedef struct RfShared
{
	uint32		magic;
	uint32		abi;
	LWLock	   *lock;			/* slots; gates have their own */
	LWLock	   *gates_lock;
	RfPulse		launcher;
	pg_atomic_uint32 mode;		/* RfMode of the server: the postmaster writes */
	RfEvictSlot evictions[RF_MAX_EVICTIONS];
	slock_t		waiters_lock;	/* protects waiters; held for copying only */
	pg_atomic_uint32 nwaiters;
	RfWaiter	waiters[RF_MAX_WAITERS];
	slock_t		faults_lock;
	RfFaultSlot faults[RF_MAX_FAULTS];	/* used by builds with RF_FAULTS only */
	RfDispatcherSlot dispatchers[RF_MAX_DISPATCHERS];
	int			max_gates;
	RfGate		gates[FLEXIBLE_ARRAY_MEMBER];
} RfShared;

/* NULL until the library was preloaded and shared memory exists. */
extern RfShared *rf_shared;

extern void rf_shared_install_hooks(void);

/* At the start of the process whose pulse it is, at each turn, at its end. */
extern void rf_pulse_init(RfPulse *pulse);
extern void rf_pulse_begin(RfPulse *pulse);
extern void rf_pulse_beat(RfPulse *pulse, RfPulseState state, int in_flight);
extern void rf_pulse_end(RfPulse *pulse);

/* Raises 55000 when rf_shared cannot be used, and says what to do. */
extern void rf_shared_require(void);

/*
 * Slots.  A dispatcher registers with a fresh incarnation; the slot is given
 * back by rf_shared_unregister_dispatcher(), also from an exit callback.
 * NULL: no slot is free, or another dispatcher serves the database.
 */
extern RfDispatcherSlot *rf_shared_register_dispatcher(Oid database,
													   uint64 incarnation);
extern void rf_shared_unregister_dispatcher(RfDispatcherSlot *slot);

/* The slot of a database with a living dispatcher, or NULL. */
extern RfDispatcherSlot *rf_shared_find_dispatcher(Oid database);

/* Ask the dispatcher of a database to stop.  False: there is none. */
extern bool rf_shared_stop_dispatcher(Oid database);

/* Is this incarnation alive anywhere in the cluster? */
extern bool rf_shared_incarnation_alive(Oid database, uint64 incarnation);

#endif							/* ROLEFERRY_SHARED_H */

/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  One gate an account: may a request go out through it now?
 *
 * The breaker's rules are core/breaker.c's; this file keeps one for each
 * account in shared memory, and the pauses a provider asked for.  The lock is
 * held for arithmetic and for copying a reason, never across anything that
 * can raise.
 *
 * An account without a gate is ready: a gate is made when the first request
 * goes through, and when all are in use (roleferry.max_accounts is too small)
 * an account works without one.
 *
 * IDENTIFICATION
 *	  src/shmem/gate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "utils/timestamp.h"

#include "settings.h"
#include "shmem/gate.h"
#include "shmem/shared.h"

#define MAX_COOLDOWN_FACTOR 10

/* Of this process, until somebody asks; more are not remembered. */
#define MAX_CHANGES 64

static RfCircuitChange changes[MAX_CHANGES];
static int	nchanges = 0;

static RfGate *find_gate(Oid database, Oid server);
static RfGate *find_or_make_gate(Oid database, Oid server);
static void view_gate(const RfGate *gate, int64 now, bool want_reason,
					  RfGateView *view);
static void pause_gate(RfGate *gate, RfOutcomeClass class, const char *reason,
					   int64 until_us);
static const char *circuit_text(const RfBreaker *breaker);
static int64 later(int64 now, int64 pause_us);
static void note_change(Oid server, const char *from, const char *to,
						const char *reason);
static bool wants_pause(const RfOutcome *outcome);
static RfBreakerPolicy breaker_policy(void);

int64
rf_gate_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
rf_gate_look(Oid database, Oid server, bool want_reason, RfGateView *view)
{
	int64		now = rf_gate_now_us();

	LWLockAcquire(rf_shared->gates_lock, LW_SHARED);
	view_gate(find_gate(database, server), now, want_reason, view);
	LWLockRelease(rf_shared->gates_lock);
}

bool
rf_gate_enter(Oid database, Oid server, uint32 *generation)
{
	RfBreakerPolicy policy = breaker_policy();
	int64		now = rf_gate_now_us();
	bool		admitted = true;
	const char *before = NULL;
	const char *after = NULL;
	RfGate	   *gate;

	*generation = 0;
	LWLockAcquire(rf_shared->gates_lock, LW_EXCLUSIVE);
	gate = find_or_make_gate(database, server);
	if (gate != NULL)
	{
		before = circuit_text(&gate->breaker);
		admitted = gate->paused_until_us <= now &&
			rf_breaker_admit(&gate->breaker, &policy, now, generation);
		after = circuit_text(&gate->breaker);
	}
	LWLockRelease(rf_shared->gates_lock);
	if (before != after)
		note_change(server, before, after, before[0] == 'f' ? "its time is over" : "one request probes it");
	return admitted;
}

void
rf_gate_withdraw(Oid database, Oid server, uint32 generation)
{
	RfGate	   *gate;

	LWLockAcquire(rf_shared->gates_lock, LW_EXCLUSIVE);
	gate = find_gate(database, server);
	if (gate != NULL)
		rf_breaker_withdraw(&gate->breaker, generation, rf_gate_now_us());
	LWLockRelease(rf_shared->gates_lock);
}

bool
rf_gate_leave(Oid database, Oid server, uint32 generation,
			  const RfOutcome *outcome, int64 pause_us, RfGateView *view)
{
	RfBreakerPolicy policy = breaker_policy();
	int64		now = rf_gate_now_us();
	bool		failure = rf_outcome_is_breaker_failure(outcome);
	bool		changed = false;
	const char *before = NULL;
	const char *after = NULL;
	RfGate	   *gate;

	LWLockAcquire(rf_shared->gates_lock, LW_EXCLUSIVE);
	gate = find_gate(database, server);
	if (gate != NULL)
	{
		bool		was_paused = gate->paused_until_us > now;

		before = circuit_text(&gate->breaker);
		changed = rf_breaker_record(&gate->breaker, &policy, generation,
									!failure, now);
		after = circuit_text(&gate->breaker);
		if (changed && failure)
			strlcpy(gate->reason, outcome->reason, sizeof(gate->reason));
		if (wants_pause(outcome))
		{
			pause_gate(gate, outcome->class, outcome->reason, later(now, pause_us));
			changed |= !was_paused;
		}
	}
	view_gate(gate, now, true, view);
	LWLockRelease(rf_shared->gates_lock);
	if (before != after)
		note_change(server, before, after, failure ? outcome->reason : "the probe succeeded");
	return changed;
}

bool
rf_gate_pause(Oid database, Oid server, RfOutcomeClass class,
			  const char *reason, int64 pause_us)
{
	int64		now = rf_gate_now_us();
	bool		changed = false;
	RfGate	   *gate;

	LWLockAcquire(rf_shared->gates_lock, LW_EXCLUSIVE);
	gate = find_or_make_gate(database, server);
	if (gate != NULL)
	{
		changed = gate->paused_until_us <= later(now, pause_us) &&
			(strcmp(gate->reason, reason) != 0 || gate->paused_until_us == 0);
		pause_gate(gate, class, reason, later(now, pause_us));
	}
	LWLockRelease(rf_shared->gates_lock);
	return changed;
}

void
rf_gate_resume(Oid database, Oid server)
{
	RfGate	   *gate;

	LWLockAcquire(rf_shared->gates_lock, LW_EXCLUSIVE);
	gate = find_gate(database, server);
	if (gate != NULL)
	{
		gate->paused_until_us = 0;
		gate->reason[0] = '\0';
	}
	LWLockRelease(rf_shared->gates_lock);
}

void
rf_gate_force(Oid database, Oid server, RfBreakerForce force, int64 until_us,
			  const char *reason)
{
	const char *before = NULL;
	const char *after = NULL;
	RfGate	   *gate;

	LWLockAcquire(rf_shared->gates_lock, LW_EXCLUSIVE);
	gate = force == RF_BREAKER_AUTO ? find_gate(database, server) : find_or_make_gate(database, server);
	if (gate != NULL)
	{
		before = circuit_text(&gate->breaker);
		(void) rf_breaker_force(&gate->breaker, force, until_us);
		after = circuit_text(&gate->breaker);
		if (force == RF_BREAKER_FORCED_OPEN)
			snprintf(gate->reason, sizeof(gate->reason), "forced: %s", reason);
	}
	LWLockRelease(rf_shared->gates_lock);
	if (before != after)
		note_change(server, before, after, reason);
}

void
rf_gate_look_circuit(Oid database, Oid server, RfCircuitView *view)
{
	RfBreakerPolicy policy = breaker_policy();
	int64		now = rf_gate_now_us();
	RfGate	   *gate;

	memset(view, 0, sizeof(*view));
	view->state = rf_breaker_state_text(RF_BREAKER_CLOSED);
	LWLockAcquire(rf_shared->gates_lock, LW_SHARED);
	gate = find_gate(database, server);
	if (gate != NULL)
	{
		view->state = rf_breaker_forced(&gate->breaker, now) == RF_BREAKER_AUTO ?
			rf_breaker_state_text(rf_breaker_state(&gate->breaker, now)) :
			circuit_text(&gate->breaker);
		view->failures_in_row = gate->breaker.failures;
		rf_breaker_count(&gate->breaker, &policy, now, &view->calls, &view->failures);
	}
	LWLockRelease(rf_shared->gates_lock);
}

bool
rf_gate_next_change(RfCircuitChange *change)
{
	if (nchanges == 0)
		return false;
	*change = changes[0];
	memmove(changes, changes + 1, sizeof(RfCircuitChange) * --nchanges);
	return true;
}

void
rf_gate_forget_missing(Oid database, const Oid *servers, int nservers)
{
	LWLockAcquire(rf_shared->gates_lock, LW_EXCLUSIVE);
	for (int i = 0; i < rf_shared->max_gates; i++)
	{
		RfGate	   *gate = &rf_shared->gates[i];
		bool		exists = false;

		if (gate->database != database)
			continue;
		for (int s = 0; s < nservers && !exists; s++)
			exists = servers[s] == gate->server;
		if (!exists)
			memset(gate, 0, sizeof(RfGate));
	}
	LWLockRelease(rf_shared->gates_lock);
}

static RfGate *
find_gate(Oid database, Oid server)
{
	for (int i = 0; i < rf_shared->max_gates; i++)
	{
		RfGate	   *gate = &rf_shared->gates[i];

		if (gate->server == server && gate->database == database)
			return gate;
	}
	return NULL;
}

static RfGate *
find_or_make_gate(Oid database, Oid server)
{
	RfGate	   *gate = find_gate(database, server);

	if (gate != NULL)
		return gate;
	gate = find_gate(InvalidOid, InvalidOid);
	if (gate != NULL)
	{
		gate->database = database;
		gate->server = server;
		rf_breaker_init(&gate->breaker);
		gate->paused_until_us = 0;
		gate->reason[0] = '\0';
	}
	return gate;
}

static void
view_gate(const RfGate *gate, int64 now, bool want_reason, RfGateView *view)
{
	view->state = RF_GATE_READY;
	view->opens_at_us = 0;
	view->paused_by = RF_OUTCOME_OK;
	view->reason[0] = '\0';
	if (gate == NULL)
		return;

	if (gate->paused_until_us > now)
	{
		view->state = RF_GATE_PAUSED;
		view->opens_at_us = gate->paused_until_us;
		view->paused_by = gate->paused_by;
	}
	else if (!rf_breaker_ready(&gate->breaker, now))
	{
		view->state = RF_GATE_OPEN;
		view->opens_at_us = rf_breaker_ready_at(&gate->breaker, now);
	}
	else if (gate->breaker.state != RF_BREAKER_CLOSED)
		view->state = RF_GATE_PROBE;

	if (want_reason && view->state != RF_GATE_READY)
		strlcpy(view->reason, gate->reason, sizeof(view->reason));
}

/* The same word is the same pointer. */
static const char *
circuit_text(const RfBreaker *breaker)
{
	static const char *const forced[] = {"", "forced open", "forced closed"};

	return breaker->force == RF_BREAKER_AUTO ? rf_breaker_state_text(breaker->state) :
		forced[breaker->force];
}

/* INT64_MAX: for ever. */
static int64
later(int64 now, int64 pause_us)
{
	return pause_us > INT64_MAX - now ? INT64_MAX : now + pause_us;
}

static void
note_change(Oid server, const char *from, const char *to, const char *reason)
{
	RfCircuitChange *change = &changes[nchanges];

	if (nchanges == MAX_CHANGES)
		return;
	change->server = server;
	change->at = GetCurrentTimestamp();
	change->from = from;
	change->to = to;
	strlcpy(change->reason, reason, sizeof(change->reason));
	nchanges++;
}

static void
pause_gate(RfGate *gate, RfOutcomeClass class, const char *reason,
		   int64 until_us)
{
	/* A shorter pause neither ends a longer one nor says what ends it. */
	if (gate->paused_until_us > until_us)
		return;
	gate->paused_until_us = until_us;
	gate->paused_by = class;
	strlcpy(gate->reason, reason, sizeof(gate->reason));
}

/* Would the account's next request meet the same refusal? */
static bool
wants_pause(const RfOutcome *outcome)
{
	return outcome->taken == RF_TAKEN_NO && outcome->account_wide &&
		(outcome->retry_after_s >= 0 || !rf_outcome_is_breaker_failure(outcome));
}

static RfBreakerPolicy
breaker_policy(void)
{
	RfBreakerPolicy policy;

	policy.failure_limit = (uint32_t) rf_breaker_failures;
	policy.cooldown_us = (int64) rf_breaker_cooldown * 1000;
	policy.max_cooldown_us = policy.cooldown_us * MAX_COOLDOWN_FACTOR;
	policy.failure_percent = (uint32_t) rf_breaker_failure_percent;
	policy.min_calls = (uint32_t) rf_breaker_min_calls;
	policy.window_us = (int64) rf_breaker_window * 1000;
	policy.lease_us = ((int64) rf_request_timeout + rf_connect_timeout) * 1000;
	return policy;
}

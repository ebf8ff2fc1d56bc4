/*-------------------------------------------------------------------------
 *
 * gate.h
 *	  One gate an account: may a request go out through it now?
 *
 * A gate is closed while its circuit is open, while the provider has asked
 * for a pause, and while its key or credit is refused.  A closed gate proves
 * that nothing was sent.  Gates are kept by (database, server) and survive
 * the dispatcher; times are monotonic microseconds, common to all processes
 * of one boot.  Protected by RfShared.gates_lock, which these functions take.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_GATE_H
#define ROLEFERRY_GATE_H

#include "core/breaker.h"
#include "core/outcome.h"
#include "datatype/timestamp.h"

typedef struct RfGate
{
	Oid			database;		/* InvalidOid: free */
	Oid			server;
	RfBreaker	breaker;
	int64		paused_until_us;	/* 0: not paused */
	RfOutcomeClass paused_by;	/* class of the outcome that paused it */
	char		reason[RF_REASON_MAX + 1];	/* why paused or opened, for
											 * people */
} RfGate;

typedef enum RfGateState
{
	RF_GATE_READY,
	RF_GATE_PROBE,				/* one request may go, as the circuit's probe */
	RF_GATE_PAUSED,
	RF_GATE_OPEN				/* circuit open, or its probe is out */
} RfGateState;

typedef struct RfGateView
{
	RfGateState state;
	int64		opens_at_us;	/* when to look again; 0 while ready */
	RfOutcomeClass paused_by;
	char		reason[RF_REASON_MAX + 1];
} RfGateView;

extern int64 rf_gate_now_us(void);	/* the monotonic clock */

/* Look without changing anything; reason is copied only if wanted. */
extern void rf_gate_look(Oid database, Oid server, bool want_reason,
						 RfGateView *view);

/* Take the right to send one request; hand *generation back below. */
extern bool rf_gate_enter(Oid database, Oid server, uint32 *generation);

/* The request never started: give the right back. */
extern void rf_gate_withdraw(Oid database, Oid server, uint32 generation);

/*
 * The request ended.  Records it with the breaker and pauses the gate when
 * the outcome asks for it; pause_us: how long, if so (INT64_MAX: until resumed).  True when the gate's
 * state changed: *view holds the new one.
 */
extern bool rf_gate_leave(Oid database, Oid server, uint32 generation,
						  const RfOutcome *outcome, int64 pause_us,
						  RfGateView *view);

/* Close the gate for a while for a reason that was found before sending. */
extern bool rf_gate_pause(Oid database, Oid server, RfOutcomeClass class,
						  const char *reason, int64 pause_us);

/* Open a paused gate again (its cause was mended). */
extern void rf_gate_resume(Oid database, Oid server);

/* What a person wants of the circuit; until_us: INT64_MAX for ever. */
extern void rf_gate_force(Oid database, Oid server, RfBreakerForce force,
						  int64 until_us, const char *reason);

typedef struct RfCircuitView
{
	const char *state;			/* closed, open, half-open, forced open,
								 * forced closed */
	uint32		calls;			/* in the last window */
	uint32		failures;
	uint32		failures_in_row;
} RfCircuitView;

extern void rf_gate_look_circuit(Oid database, Oid server, RfCircuitView *view);

/* Changes of circuits that this process brought about, oldest first. */
typedef struct RfCircuitChange
{
	Oid			server;
	TimestampTz at;
	const char *from;
	const char *to;
	char		reason[RF_REASON_MAX + 1];
} RfCircuitChange;

extern bool rf_gate_next_change(RfCircuitChange *change);

/* Forget the gates of servers that no longer exist, of one database. */
extern void rf_gate_forget_missing(Oid database, const Oid *servers, int nservers);

#endif							/* ROLEFERRY_GATE_H */

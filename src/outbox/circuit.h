/*-------------------------------------------------------------------------
 *
 * circuit.h
 *	  What people want of circuits, and what became of them, on disk.
 *
 * All functions run in a transaction, connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CIRCUIT_H
#define ROLEFERRY_CIRCUIT_H

#include "core/breaker.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef struct RfForcedCircuit
{
	Oid			server;			/* when it was written, or InvalidOid */
	char	   *account;
	RfBreakerForce force;
	char	   *reason;
	TimestampTz until;			/* may be infinite */
} RfForcedCircuit;

extern List *rf_circuit_forced(void);	/* of RfForcedCircuit */

extern void rf_circuit_record(const char *account, TimestampTz at,
							  const char *from, const char *to,
							  const char *reason);

/* Forced states that are over, and events as old as attempts. */
extern void rf_circuit_purge(void);

#endif							/* ROLEFERRY_CIRCUIT_H */

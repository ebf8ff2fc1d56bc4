/*-------------------------------------------------------------------------
 *
 * credit.h
 *	  What calls have cost, and accounts that are stopped, on disk.
 *
 * All functions run in a transaction, connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CREDIT_H
#define ROLEFERRY_CREDIT_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* A call that cost something. */
typedef struct RfCreditUse
{
	TimestampTz at;
	Oid			server;
	char	   *account;
	char	   *endpoint;
	int64		job_id;			/* 0: none */
	int64		credits;
} RfCreditUse;

/* Nothing goes out by the account until then, or until somebody resumes it. */
typedef struct RfAccountStop
{
	Oid			server;
	char	   *account;
	char	   *reason;			/* of ours: UTF-8 */
	TimestampTz until;			/* may be infinite */
} RfAccountStop;

extern void rf_credit_record(List *uses);	/* of RfCreditUse */

extern List *rf_credit_stops(void); /* of RfAccountStop, those in force */
extern void rf_credit_stop(const RfAccountStop *stop);

/* Stops that are over, and uses as old as messages. */
extern void rf_credit_purge(void);

#endif							/* ROLEFERRY_CREDIT_H */

/*-------------------------------------------------------------------------
 *
 * explain.h
 *	  What the dispatcher would do with a job, for who asks.
 *
 * The question is the job as send_email() hands it over (outbox/handover.h);
 * both ends are the same library in the same server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EXPLAIN_H
#define ROLEFERRY_EXPLAIN_H

#include "postgres.h"

#include "worker/roster.h"

struct RfDispatcher;
struct RfCallSlot;

#define RF_EXPLAIN_REASON_MAX	255

typedef enum RfExplainVerdict
{
	RF_EXPLAIN_TAKEN,			/* it would go out by this one */
	RF_EXPLAIN_BUSY,			/* it waits a moment for this one */
	RF_EXPLAIN_NEXT,			/* if those before it refuse */
	RF_EXPLAIN_PASSED			/* it is passed over now */
} RfExplainVerdict;

typedef struct RfExplainedAccount
{
	RfExplainVerdict verdict;
	int64		opens_in_us;	/* of one passed over; 0: not known */
	char		reason[RF_EXPLAIN_REASON_MAX + 1];	/* or empty */
} RfExplainedAccount;

typedef struct RfExplained
{
	bool		active;			/* this database may send */
	char		why[RF_EXPLAIN_REASON_MAX + 1]; /* not */
	bool		queue_closed;
	int64		queue_opens_in_us;	/* paused until then; 0: it is full;
									 * INT64_MAX: until somebody resumes it */
	int			naccounts;
	RfExplainedAccount accounts[RF_ROUTE_MAX_ACCOUNTS]; /* in the job's order */
} RfExplained;

/* In the dispatcher: answers with an RfExplained.  Takes no token, writes nothing. */
extern void rf_explain_answer(struct RfDispatcher *d, struct RfCallSlot *slot,
							  void *request, Size len);

#endif							/* ROLEFERRY_EXPLAIN_H */

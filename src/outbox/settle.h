/*-------------------------------------------------------------------------
 *
 * settle.h
 *	  Writing what became of jobs.
 *
 * Entries are collected while transfers end, and written in one short
 * transaction.  Everything is fenced by the incarnation: a job that is no
 * longer ours is left alone.  Recording cannot fail because of what a
 * provider said: texts are made fit for the database, the excerpt is bytea.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SETTLE_H
#define ROLEFERRY_SETTLE_H

#include "core/outcome.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "outbox/suppression.h"
#include "utils/jsonb.h"

#define RF_EXCERPT_MAX 2048

typedef enum RfSettleKind
{
	RF_SETTLE_SENT,
	RF_SETTLE_DONE,				/* with a result */
	RF_SETTLE_WAIT,				/* back to waiting, until run_at */
	RF_SETTLE_DEAD,				/* state says how */
	RF_SETTLE_GIVE_BACK,		/* never started: back until run_at, attempt
								 * not counted */
	RF_SETTLE_NONE				/* only the attempt is recorded (next account) */
} RfSettleKind;

typedef struct RfSettlement
{
	RfSettleKind kind;
	int64		job_id;
	int64		lane;			/* where the job stands in the outbox */
	int			priority;
	int64		order_lane;		/* of its order_key; 0: none */
	const char *state;			/* of the dead: "failed", "unknown", "expired" */
	const char *from_addr;		/* of what was sent; in this database's */
	const char *to_addr;		/* encoding */
	const char *subject;
	char		to_key[RF_LOG_KEY_MAX + 1]; /* what the log calls to_addr; or
											 * empty */
	const char *note;			/* or NULL */
	Jsonb	   *result;			/* of what is done; NULL: none */
	bool		on_done;		/* a task is to be told of it */
	int			charged;		/* 1: this failure counts against max_attempts */
	TimestampTz run_at;			/* of what waits again */
	const char *found;			/* by a search that waits again: see found.h;
								 * or NULL */

	/* the attempt; account NULL: there was none */
	const char *account;
	const char *provider;
	const char *verdict;		/* NULL: the attempt is not worth a row */
	int			attempt;
	TimestampTz started_at;
	int64		took_us;
	RfOutcome	outcome;		/* reason stands for the dead, too */
	char	   *excerpt;		/* may be NULL */
	size_t		excerpt_len;
} RfSettlement;

/* In a transaction, connected to SPI.  The tables: 0 to 2. */
extern void rf_settle_write(int64 incarnation, List *settlements,
							int attempt_table, int result_table);

#endif							/* ROLEFERRY_SETTLE_H */

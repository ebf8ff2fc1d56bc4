/*-------------------------------------------------------------------------
 *
 * verdict.h
 *	  Verdicts on addresses as they are kept.
 *
 * All functions run in a transaction, connected to SPI, as a role that may use
 * roleferry.email_verdict_cache.  Addresses are in lower case, ASCII.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_VERDICT_H
#define ROLEFERRY_VERDICT_H

#include "datatype/timestamp.h"
#include "provider/verify.h"
#include "utils/jsonb.h"

typedef struct RfKeptVerdict
{
	bool		found;
	TimestampTz checked_at;
	char	   *status;
	char	   *provider;
	char	   *raw;			/* or NULL */
	char	   *suggestion;		/* or NULL */
	Datum		flags;			/* text[]; 0: none */
} RfKeptVerdict;

/* Fills kept[].  latest: whatever snapshot the transaction has. */
extern void rf_verdict_find(const char **emails, int count, bool latest,
							RfKeptVerdict *kept);

/*
 * Does it still answer, for who asked at asked_at and takes none older than
 * max_age_us?  What was found since then does, an unknown one too.
 */
extern bool rf_verdict_answers(const RfKeptVerdict *kept, TimestampTz asked_at,
							   int64 max_age_us, TimestampTz now);

/* How long a verdict of this status answers others. */
extern int64 rf_verdict_keeps_us(const char *status);

/*
 * What a job returns: an object for each of these addresses, in their order, as
 * roleferry.email_verdict has it.  NULL: a null.
 */
extern Jsonb *rf_verdict_rows(char **emails, int nemails);

/* What a batch of this id was told; rows that it did not ask for are left out. */
extern void rf_verdict_keep(int64 batch_id, const char *provider,
							const RfVerification *rows, size_t count);

/* What it asked for and was not told is unknown. */
extern void rf_verdict_keep_rest(int64 batch_id, const char *provider);

/* Those that answer nobody any more: true when there may be others. */
extern bool rf_verdict_purge(void);

#endif							/* ROLEFERRY_VERDICT_H */

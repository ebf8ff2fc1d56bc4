/*-------------------------------------------------------------------------
 *
 * verify_args.h
 *	  A verify_emails job's args (jsonb): {"emails": [...], "account", "max_age"}.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_VERIFY_ARGS_H
#define ROLEFERRY_VERIFY_ARGS_H

#include "datatype/timestamp.h"
#include "provider/email.h"
#include "utils/jsonb.h"

typedef struct RfVerifyArgs
{
	char	  **emails;			/* as given, in order; NULL: a null */
	int			nemails;
	char	   *account;		/* NULL: any */
	int64		max_age_us;		/* of a verdict that is known; PG_INT64_MAX */
} RfVerifyArgs;

/*
 * palloc'd.  False: not of that shape, see *error.  What is no address is no
 * error: its verdict is.  Needs a transaction; raises for a max_age that is no
 * interval.
 */
extern bool rf_verify_args_read(Jsonb *args, RfVerifyArgs *out, RfFieldError *error);

/* The args of such a job; text in this database's encoding, account may be NULL. */
extern Jsonb *rf_verify_args_make(char **emails, int nemails, const char *account,
								  const char *max_age);

/* Not negative and finite; a month has 30 days. */
extern bool rf_verify_age_us(const Interval *age, int64 *age_us);

#endif							/* ROLEFERRY_VERIFY_ARGS_H */

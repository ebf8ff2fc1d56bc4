/*-------------------------------------------------------------------------
 *
 * verify_params.h
 *	  The parameters that verify_emails() and enqueue_verify_emails() share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_VERIFY_PARAMS_H
#define ROLEFERRY_VERIFY_PARAMS_H

#include "fmgr.h"
#include "outbox/job.h"

typedef struct RfVerifyParams
{
	char	  **emails;			/* in this database's encoding; NULL: a null */
	int			nemails;
	char	   *account;		/* or NULL */
	char	   *max_age;		/* as text; or NULL */
	int64		max_age_us;
} RfVerifyParams;

/* Their places in the function's list. */
extern void rf_verify_params_read(FunctionCallInfo fcinfo, int emails, int account,
								  int max_age, RfVerifyParams *params);

/* A job for these of the addresses, in the caller's name. */
extern void rf_verify_params_draft(const RfVerifyParams *params, char **emails,
								   int nemails, RfJobDraft *draft);

#endif							/* ROLEFERRY_VERIFY_PARAMS_H */

/*-------------------------------------------------------------------------
 *
 * email_params.h
 *	  The parameters that describe a mail, as a job's args.
 *
 * send_email() and enqueue_email() begin with the same parameters in the same
 * order; what follows them is each function's own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EMAIL_PARAMS_H
#define ROLEFERRY_EMAIL_PARAMS_H

#include "fmgr.h"
#include "outbox/job.h"
#include "utils/jsonb.h"

typedef enum RfEmailParam
{
	RF_P_FROM_ADDR,
	RF_P_TO_ADDR,
	RF_P_SUBJECT,
	RF_P_BODY_HTML,
	RF_P_REPLY_TO,
	RF_P_CUSTOM_ARGS,
	RF_P_BODY_TEXT,
	RF_P_CC,
	RF_P_BCC,
	RF_P_HEADERS,
	RF_P_TAGS,
	RF_P_ACCOUNTS,
	RF_P_IDEMPOTENCY_KEY,
	RF_P_DELIVERY,
	RF_P_PROVIDER_OPTIONS,
	RF_P_OWN					/* the function's own begin here */
} RfEmailParam;

/*
 * The members of args: what is NULL is left out.  stream, unsubscribe: the
 * positions of these parameters, which came late.  Raises 22023.
 */
extern Jsonb *rf_email_params_args(FunctionCallInfo fcinfo, int stream, int unsubscribe);

/*
 * The job of a call of enqueue_email(), or of a function with its parameters.
 * True: a bad one is to become a dead letter.
 */
extern bool rf_enqueue_email_draft(FunctionCallInfo fcinfo, RfJobDraft *draft);

/* A text parameter by position; NULL stays NULL. */
extern char *rf_email_params_text(FunctionCallInfo fcinfo, int which);

#endif							/* ROLEFERRY_EMAIL_PARAMS_H */

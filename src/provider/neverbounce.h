/*-------------------------------------------------------------------------
 *
 * neverbounce.h
 *	  What the parts of the NeverBounce adapter share.
 *
 * Used by the adapter's own files only: neverbounce.c, neverbounce_answer.c and
 * neverbounce_verdicts.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_NEVERBOUNCE_H
#define ROLEFERRY_NEVERBOUNCE_H

#include "provider/json.h"
#include <stdint.h>

#include "provider/verify.h"

/*
 * What any answer says about itself.  True: it is the provider's and says
 * success; *outcome is ok then, and reading may go on.
 */
extern bool rf_neverbounce_is_success(const RfResponse *response, json_t *root,
									  int64_t now_s, bool effectful,
									  RfOutcome *outcome);

/* The readers of RfVerifyCalls. */
extern void rf_neverbounce_read_create(const RfResponse *response,
									   int64_t now_s, RfVerifyJob *job,
									   RfOutcome *outcome);
extern void rf_neverbounce_read_find(const RfResponse *response, int64_t now_s,
									 const char *filename, RfVerifyJob *job,
									 RfOutcome *outcome);
extern void rf_neverbounce_read_started(const RfResponse *response,
										int64_t now_s, RfOutcome *outcome);
extern void rf_neverbounce_read_status(const RfResponse *response,
									   int64_t now_s, RfVerifyJob *job,
									   RfOutcome *outcome);
extern void rf_neverbounce_read_results(const RfResponse *response,
										int64_t now_s, RfVerifyPage *page,
										RfOutcome *outcome);
extern void rf_neverbounce_read_check(const RfResponse *response,
									  int64_t now_s, RfText email,
									  RfVerification *result,
									  RfOutcome *outcome);
extern void rf_neverbounce_read_balance(const RfResponse *response,
										int64_t now_s,
										RfVerifyBalance *balance,
										RfOutcome *outcome);

#endif							/* ROLEFERRY_NEVERBOUNCE_H */

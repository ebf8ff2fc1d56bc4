/*-------------------------------------------------------------------------
 *
 * rendered.h
 *	  The request that a mail becomes, for people to look at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RENDERED_H
#define ROLEFERRY_RENDERED_H

#include "account/account.h"
#include "utils/jsonb.h"

/*
 * What would leave for this mail by this account, as {"method", "url",
 * "headers", "body"}; the key is "***".  A multipart body is an object of its
 * fields, those that stand there several times as arrays.  NULL: it cannot be
 * built, and *problem (palloc'd) says why.  tests: with the provider's test
 * flag.
 */
extern Jsonb *rf_rendered_request(const RfAccount *account, int64 job_id, Jsonb *args,
								  const char *installation, bool tests, char **problem);

#endif							/* ROLEFERRY_RENDERED_H */

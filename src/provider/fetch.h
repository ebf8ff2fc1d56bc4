/*-------------------------------------------------------------------------
 *
 * fetch.h
 *	  A question to a provider that changes nothing there.
 *
 * What is asked is the asker's business; the account adds where and as whom.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_PROVIDER_FETCH_H
#define ROLEFERRY_PROVIDER_FETCH_H

#include "provider/provider.h"

/*
 * POST body (JSON) to path, which begins with a slash and holds nothing that
 * could climb out of the account's host.  False, request empty: a bad path or
 * out of memory.
 */
extern bool rf_fetch_build(const RfProvider *provider,
						   const RfAccountConfig *account, const char *path,
						   const char *body, size_t body_len,
						   RfRequest *request);

#endif							/* ROLEFERRY_PROVIDER_FETCH_H */

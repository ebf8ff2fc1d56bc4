/*-------------------------------------------------------------------------
 *
 * apollo.h
 *	  What the parts of the Apollo adapter share.
 *
 * Used by the adapter's own files only: apollo.c and apollo_people.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_APOLLO_H
#define ROLEFERRY_APOLLO_H

#include "provider/json.h"

#include "provider/people.h"
#include "provider/provider.h"

#define RF_APOLLO_PAGE_SIZE		100
#define RF_APOLLO_MAX_PAGES		500
#define RF_APOLLO_ENRICH_MAX	10

/*
 * An answer that is no 2xx.  effectful: the request may have cost credits, so
 * that a 5xx leaves it open.  root: the body as JSON, or NULL.
 */
extern void rf_apollo_read_refusal(const RfResponse *response, json_t *root,
								   int64_t now_s, bool effectful,
								   RfOutcome *outcome);

extern void rf_apollo_read_search(const RfResponse *response, int64_t now_s,
								  const RfPeopleQuery *query, int page,
								  RfPeoplePage *result, RfOutcome *outcome);
extern void rf_apollo_read_enrich(const RfResponse *response, int64_t now_s,
								  const RfText *ids, size_t nids,
								  RfEnrichment *result, RfOutcome *outcome);

#endif							/* ROLEFERRY_APOLLO_H */

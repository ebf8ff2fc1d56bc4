/*-------------------------------------------------------------------------
 *
 * search.h
 *	  A search of people as a job, until it has found them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WORKER_SEARCH_H
#define ROLEFERRY_WORKER_SEARCH_H

#include "provider/people.h"
#include "worker/flight.h"

/*
 * In the claim's transaction: what it asks for, and what of it is fresh in the
 * cache.  Sets flight->search, or, where the search has ended, nothing.
 */
extern void rf_search_begin(RfFlight *flight);

/* Nothing is left to ask for: no request is made. */
extern bool rf_search_is_over(const RfFlight *flight);

/*
 * Does the other ask, at an account that this one may use, what this one is
 * about to ask?  Then the cache will have it.  Of one that has asked already:
 * no.
 */
extern bool rf_search_is_asked_by(const RfFlight *flight, const RfFlight *other);

/* The question, as the cache knows it; NULL: it has none to ask first. */
extern const uint8 *rf_search_first_question(const RfFlight *flight, int *page);

/* False: *why, and whether memory was short. */
extern bool rf_search_build(RfFlight *flight, const RfAccountConfig *config,
							char *why, bool *no_memory);

/* The answer; what makes no sense is no proof that anything was done. */
extern void rf_search_read(RfFlight *flight, RfOutcome *outcome);

/*
 * After an answer that is one.  True: its next page is wanted.  Otherwise
 * *settlement hands what was found to its row.
 */
extern bool rf_search_landed(RfFlight *flight, RfSettlement *settlement);

/* Fills in what became of it, when it is over. */
extern void rf_search_settle(RfFlight *flight, RfSettlement *settlement);

/* For rf_kept_page(): the page that has landed, once; NULL: none. */
extern RfPeoplePage *rf_search_take_page(RfFlight *flight);

#endif							/* ROLEFERRY_WORKER_SEARCH_H */

/*-------------------------------------------------------------------------
 *
 * found.h
 *	  What a search found, kept in its job's args until everybody is paid for.
 *
 * The search itself leaves no trace but this.  From then on the job is like one
 * that enriches people: what it lacks is derived from its row and the cache of
 * people, so whoever dies, it goes on from there and nothing is paid for twice.
 *
 * All but the first two run in the dispatcher's transactions, connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_FOUND_H
#define ROLEFERRY_FOUND_H

#include "outbox/claim.h"

/* The name is reserved: nobody can give such an argument. */
#define RF_FOUND_MEMBER	"rf_found"

/* Has this job's search ended? */
extern bool rf_found_exists(const RfClaimedJob *job);

/* Which of its accounts gave them: their ids mean nothing to others. */
#define RF_FOUND_POSITIONS	32
extern int	rf_found_position(const RfClaimedJob *job);

/* A JSON object in UTF-8 for its args; fenced as every settlement is. */
extern void rf_found_write(int64 incarnation, int64 job_id, const char *json);

/*
 * The ids of those who are to be paid for, each once, palloc'd: who lacks an
 * address and is not known, as many as its credits allow.
 */
extern int	rf_found_items(const RfClaimedJob *job, const char ***ids);

/* An array of objects with the members of roleferry.person. */
extern Jsonb *rf_found_result(const RfClaimedJob *job);

#endif							/* ROLEFERRY_FOUND_H */

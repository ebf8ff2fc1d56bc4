/*-------------------------------------------------------------------------
 *
 * person_cache.h
 *	  People who were paid for.
 *
 * By provider and the id that the provider knows them by.  Who is not to be had
 * is remembered, too: asking for him again would cost another request.
 *
 * All functions run in a transaction, connected to SPI, as a role that may use
 * roleferry.person_cache.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_PERSON_CACHE_H
#define ROLEFERRY_PERSON_CACHE_H

#include "datatype/timestamp.h"
#include "provider/people.h"
#include "utils/jsonb.h"

typedef struct RfKeptPerson
{
	bool		found;
	TimestampTz fetched_at;
	char	   *json;			/* as people_json.h has them; in UTF-8 */
} RfKeptPerson;

/* Fills kept[].  latest: whatever snapshot the transaction has. */
extern void rf_person_cache_find(const char *provider, const char **ids, int count,
								 bool latest, RfKeptPerson *kept);

/* How long one that was paid for is not paid for again. */
extern int64 rf_person_cache_keeps_us(void);

/* What an enrichment of these ids said: a row for each, misses too. */
extern void rf_person_cache_keep(const char *provider, const char *const *ids,
								 const RfPerson *people, size_t count);

/* What a job returns: an array with an object for each that is known. */
extern Jsonb *rf_person_cache_rows(const char *provider, const char **ids, int count);

/* Those that are too old: true when there may be others. */
extern bool rf_person_cache_purge(void);

#endif							/* ROLEFERRY_PERSON_CACHE_H */

/*-------------------------------------------------------------------------
 *
 * people_cache.h
 *	  What searches found, for a while.
 *
 * roleferry.search_cache has a page of people for each question, account and
 * page number.  Sessions read it, with rights of nobody's and whatever their
 * snapshot; only the dispatcher writes it, in transactions of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_PEOPLE_CACHE_H
#define ROLEFERRY_PEOPLE_CACHE_H

#include "nodes/pg_list.h"
#include "provider/people.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#define RF_DIGEST_BYTES 32

/* A page on its way into the cache. */
typedef struct RfKeptPage
{
	uint8		digest[RF_DIGEST_BYTES];
	int			page;			/* from 1 */
	int			rows;			/* that were asked for */
	bool		more;			/* another page may have people */
	TimestampTz fetched_at;
	const char *account;
	const char *domain;			/* of the question; in the server's encoding */
	Jsonb	   *people;			/* or, where that is NULL: */
	const char *json;			/* in UTF-8 */
} RfKeptPage;

/* A page out of it. */
typedef struct RfCachedPage
{
	int			rows;
	bool		more;
	TimestampTz fetched_at;
	RfPerson   *people;			/* malloc'd, each to be freed, and the array */
	size_t		npeople;
} RfCachedPage;

/* What makes two questions the same: everything but how many are wanted. */
extern void rf_people_cache_digest(const RfPeopleQuery *query, uint8 *digest);

/*
 * The page of that number that the account gave after "since", if it was asked
 * for so many rows or has the last of them.  Raises 55000 where the table is
 * another version's.
 */
extern bool rf_people_cache_find(const uint8 *digest, const char *account,
								 int page, int rows, TimestampTz since,
								 RfCachedPage *found);
extern void rf_people_cache_free(RfCachedPage *found);

/*
 * As the cache has it: people as jsonb.  Needs a transaction where the server's
 * encoding is another than UTF-8.
 */
extern Jsonb *rf_people_cache_jsonb(const char *json);

/* A kept page as bytes, and back; the latter points into them. */
extern void *rf_kept_page_pack(const RfKeptPage *page, Size *len);
extern void rf_kept_page_unpack(const void *bytes, RfKeptPage *page);

/*
 * In a transaction, connected to SPI: write them all (List of RfKeptPage, no
 * two for the same page).  What was asked for fewer rows replaces nothing that
 * is fresh and has more.
 */
extern void rf_people_cache_write(List *pages);

#endif							/* ROLEFERRY_PEOPLE_CACHE_H */

/*-------------------------------------------------------------------------
 *
 * fetches.h
 *	  Questions to providers, as sessions hand them over.
 *
 * A question changes nothing at the provider and has no job: nothing is
 * recorded, and one that gets no answer can be asked again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_FETCHES_H
#define ROLEFERRY_FETCHES_H

#include "core/outcome.h"

/* The request: this head, the path with its terminating zero, the body. */
typedef struct RfFetchHead
{
	Oid			server;			/* the account; the caller has checked USAGE */
	Size		path_size;		/* the zero included */
	Size		body_len;
} RfFetchHead;

/* The answer: this head, then the body as it came. */
typedef struct RfFetchAnswer
{
	bool		asked;			/* false: nothing left */
	bool		not_ready;		/* nothing may leave this database now */
	RfOutcome	outcome;
	int64		opens_in_us;	/* where it was closed: when to try again; 0:
								 * not known */
	Size		body_len;
} RfFetchAnswer;

/* In a session: the request as bytes, palloc'd. */
extern void *rf_fetch_pack(Oid server, const char *path, const char *body,
						   Size body_len, Size *len);

#endif							/* ROLEFERRY_FETCHES_H */

/*-------------------------------------------------------------------------
 *
 * search_args.h
 *	  An apollo_search job's args (jsonb): {"domain", "titles": [...],
 *	  "seniorities": [...], "locations": [...], "max_results", "enrich",
 *	  "max_credits", "account"}.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SEARCH_ARGS_H
#define ROLEFERRY_SEARCH_ARGS_H

#include "provider/field_error.h"
#include "provider/people.h"
#include "utils/jsonb.h"

#define RF_SEARCH_TASK			"apollo_search"
#define RF_SEARCH_MAX_RESULTS	25	/* where none is given */

typedef struct RfSearchArgs
{
	RfPeopleQuery query;		/* checked; in UTF-8 */
	bool		enrich;
	int			max_credits;	/* with enrich */
	char	   *account;		/* NULL: any; in this database's encoding */
} RfSearchArgs;

/* palloc'd.  False: not of that shape, or not to be asked so, see *error. */
extern bool rf_search_args_read(Jsonb *args, RfSearchArgs *out, RfFieldError *error);

/* What both the function and the job refuse.  max_credits: as it was given. */
extern bool rf_search_args_check(const RfPeopleQuery *query, int max_credits,
								 RfFieldError *error);

/* Text of this database as UTF-8, palloc'd. */
extern RfText rf_search_text(const char *data, int len);

#endif							/* ROLEFERRY_SEARCH_ARGS_H */

/*-------------------------------------------------------------------------
 *
 * enrich_args.h
 *	  An enrich_people job's args (jsonb): {"ids": [...], "account"}.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ENRICH_ARGS_H
#define ROLEFERRY_ENRICH_ARGS_H

#include "provider/field_error.h"
#include "utils/jsonb.h"

#define RF_ENRICH_TASK		"enrich_people"
#define RF_ENRICH_ID_MAX	63	/* bytes of one */

typedef struct RfEnrichArgs
{
	char	  **ids;			/* as given, in order */
	int			nids;
	char	   *account;		/* NULL: any */
} RfEnrichArgs;

/* palloc'd.  False: not of that shape, see *error. */
extern bool rf_enrich_args_read(Jsonb *args, RfEnrichArgs *out, RfFieldError *error);

/* The args of such a job; text in this database's encoding. */
extern Jsonb *rf_enrich_args_make(const char **ids, int nids, const char *account);

/* Can it be asked for?  Printable ASCII without spaces, not too long. */
extern bool rf_enrich_takes_id(const char *id);

#endif							/* ROLEFERRY_ENRICH_ARGS_H */

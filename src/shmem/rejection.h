/*-------------------------------------------------------------------------
 *
 * rejection.h
 *	  Webhooks that were not accepted: counted, and the last ones kept.
 *
 * In shared memory only, so that a flood of forged requests writes nothing.
 * A restart forgets them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_REJECTION_H
#define ROLEFERRY_REJECTION_H

#include "datatype/timestamp.h"

#define RF_REJECTIONS_KEPT		100
#define RF_REJECTION_TEXT_MAX	64

typedef struct RfRejection
{
	Oid			database;		/* InvalidOid: no entry */
	TimestampTz at;
	int64		body_bytes;
	int			http_status;
	char		source[RF_REJECTION_TEXT_MAX];	/* empty: there is no such one */
	char		reason[RF_REJECTION_TEXT_MAX];	/* words of ours */
	bool		reencoded;		/* the body is JSON, so perhaps not as it was
								 * signed */
} RfRejection;

/* Called by shared.c. */
extern Size rf_rejection_shared_size(void);
extern void rf_rejection_shared_create(void);

/* Never raises; database, at and nothing else is filled in here. */
extern void rf_rejection_note(const RfRejection *rejection);

/* Those of this database, newest first, palloc'd; *total: since the start. */
extern int	rf_rejection_list(RfRejection **list, int64 *total);

#endif							/* ROLEFERRY_REJECTION_H */

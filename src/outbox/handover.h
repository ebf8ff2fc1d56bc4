/*-------------------------------------------------------------------------
 *
 * handover.h
 *	  A checked job as bytes, on its way from a session to the dispatcher.
 *
 * Both ends are the same library in the same server: the form is private,
 * unportable and never stored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HANDOVER_H
#define ROLEFERRY_HANDOVER_H

#include "outbox/job.h"

/* palloc'd; *len is its length. */
extern void *rf_handover_pack(const RfJobDraft *draft, Size *len);

/* Points into the bytes, which must stay; lists are palloc'd. */
extern void rf_handover_unpack(void *bytes, Size len, RfJobDraft *draft);

#endif							/* ROLEFERRY_HANDOVER_H */

/*-------------------------------------------------------------------------
 *
 * suppression.h
 *	  Addresses that get no mail, or none of a stream.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SUPPRESSION_H
#define ROLEFERRY_SUPPRESSION_H

#include "nodes/pg_list.h"
#include "outbox/claim.h"
#include "outbox/event_write.h"
#include "utils/jsonb.h"

#define RF_ADDRESS_KEY_BYTES	32
#define RF_LOG_KEY_MAX			16	/* hexadecimal digits */

/* What mails that name no stream belong to. */
#define RF_DEFAULT_STREAM		"default"

/*
 * Is the mail's to_addr suppressed?  Then why, palloc'd, without the address;
 * else NULL, and *taken_off are those of cc and bcc that are, folded (char *),
 * where it is asked for.  In a transaction; looks at what is committed now,
 * whatever snapshot the caller has.  While nothing is suppressed it costs a
 * look at a table's size.
 */
extern char *rf_suppression_of_mail(Jsonb *args, List **taken_off);

/* The key of a folded address; false: nothing was ever suppressed. */
extern bool rf_suppression_address_key(const char *folded, uint8 key[RF_ADDRESS_KEY_BYTES]);

/*
 * What the log calls the recipient of a mail: the beginning of that key, which
 * is made where there is none yet.  In a transaction that writes, connected to
 * SPI.
 */
extern void rf_suppression_log_key(const char *to_addr, char name[RF_LOG_KEY_MAX + 1]);

/*
 * In an event's transaction, as rf_events_apply(): who bounced for good,
 * complained or unsubscribed gets no more mail; who subscribed again, does.
 */
extern void rf_suppression_feed(RfEventEntry *entries, int nentries);

/*
 * The same in the claim's transaction, with results in the job's context, and a
 * record of what its mail goes without.  Of a job that is no mail nobody is.
 */
extern char *rf_suppression_at_claim(RfClaimedJob *job, List **taken_off);

#endif							/* ROLEFERRY_SUPPRESSION_H */

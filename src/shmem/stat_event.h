/*-------------------------------------------------------------------------
 *
 * stat_event.h
 *	  How many events of webhooks came, by kind and by what became of them.
 *
 * In a session: what a transaction has taken in counts when it commits.  What
 * was rejected is counted by shmem/rejection.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_STAT_EVENT_H
#define ROLEFERRY_STAT_EVENT_H

#include "shmem/stat.h"

/* As webhook_receive() says; others are not counted. */
extern void rf_stat_event_note(int kind, const char *outcome);

/* Of this database. */
extern void rf_stat_events(Oid database,
						   uint64 events[RF_STAT_EVENT_KINDS][RF_STAT_EVENTS]);

/* accepted, duplicate, failed */
extern const char *rf_stat_event_text(RfStatEvent what);

#endif							/* ROLEFERRY_STAT_EVENT_H */

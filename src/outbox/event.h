/*-------------------------------------------------------------------------
 *
 * event.h
 *	  What providers report takes effect.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EVENT_H
#define ROLEFERRY_EVENT_H

#include "provider/events.h"

/* Whose mail is an event about? */
typedef enum RfEventStanding
{
	RF_EVENT_UNMATCHED,			/* of none that is known here, or of no mail */
	RF_EVENT_MATCHED,			/* of job_id */
	RF_EVENT_FOREIGN			/* of another installation's */
} RfEventStanding;

typedef struct RfEventEffect
{
	RfEventStanding standing;
	int64		job_id;			/* of matched */
	bool		settled;		/* it ended the doubt about an unknown send */
} RfEventEffect;

/*
 * Joins events to their mails, writes the lives of those, settles what was
 * unknown, and feeds the suppression list.  In the caller's transaction, connected to SPI, as the tables' owner, with a pinned search_path; fills
 * effects[].  Each event must be given once only: whoever calls has told
 * duplicates apart.  event_rows[] are the ids of the events' rows, for the
 * records.
 *
 * Locks are taken in one order, table by table and key by key.  To keep it, give
 * all events of a transaction in one call.
 */
extern void rf_events_apply(const RfEvent *const *events, const int64 *event_rows,
							int nevents, const char *source, RfEventEffect *effects);

/* The same for one. */
extern void rf_event_apply(const RfEvent *event, const char *source,
						   int64 event_row, RfEventEffect *effect);

/*
 * In the dispatcher: settle unknown sends whose events came before they were
 * unknown, and send again what may be after roleferry.resend_unknown_after.
 */
extern uint64 rf_events_settle_late(void);

/* Takes up what rf_events_apply() failed at, where the time has come. */
extern void rf_events_retry(void);
extern uint64 rf_events_resend(void);

#endif							/* ROLEFERRY_EVENT_H */

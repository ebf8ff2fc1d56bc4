/*-------------------------------------------------------------------------
 *
 * event_write.h
 *	  Writing what events say, for the files that apply them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EVENT_WRITE_H
#define ROLEFERRY_EVENT_WRITE_H

#include "datatype/timestamp.h"
#include "outbox/event.h"

/* An event on its way to take effect. */
typedef struct RfEventEntry
{
	const RfEvent *event;
	int64		row;
	TimestampTz at;				/* when it happened, or now */
	bool		about_mail;		/* it says something of a mail */
	bool		own;			/* by its rf_job, of this installation */
	bool		unknown;		/* the mail's outcome is not known yet */
	bool		of_to_addr;		/* not of a recipient in cc or bcc */
	RfEventEffect effect;
} RfEventEntry;

extern void rf_event_write_settled(RfEventEntry *entries, int nentries, const char *source);
extern void rf_event_write_lives(RfEventEntry *entries, int nentries);

#endif							/* ROLEFERRY_EVENT_WRITE_H */

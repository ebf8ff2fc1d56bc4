/*-------------------------------------------------------------------------
 *
 * events.h
 *	  What providers report in webhooks, in one vocabulary.
 *
 * A body is split into the events it holds, each a range of the bytes that
 * came; an event is then read by the rules of its provider.  Nothing a stranger
 * can write makes an event say what its provider did not: a member that stands
 * there twice with two meanings makes the event unreadable, and so does text
 * that holds a NUL.  What cannot be read is an event, too: of kind unreadable.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EVENTS_H
#define ROLEFERRY_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/text.h"
#include "provider/email.h"

#define RF_EVENT_TYPE_MAX			127
#define RF_EVENT_ID_MAX				255
#define RF_EVENT_ADDRESS_MAX		320
#define RF_EVENT_INSTALLATION_MAX	32
#define RF_EVENT_REASON_MAX			255

typedef enum RfEventKind
{
	RF_EVENT_UNREADABLE,		/* reason says why */
	RF_EVENT_OTHER,				/* not about a mail: only its type is known */
	RF_EVENT_ACCEPTED,			/* the provider has taken the mail */
	RF_EVENT_DEFERRED,			/* it is trying to deliver it */
	RF_EVENT_DELIVERED,			/* the recipient's server has taken it */
	RF_EVENT_BOUNCED,			/* the recipient's server has refused it */
	RF_EVENT_REJECTED,			/* the provider will not deliver it */
	RF_EVENT_OPENED,
	RF_EVENT_CLICKED,
	RF_EVENT_COMPLAINED,
	RF_EVENT_UNSUBSCRIBED,
	RF_EVENT_RESUBSCRIBED
} RfEventKind;

/* Texts are NUL-terminated valid UTF-8; empty: the event does not say. */
typedef struct RfEvent
{
	RfEventKind kind;
	bool		hard;			/* of bounced: it will never work */
	int64_t		at_us;			/* since 1970; 0: it does not say */
	int64_t		job_id;			/* of rf_job; 0: there is none */
	char		installation[RF_EVENT_INSTALLATION_MAX + 1];	/* of rf_job */
	char		stream[RF_STREAM_MAX_BYTES + 1];	/* of rf_stream */
	char		type[RF_EVENT_TYPE_MAX + 1];	/* the provider's word */
	char		id[RF_EVENT_ID_MAX + 1];	/* the provider's id of the event */
	char		message_id[RF_EVENT_ID_MAX + 1];	/* as message.message_id */
	char		recipient[RF_EVENT_ADDRESS_MAX + 1];	/* folded: lower case */
	char		reason[RF_EVENT_REASON_MAX + 1];	/* one line */

	/*
	 * The event without its id, for providers that may change that when they
	 * repeat an event: what to hash as a second key.  Empty: none is needed.
	 */
	RfBuffer	content;
} RfEvent;

/*
 * The events of a body, in order; of SendGrid an array's elements, of others
 * the one object.  *members is malloc'd, its texts point into the body.
 * False: the body is not of that shape, or out of memory.
 */
extern bool rf_events_split(const char *provider, const char *body, size_t len,
							RfText **members, size_t *nmembers);

/* Always fills *event; to be freed.  provider: "sendgrid", "mailgun", "stripe", else any. */
extern void rf_event_read(const char *provider, RfText member, RfEvent *event);
extern void rf_event_free(RfEvent *event);

/* Stable lower-case words: "delivered", ... */
extern const char *rf_event_kind_text(RfEventKind kind);

/* The folded form of an address, of at most RF_EVENT_ADDRESS_MAX bytes.  False: it is none. */
extern bool rf_event_fold_address(const char *text, size_t len,
								  char out[RF_EVENT_ADDRESS_MAX + 1]);

#endif							/* ROLEFERRY_EVENTS_H */

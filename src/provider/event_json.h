/*-------------------------------------------------------------------------
 *
 * event_json.h
 *	  Reading the members of an event, for the files that read events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EVENT_JSON_H
#define ROLEFERRY_EVENT_JSON_H

#include "provider/events.h"
#include "provider/json.h"

/* Private to the readers of each provider: the tree is an object. */
extern void rf_event_read_sendgrid(json_t *tree, RfEvent *event);
extern void rf_event_read_mailgun(json_t *tree, RfEvent *event);
extern void rf_event_read_other(json_t *tree, RfEvent *event);

/* The kind becomes unreadable, and why. */
extern void rf_event_spoil(RfEvent *event, const char *why);

/*
 * Copies a string member; a number is written out.  What has no place in out,
 * or holds a NUL, spoils the event.  Without the member out stays empty.
 */
extern void rf_event_text(RfEvent *event, json_t *object, const char *name,
						  char *out, size_t size);

/* The same, cut to fit, one line: words for a person. */
extern void rf_event_words(json_t *object, const char *name, char *out, size_t size);

/* Seconds since 1970, as integer, real or digits; 0 without. */
extern int64_t rf_event_time(json_t *object, const char *name);

/* "<installation>.<job id>"; anything else is left alone. */
extern void rf_event_job(RfEvent *event, json_t *object);

/* One more part of the content. */
extern void rf_event_content(RfEvent *event, json_t *object, const char *name);

/*
 * The first of these names that stands in the object twice with two meanings;
 * NULL: none.  The object is valid JSON.
 */
extern const char *rf_event_ambiguous(RfText object, const char *const *names);

/* The bytes of a member of a valid object; data NULL: there is none. */
extern RfText rf_event_member(RfText object, const char *name);

#endif							/* ROLEFERRY_EVENT_JSON_H */

/*-------------------------------------------------------------------------
 *
 * queued.h
 *	  Handlers that are left to jobs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_QUEUED_H
#define ROLEFERRY_QUEUED_H

#include "inbox/handler.h"

typedef struct RfQueued
{
	RfHandler  *handler;
	int64		job_id;
	const char *failure;		/* how it failed already; NULL: it did not run */
} RfQueued;

/*
 * Leaves a handler to a job: notes both in the event, whose row is to be
 * written with them before rf_queued_enqueue() makes the jobs.
 */
extern void rf_queued_note(RfIncoming *event, RfHandler *handler, const char *failure);

/* Notes those handlers of the list that are queued and want the event. */
extern void rf_queued_note_all(RfIncoming *event, List *handlers);

/* Connected to SPI, as the owner. */
extern void rf_queued_enqueue(const char *source, RfIncoming *event);

/*
 * A job of an event that is taken up again waits no longer; dead: it is a dead
 * letter.  NULL: done, else why not.
 */
extern char *rf_queued_hurry(int64 job_id, bool dead);

#endif							/* ROLEFERRY_QUEUED_H */

/*-------------------------------------------------------------------------
 *
 * activity.h
 *	  What a dispatcher has under way, for who asks.
 *
 * Nothing is kept for this: the dispatcher is asked by a call, and answers
 * with what it sees at that moment.  Both ends are the same library.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ACTIVITY_H
#define ROLEFERRY_ACTIVITY_H

#include "postgres.h"

struct RfDispatcher;
struct RfCallSlot;

#define RF_ACTIVITY_TASK_MAX 64

/* One request under way.  The answer is an array of these. */
typedef struct RfActivity
{
	int64		job_id;			/* 0: a question, which has no job */
	Oid			server;
	int			attempt;		/* 0: a question */
	bool		sent;			/* something of it may have left */
	bool		reused;			/* on a connection that was open already */
	bool		awaited;		/* a session waits for it */
	int64		age_us;			/* since it was started */
	char		task[RF_ACTIVITY_TASK_MAX]; /* empty: a question */
} RfActivity;

/* In the dispatcher. */
extern void rf_activity_answer(struct RfDispatcher *d, struct RfCallSlot *slot);

#endif							/* ROLEFERRY_ACTIVITY_H */

/*-------------------------------------------------------------------------
 *
 * question.h
 *	  A question to a provider as bytes, and its answer, on their way between a
 *	  session and the dispatcher.
 *
 * A question changes nothing at the provider and has no job: nothing is
 * recorded, and one that gets no answer can be asked again.  Both ends are the
 * same library in the same server: the form is private and never stored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_QUESTION_H
#define ROLEFERRY_QUESTION_H

#include "core/outcome.h"
#include "provider/people.h"

/* Whom to ask, and for which page of the answer. */
typedef struct RfQuestion
{
	Oid			server;			/* the account; the asker has checked USAGE */
	int			page;			/* from 1 */
	RfPeopleQuery query;
} RfQuestion;

typedef enum RfAnswerEnd
{
	RF_ANSWER_GIVEN,			/* the provider answered; see the outcome */
	RF_ANSWER_NONE,				/* it was asked, or could not be reached */
	RF_ANSWER_CLOSED,			/* the account is paused, its circuit open, or
								 * it is busy: nothing left */
	RF_ANSWER_NOT_READY			/* nothing may leave this database now */
} RfAnswerEnd;

/* Followed by the body as it came. */
typedef struct RfAnswer
{
	RfAnswerEnd end;
	RfOutcome	outcome;		/* of a 2xx only that: its reader has the last
								 * word */
	bool		circuit_open;	/* closed, and that is why */
	int64_t		opens_in_us;	/* closed: when to try again; 0: not known */
	size_t		body_len;
} RfAnswer;

/* palloc'd; *len is its length. */
extern void *rf_question_pack(const RfQuestion *question, Size *len);

/* Points into the bytes, which must stay; lists are palloc'd. */
extern void rf_question_unpack(const void *bytes, RfQuestion *question);

#endif							/* ROLEFERRY_QUESTION_H */

/*-------------------------------------------------------------------------
 *
 * question.h
 *	  Asking a provider while the caller waits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_API_QUESTION_H
#define ROLEFERRY_API_QUESTION_H

#include "account/account.h"
#include "compat.h"
#include "worker/question.h"

typedef struct RfAsker
{
	char	   *account;		/* its name, for messages */
	const RfProvider *provider;
	int64		deadline_us;	/* monotonic: of all questions together */
} RfAsker;

/* Why there is no answer to use: an error that was not raised yet. */
typedef struct RfAskFailure
{
	int			sqlerrcode;		/* RF001, RF002, RF003 or 08006 */
	char	   *message;
	char	   *detail;			/* or NULL */
	char	   *hint;			/* or NULL */
	bool		elsewhere;		/* another account may know better */
	bool		is_down;		/* not reached, closed or used up: what was
								 * found before is better than nothing */
	int64		opens_in_us;	/* when it may be asked again; 0: not known */
} RfAskFailure;

/* The server is one of rf_account_list(). */
extern void rf_asker_init(RfAsker *asker, const char *account,
						  const RfProvider *provider, int64 deadline_us);

/*
 * One page of people, to be freed; or false and why.  Raises 55000 where nobody
 * can be asked at all.
 */
extern bool rf_asker_search(RfAsker *asker, const RfQuestion *question,
							RfPeoplePage *page, RfAskFailure *failure);

pg_noreturn extern void rf_ask_raise(const RfAskFailure *failure);

#endif							/* ROLEFERRY_API_QUESTION_H */

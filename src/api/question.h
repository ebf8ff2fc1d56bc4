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
#include "worker/question.h"

typedef struct RfAsker
{
	char	   *account;		/* its name, for messages */
	const RfProvider *provider;
	int64		deadline_us;	/* monotonic: of all questions together */
} RfAsker;

extern void rf_asker_init(RfAsker *asker, const RfAccount *account, int64 timeout_us);

/*
 * One page of people, to be freed.  Raises RF001, RF002, RF003, 08006 or 55000
 * where there is no answer to use.
 */
extern void rf_asker_search(RfAsker *asker, const RfQuestion *question,
							RfPeoplePage *page);

#endif							/* ROLEFERRY_API_QUESTION_H */

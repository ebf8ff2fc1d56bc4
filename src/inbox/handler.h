/*-------------------------------------------------------------------------
 *
 * handler.h
 *	  Functions that events are handed to: rows of roleferry.webhook_handler.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HANDLER_H
#define ROLEFERRY_HANDLER_H

#include "inbox/intake.h"
#include "outbox/job.h"

typedef struct RfHandler
{
	int64		id;
	char	   *event;			/* pattern */
	char	   *function;		/* qualified and quoted */
	char	   *role;
	bool		queued;
	int			max_attempts;
	int64		retry_base_us;
	int64		retry_cap_us;
	bool		checked;		/* what a job of it needs is found: */
	RfJobDraft	draft;
	char	   *problem;		/* why it cannot run as a job; or NULL */
} RfHandler;

/* Those of a source, in the order of their ids.  Connected to SPI. */
extern List *rf_handler_list(const char *source);

/* The one with this id, or NULL. */
extern RfHandler *rf_handler_find(List *handlers, int64 id);

/* By the provider's word for the event or ours; '*' stands for any characters. */
extern bool rf_handler_wants(const RfHandler *handler, const RfIncoming *event);

/* As its role.  Raises whatever the function raises. */
extern void rf_handler_run(const RfHandler *handler, const char *source, RfText raw);

#endif							/* ROLEFERRY_HANDLER_H */

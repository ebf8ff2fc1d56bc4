/*-------------------------------------------------------------------------
 *
 * render.h
 *	  A job's args as the request of the account it goes out by.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RENDER_H
#define ROLEFERRY_RENDER_H

#include "worker/flight.h"

typedef enum RfRendered
{
	RF_RENDERED,
	RF_RENDER_NEVER,			/* something is wrong with the mail */
	RF_RENDER_NO_MEMORY			/* with this process, or a key of ours */
} RfRendered;

/*
 * Fills flight->transfer.request.  Outside a transaction; never raises.
 * Unless rendered, *why (RF_REASON_MAX + 1 bytes) says what was wrong.
 */
extern RfRendered rf_render_request(RfFlight *flight, const char *secret,
									const char *installation, char *why);

/* A mail, and the account it is to go out by. */
typedef struct RfRendering
{
	int64		job_id;
	Jsonb	   *args;
	List	   *taken_off;		/* folded addresses (char *) that get no copy */
	const char *installation;
	const RfProvider *provider;
	RfAccountConfig account;
} RfRendering;

/*
 * The same for whoever has no flight, in a transaction; may raise.  Also where
 * roleferry.redirect_all_to takes effect.
 */
extern RfRendered rf_render_mail(const RfRendering *rendering, RfRequest *request,
								 char *why);

#endif							/* ROLEFERRY_RENDER_H */

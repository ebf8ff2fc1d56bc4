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

/*
 * Fills flight->transfer.request.  Outside a transaction; never raises.
 * False: *why (RF_REASON_MAX + 1 bytes) says what is wrong with the mail.
 */
extern bool rf_render_request(RfFlight *flight, const RfSecret *secret,
							  const char *installation, char *why);

#endif							/* ROLEFERRY_RENDER_H */

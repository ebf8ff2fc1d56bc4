/*-------------------------------------------------------------------------
 *
 * departure.h
 *	  The one door that requests leave by.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_DEPARTURE_H
#define ROLEFERRY_DEPARTURE_H

#include "worker/flight.h"

/* Of a mail that a provider took and does not send. */
#define RF_SANDBOX_NOTE "roleferry.mode is \"sandbox\": the provider sends it to nobody"

/*
 * Does roleferry.mode keep this job from leaving?  Then *settlement says what
 * becomes of it, and *end that it is over.  Of a mail that is captured the
 * request is built, as if it were to leave.
 */
extern bool rf_departure_is_barred(RfFlight *flight, const char *installation,
								   RfSettlement *settlement, RfStart *end);

/*
 * The request leaves, as rf_http_start(); nothing else calls that.  Where the
 * mode forbids it, which whoever built the request should have known, it is
 * finished and was not sent.
 */
extern bool rf_departure_start(RfFlight *flight, RfHttpEngine *engine);

#endif							/* ROLEFERRY_DEPARTURE_H */

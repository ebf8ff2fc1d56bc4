/*-------------------------------------------------------------------------
 *
 * receive.h
 *	  A webhook takes effect, once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RECEIVE_H
#define ROLEFERRY_RECEIVE_H

#include "utils/jsonb.h"

#include "inbox/intake.h"

typedef struct RfReceived
{
	int			http_status;	/* to answer the whole request with */
	bool		rejected;		/* there are no events then */
	RfIntake	intake;			/* to be freed with rf_intake_free() */
} RfReceived;

/*
 * Connected to SPI, as the tables' owner.  headers may be NULL; body_len is
 * known before the body is fetched with fetch(body_arg), once it is allowed.
 * Never raises for what a stranger sent.
 */
extern void rf_receive(const char *source, Jsonb *headers, int64 body_len,
					   RfText (*fetch) (void *arg), void *arg, RfReceived *out);

/*
 * Takes up a recorded event again, whose fate is that of its row: what events do
 * by themselves, if that failed, and with_handlers the pending ones, of one in
 * shadow all.  Did it come to a good end?
 */
extern bool rf_receive_again(const RfSource *source, RfIncoming *event, bool with_handlers);

#endif							/* ROLEFERRY_RECEIVE_H */

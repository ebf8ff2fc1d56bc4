/*-------------------------------------------------------------------------
 *
 * order.h
 *	  How far the events of an object have come: rows of roleferry.webhook_order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ORDER_H
#define ROLEFERRY_ORDER_H

#include "postgres.h"

/*
 * values: role, object, time, rank.  True: later than all that was said of the
 * object before, which is on record now.  Connected to SPI, as the owner.
 */
extern bool rf_order_advance(Datum *values);

#endif							/* ROLEFERRY_ORDER_H */

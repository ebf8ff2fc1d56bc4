/*-------------------------------------------------------------------------
 *
 * adapters.h
 *	  The adapters themselves; only the registry needs them by name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ADAPTERS_H
#define ROLEFERRY_ADAPTERS_H

#include "provider/provider.h"

extern const RfProvider rf_provider_sendgrid;
extern const RfProvider rf_provider_mailgun;
extern const RfProvider rf_provider_apollo;
extern const RfProvider rf_provider_neverbounce;
extern const RfProvider rf_provider_hunter;

#endif							/* ROLEFERRY_ADAPTERS_H */

/*-------------------------------------------------------------------------
 *
 * keyring.h
 *	  Parsed keys, kept by this process as long as they are in use.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_KEYRING_H
#define ROLEFERRY_KEYRING_H

#include "webhook/key.h"

/*
 * The key of a text, parsed now or earlier; NULL: it is none of the scheme's.
 * Valid until the next call.  Never raises.
 */
extern const RfKey *rf_keyring_get(RfScheme scheme, const char *secret, size_t len);

#endif							/* ROLEFERRY_KEYRING_H */

/*-------------------------------------------------------------------------
 *
 * key.h
 *	  A key that webhooks are checked with, parsed once.
 *
 * Parsing a public key costs as much as using it, and an HMAC's two pads are
 * hashed once: a key is kept as long as its secret is the same.  Not to be used
 * by two threads at once.  OpenSSL's error queue is left as empty as it was.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_KEY_H
#define ROLEFERRY_KEY_H

#include "webhook/signature.h"

typedef struct RfKey RfKey;

/*
 * The key of a scheme from its text: Stripe's and Mailgun's as it is, SendGrid's
 * a public key in base64, Standard Webhooks' whsec_ or whpk_ and base64.  NULL:
 * this is no such key (an empty text never is), or out of memory.
 */
extern RfKey *rf_key_make(RfScheme scheme, const char *text, size_t len);

/* Wipes it; NULL is harmless. */
extern void rf_key_free(RfKey *key);

/* Did this key make one of the signatures?  In the same time wherever they differ. */
extern bool rf_key_verifies(const RfKey *key, const RfSigned *what);

/* SHA-256 of a text, 32 bytes; false when OpenSSL has no memory. */
extern bool rf_key_digest(const RfText *parts, size_t nparts, unsigned char *digest);

#endif							/* ROLEFERRY_KEY_H */

/*-------------------------------------------------------------------------
 *
 * unsubscribe.h
 *	  The token in a mail's link for leaving a stream.
 *
 * It carries address and stream, encrypted and authenticated (AES-256-GCM), so
 * that it needs no record, works for as long as its key is kept, and tells
 * nobody an address.  The nonce is a keyed digest of what is encrypted: the
 * same always gives the same token, and two different texts never share one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_UNSUBSCRIBE_H
#define ROLEFERRY_UNSUBSCRIBE_H

#include <stdbool.h>
#include <stddef.h>

#define RF_UNSUBSCRIBE_ADDRESS_MAX	320
#define RF_UNSUBSCRIBE_STREAM_MAX	64

/* With its terminating zero: version, nonce, text and tag in base64url. */
#define RF_UNSUBSCRIBE_TOKEN_SIZE	640

typedef struct RfUnsubscribe
{
	char		address[RF_UNSUBSCRIBE_ADDRESS_MAX + 1];
	char		stream[RF_UNSUBSCRIBE_STREAM_MAX + 1];
} RfUnsubscribe;

/* False: out of memory, or too long; token is empty then. */
extern bool rf_unsubscribe_token_make(const char *secret, size_t secret_len,
									  const RfUnsubscribe *what,
									  char token[RF_UNSUBSCRIBE_TOKEN_SIZE]);

/* False: it was not made with this secret; *what is empty then. */
extern bool rf_unsubscribe_token_read(const char *secret, size_t secret_len,
									  const char *token, size_t token_len,
									  RfUnsubscribe *what);

#endif							/* ROLEFERRY_UNSUBSCRIBE_H */

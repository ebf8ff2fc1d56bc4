/*-------------------------------------------------------------------------
 *
 * signature.h
 *	  What a webhook's sender claims: which bytes it signed, when, and how.
 *
 * Reading needs no key: rf_signed_read() turns headers and raw body into the
 * message that was signed and the signatures it came with; rf_signed_in_time()
 * judges its age; key.h says whether a key made one of the signatures.  Strict
 * where the providers' own libraries disagree: what could be read in two ways
 * is malformed.
 *
 * A stranger's bytes go in here: nothing is copied but what has a fixed size.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SIGNATURE_H
#define ROLEFERRY_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/text.h"

typedef enum RfScheme
{
	RF_SCHEME_NONE,				/* unsigned: a shared secret in a header */
	RF_SCHEME_STRIPE,
	RF_SCHEME_SENDGRID,
	RF_SCHEME_MAILGUN,
	RF_SCHEME_STANDARD			/* Standard Webhooks, Svix */
} RfScheme;

#define RF_SCHEMES 5

/* The headers that one scheme or another reads. */
typedef enum RfSignHeader
{
	RF_SIGN_STRIPE,
	RF_SIGN_SENDGRID_SIGNATURE,
	RF_SIGN_SENDGRID_TIMESTAMP,
	RF_SIGN_SVIX_ID,
	RF_SIGN_SVIX_TIMESTAMP,
	RF_SIGN_SVIX_SIGNATURE,
	RF_SIGN_STANDARD_ID,
	RF_SIGN_STANDARD_TIMESTAMP,
	RF_SIGN_STANDARD_SIGNATURE,
	RF_SIGN_TOKEN,
	RF_SIGN_AUTHORIZATION
} RfSignHeader;

#define RF_SIGN_HEADERS 11

typedef struct RfSignHeaders
{
	RfText		values[RF_SIGN_HEADERS];	/* data NULL: not there */
	bool		repeated[RF_SIGN_HEADERS];
} RfSignHeaders;

typedef enum RfSignStatus
{
	RF_SIGN_OK,
	RF_SIGN_MISSING,			/* a header, or Mailgun's member, is not there */
	RF_SIGN_MALFORMED,
	RF_SIGN_TOO_MANY,			/* signatures */
	RF_SIGN_STALE,
	RF_SIGN_FUTURE,
	RF_SIGN_NO_KEY,				/* none that could be used */
	RF_SIGN_MISMATCH			/* no key made any of the signatures */
} RfSignStatus;

typedef enum RfSignKind
{
	RF_SIGN_HMAC,				/* SHA-256 */
	RF_SIGN_ECDSA,				/* P-256 with SHA-256, in DER */
	RF_SIGN_ED25519,
	RF_SIGN_SECRET				/* the secret itself */
} RfSignKind;

#define RF_SIGNATURES_MAX	16
#define RF_SIGNATURE_BYTES	72	/* the longest: ECDSA in DER */
#define RF_SIGN_PARTS_MAX	5

/* Bounds on what a stranger makes us look at. */
#define RF_SIGN_HEADER_MAX	4096
#define RF_SIGN_ID_MAX		256
#define RF_SIGN_TOKEN_MAX	256

typedef struct RfSignature
{
	RfSignKind	kind;
	size_t		len;
	unsigned char bytes[RF_SIGNATURE_BYTES];
} RfSignature;

/* Points into headers and body, which must live as long. */
typedef struct RfSigned
{
	RfScheme	scheme;
	int64_t		at_s;			/* when it was signed; -1: the scheme says
								 * nothing about that */
	RfText		id;				/* of the message, where a header has it */
	RfText		secret;			/* RF_SCHEME_NONE: what was presented */
	size_t		nparts;
	RfText		parts[RF_SIGN_PARTS_MAX];	/* signed: all of them in a row */
	size_t		nsignatures;
	RfSignature signatures[RF_SIGNATURES_MAX];
	char		own[20 + RF_SIGN_TOKEN_MAX];	/* Mailgun's parts */
} RfSigned;

extern bool rf_scheme_parse(const char *name, size_t len, RfScheme *scheme);
extern const char *rf_scheme_text(RfScheme scheme);

/* The age that is allowed where a source does not say: how long they retry. */
extern int64_t rf_scheme_tolerance_s(RfScheme scheme);

/* Notes a header if any scheme reads it; the value is not copied. */
extern void rf_sign_headers_add(RfSignHeaders *headers, RfText name, RfText value);

extern RfSignStatus rf_signed_read(RfScheme scheme, const RfSignHeaders *headers,
								   RfText body, RfSigned *what);

/*
 * RF_SIGN_OK, RF_SIGN_STALE or RF_SIGN_FUTURE.  A clock ahead of ours is
 * forgiven as much as age, but never more than five minutes.
 */
extern RfSignStatus rf_signed_in_time(const RfSigned *what, int64_t now_us,
									  int64_t tolerance_us);

/* For the operator: "the signature is too old". */
extern const char *rf_sign_status_text(RfSignStatus status);

#endif							/* ROLEFERRY_SIGNATURE_H */

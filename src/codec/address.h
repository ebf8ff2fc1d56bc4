/*-------------------------------------------------------------------------
 *
 * address.h
 *	  E-mail addresses: one field, one address.
 *
 * Accepts "local@domain" and the named form: Name <local@domain>, with the
 * name plain or in double quotes.  Spans point into the input (a quoted name
 * still holds its backslashes: rf_address_name() unescapes).
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ADDRESS_H
#define ROLEFERRY_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum RfAddressStatus
{
	RF_ADDRESS_OK,
	RF_ADDRESS_EMPTY,
	RF_ADDRESS_CONTROL,			/* control character, CR and LF included */
	RF_ADDRESS_TWO,				/* more than one address in the field */
	RF_ADDRESS_TOO_LONG,		/* local > 64, domain > 255 or all > 320 bytes */
	RF_ADDRESS_NON_ASCII,		/* in the address itself; names may be UTF-8 */
	RF_ADDRESS_SYNTAX			/* anything else */
} RfAddressStatus;

typedef struct RfAddress
{
	const char *name;			/* span as written, without quotes; or empty */
	size_t		name_len;
	bool		name_quoted;	/* name may hold backslash escapes */
	const char *email;			/* local@domain */
	size_t		email_len;
	size_t		local_len;		/* email[local_len] is the '@' */
} RfAddress;

extern RfAddressStatus rf_address_parse(const char *text, size_t len,
										RfAddress *out);

/* Unescaped display name into buf (NUL-terminated, cut to fit); its length. */
extern size_t rf_address_name(const RfAddress *address, char *buf, size_t size);

/* The fragment for an error message: "is not one e-mail address", ... */
extern const char *rf_address_status_text(RfAddressStatus status);

/* Same mailbox?  Domain and local part compared without ASCII case. */
extern bool rf_address_equal(const RfAddress *a, const RfAddress *b);

#endif							/* ROLEFERRY_ADDRESS_H */

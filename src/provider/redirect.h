/*-------------------------------------------------------------------------
 *
 * redirect.h
 *	  A mail to somebody else than those it is for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_REDIRECT_H
#define ROLEFERRY_REDIRECT_H

#include "provider/email.h"

/* Who it was for, as far as that goes into a line of a mail. */
#define RF_ORIGINAL_TO_HEADER		"X-Roleferry-Original-To"
#define RF_ORIGINAL_TO_MAX_BYTES	900

/*
 * The mail, which was checked, goes to this address alone; a header says whom
 * it was for.  headers: room for one more than the mail has; original: for the
 * header's text, to be freed when the mail has been built.  False: out of
 * memory, and the mail is not to be sent.
 */
extern bool rf_email_redirect(RfEmail *email, const char *address,
							  RfPair *headers, RfBuffer *original);

#endif							/* ROLEFERRY_REDIRECT_H */

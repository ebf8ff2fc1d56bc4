/*-------------------------------------------------------------------------
 *
 * mailgun_fields.h
 *	  The form fields of a Mailgun message, and their size.
 *
 * Used by the adapter in mailgun.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_MAILGUN_FIELDS_H
#define ROLEFERRY_MAILGUN_FIELDS_H

#include "provider/provider.h"

#define RF_MAILGUN_MAX_MAIL_BYTES	25000000
#define RF_MAILGUN_MAX_EXTRA_BYTES	16384	/* of all o:, h: and v: fields */

/* False: out of memory or a mail that was not checked. */
extern bool rf_mailgun_add_fields(const RfAccountConfig *account,
								  const RfEmail *email, RfRequest *request);

/*
 * Names and values of all fields.  A mail whose o:, h: and v: fields are more
 * than Mailgun takes counts as over the limit, whatever its bodies are: it is
 * the only way to say so before it is sent.
 */
extern uint64_t rf_mailgun_mail_size(const RfEmail *email);

#endif							/* ROLEFERRY_MAILGUN_FIELDS_H */

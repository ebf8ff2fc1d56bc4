/*-------------------------------------------------------------------------
 *
 * sendgrid_body.h
 *	  The JSON body of a SendGrid mail, and its size.
 *
 * Used by the adapter in sendgrid.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SENDGRID_BODY_H
#define ROLEFERRY_SENDGRID_BODY_H

#include "provider/provider.h"

/* False: out of memory or a mail that was not checked. */
extern bool rf_sendgrid_build_body(const RfAccountConfig *account,
								   const RfEmail *email, RfRequest *request);

/* Never less than what rf_sendgrid_build_body() makes, and little more. */
extern uint64_t rf_sendgrid_mail_size(const RfEmail *email);

/* Never less than that, found without looking at the text. */
extern uint64_t rf_sendgrid_mail_size_at_most(const RfEmail *email);

#endif							/* ROLEFERRY_SENDGRID_BODY_H */

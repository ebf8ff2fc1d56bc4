/*-------------------------------------------------------------------------
 *
 * email_parts.h
 *	  Checks of a mail's maps and lists: custom_args, headers, tags.
 *
 * Parts of rf_email_check(); nobody else calls them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EMAIL_PARTS_H
#define ROLEFERRY_EMAIL_PARTS_H

#include "provider/email.h"

extern bool rf_email_check_custom_args(const RfEmail *email,
									   RfFieldError *error);
extern bool rf_email_check_headers(const RfEmail *email, RfFieldError *error);
extern bool rf_email_check_tags(const RfEmail *email, RfFieldError *error);
extern bool rf_email_check_unsubscribe(const RfEmail *email, RfFieldError *error);
extern bool rf_email_check_stream(const RfEmail *email, RfFieldError *error);

#endif							/* ROLEFERRY_EMAIL_PARTS_H */

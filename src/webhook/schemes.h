/*-------------------------------------------------------------------------
 *
 * schemes.h
 *	  How each provider writes its signature.
 *
 * Private to signature.c, which has set what to nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SCHEMES_H
#define ROLEFERRY_SCHEMES_H

#include "webhook/signature.h"

extern RfSignStatus rf_scheme_read_none(const RfSignHeaders *headers, RfSigned *what);
extern RfSignStatus rf_scheme_read_stripe(const RfSignHeaders *headers, RfText body,
										  RfSigned *what);
extern RfSignStatus rf_scheme_read_sendgrid(const RfSignHeaders *headers, RfText body,
											RfSigned *what);
extern RfSignStatus rf_scheme_read_mailgun(RfText body, RfSigned *what);
extern RfSignStatus rf_scheme_read_standard(const RfSignHeaders *headers, RfText body,
											RfSigned *what);

#endif							/* ROLEFERRY_SCHEMES_H */

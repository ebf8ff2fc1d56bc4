/*-------------------------------------------------------------------------
 *
 * unsubscribe.h
 *	  The link in a mail for leaving its stream, and its keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_OUTBOX_UNSUBSCRIBE_H
#define ROLEFERRY_OUTBOX_UNSUBSCRIBE_H

#include "core/unsubscribe.h"
#include "provider/email.h"

#define RF_UNSUBSCRIBE_WHY_MAX	400

/*
 * The URL for this mail's recipient and stream, palloc'd.  NULL: there is no
 * URL or no key to be had, and *why says so.  Needs no transaction.
 */
extern char *rf_unsubscribe_url_of(const RfEmail *email, char why[RF_UNSUBSCRIBE_WHY_MAX]);

/*
 * Was the token made with one of our keys?  Raises 55000 where none of them
 * can be read: nobody can know, then.
 */
extern bool rf_unsubscribe_verify(const char *token, size_t len, RfUnsubscribe *what);

#endif							/* ROLEFERRY_OUTBOX_UNSUBSCRIBE_H */

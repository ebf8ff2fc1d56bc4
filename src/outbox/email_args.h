/*-------------------------------------------------------------------------
 *
 * email_args.h
 *	  A send_email job's args (jsonb) as the e-mail adapters understand.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EMAIL_ARGS_H
#define ROLEFERRY_EMAIL_ARGS_H

#include "nodes/pg_list.h"
#include "provider/email.h"
#include "utils/jsonb.h"

/*
 * Fills *email with text in UTF-8, palloc'd or pointing into args, and
 * *accounts with the names (char *) of the member "accounts", NIL without.
 * False: the args are not of a mail's shape, see *error.  May raise where
 * this database's encoding cannot be converted; needs a transaction unless
 * the encoding is UTF-8 or SQL_ASCII.
 */
extern bool rf_email_from_args(Jsonb *args, RfEmail *email, List **accounts,
							   RfFieldError *error);

/*
 * A text member as it stands in args, in this database's encoding, palloc'd;
 * NULL when there is none.
 */
extern char *rf_email_args_text(Jsonb *args, const char *name);

/* Does reading args need a transaction in this database? */
extern bool rf_email_args_need_transaction(void);

#endif							/* ROLEFERRY_EMAIL_ARGS_H */

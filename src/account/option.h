/*-------------------------------------------------------------------------
 *
 * option.h
 *	  Which options an account may have, and what values they may take.
 *
 * The questions here never raise, so that an account list can be built from
 * servers that were made by another version of roleferry or without the
 * validator.  The validator, which raises, is in validator.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ACCOUNT_OPTION_H
#define ROLEFERRY_ACCOUNT_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "provider/provider.h"

/* Names of all options there are; NULL past the end. */
extern const char *rf_account_option_at(size_t index);

/* Does this provider's account take an option of that name? */
extern bool rf_account_option_is_known(const RfProvider *provider,
									   const char *name);

/* May it be set by those only who may read the server's files? */
extern bool rf_account_option_is_guarded(const char *name);

/*
 * What is wrong with the value of a known option: NULL, or a fragment that
 * follows the option's name, such as: must be "us" or "eu".  Never holds the
 * value.  Whether a plain http base URL may be used is not asked here: the
 * HTTP engine decides that at each transfer.
 */
extern const char *rf_account_option_problem(const char *name,
											 const char *value);

#endif							/* ROLEFERRY_ACCOUNT_OPTION_H */

/*-------------------------------------------------------------------------
 *
 * field_error.h
 *	  Saying what is wrong with a field, and the checks all fields share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_FIELD_ERROR_H
#define ROLEFERRY_FIELD_ERROR_H

#include "provider/email.h"

/* Fills in *error and returns false, so that a check can return it. */
extern bool rf_field_error_set(RfFieldError *error, const char *field,
							   const char *problem, const char *hint);

/* The same, with a name after the problem where it is fit to be shown. */
extern bool rf_field_error_name(RfFieldError *error, const char *field,
								const char *problem, RfText name,
								const char *hint);

/* Valid UTF-8, no NUL; no other control character either unless allowed. */
extern bool rf_field_check_text(RfText text, bool allow_control,
								const char *field, RfFieldError *error);

/* Nothing but white space? */
extern bool rf_field_is_blank(RfText text);

/* "cc[2]": counted from one, as SQL arrays are. */
extern void rf_field_index(char field[RF_FIELD_MAX], const char *name,
						   size_t index);

#endif							/* ROLEFERRY_FIELD_ERROR_H */

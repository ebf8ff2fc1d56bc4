/*-------------------------------------------------------------------------
 *
 * field_error.c
 *	  Saying what is wrong with a field.
 *
 * Names that go into a problem are shown only as far as they are harmless:
 * what comes from the caller is cut, and an address never gets here because
 * names that hold an '@' are not shown at all.
 *
 * IDENTIFICATION
 *	  src/provider/field_error.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "provider/field_error.h"

/* Of a name in a message: longer ones are cut. */
#define SHOWN_NAME_MAX 60

bool
rf_field_error_set(RfFieldError *error, const char *field,
				   const char *problem, const char *hint)
{
	snprintf(error->field, sizeof(error->field), "%s", field);
	snprintf(error->problem, sizeof(error->problem), "%s", problem);
	snprintf(error->hint, sizeof(error->hint), "%s", hint);
	return false;
}

bool
rf_field_error_name(RfFieldError *error, const char *field,
					const char *problem, RfText name, const char *hint)
{
	size_t		len = name.len < SHOWN_NAME_MAX ? name.len : SHOWN_NAME_MAX;

	rf_field_error_set(error, field, problem, hint);
	if (len == 0 || !rf_text_is_utf8(name.data, name.len) ||
		rf_text_has_control(name.data, name.len) ||
		memchr(name.data, '@', name.len) != NULL)
		return false;
	while (len > 0 && !rf_text_is_utf8(name.data, len))
		len--;					/* not in the middle of a character */
	snprintf(error->problem, sizeof(error->problem), "%s \"%.*s\"", problem,
			 (int) len, name.data);
	return false;
}

bool
rf_field_check_text(RfText text, bool allow_control, const char *field,
					RfFieldError *error)
{
	if (text.len == 0)
		return true;
	if (!rf_text_is_utf8(text.data, text.len))
		return rf_field_error_set(error, field, "is not valid UTF-8", "");
	if (memchr(text.data, '\0', text.len) != NULL)
		return rf_field_error_set(error, field, "holds a NUL byte", "");
	if (!allow_control && rf_text_has_control(text.data, text.len))
		return rf_field_error_set(error, field, "holds a control character",
								  "Line breaks and tabs are control characters.");
	return true;
}

bool
rf_field_is_blank(RfText text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.data[i] != ' ' && (text.data[i] < '\t' || text.data[i] > '\r'))
			return false;
	}
	return true;
}

void
rf_field_index(char field[RF_FIELD_MAX], const char *name, size_t index)
{
	snprintf(field, RF_FIELD_MAX, "%s[%zu]", name, index + 1);
}

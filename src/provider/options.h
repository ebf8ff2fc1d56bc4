/*-------------------------------------------------------------------------
 *
 * options.h
 *	  provider_options: what a mail asks of one provider only.
 *
 * A JSON object whose members are provider names; each of these holds an
 * object with options of that adapter.  What an adapter takes is a closed
 * table: an option that is not in it is refused, so that nobody overrides a
 * recipient, a body or a key through it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_OPTIONS_H
#define ROLEFERRY_OPTIONS_H

#include "provider/json.h"
#include <stdbool.h>

#include "provider/email.h"

#define RF_PROVIDER_OPTIONS_MAX_BYTES 16384

typedef enum RfOptionKind
{
	RF_OPTION_FLAG,				/* true, false, "yes" or "no" */
	RF_OPTION_TEXT,				/* a string without control characters */
	RF_OPTION_INTEGER,
	RF_OPTION_OBJECT			/* handed on as it is */
} RfOptionKind;

/* One row of an adapter's table; a row without a name ends it. */
typedef struct RfOption
{
	const char *name;
	RfOptionKind kind;
} RfOption;

/* NULL: not in the table. */
extern const RfOption *rf_option_find(const RfOption *table, const char *name);

extern bool rf_options_check(RfText options, RfFieldError *error);

/*
 * A provider's member; a new reference, an empty object when there is none.
 * NULL: out of memory or never checked.
 */
extern json_t *rf_options_load(RfText options, const char *provider);

#endif							/* ROLEFERRY_OPTIONS_H */

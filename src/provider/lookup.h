/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  What the answers of lookups have in common.
 *
 * Lookups are calls that ask something: people, verdicts.  Most change nothing
 * and may be repeated; some cost credits, and are *effectful*: an answer that
 * got lost leaves open whether they were paid.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_LOOKUP_H
#define ROLEFERRY_LOOKUP_H

#include "provider/json.h"
#include <stdbool.h>
#include <stdint.h>

#include "codec/request.h"
#include "core/outcome.h"
#include "provider/provider.h"

/*
 * The body as JSON, or NULL; a new reference.  A whole number past 64 bits
 * becomes a real one rather than losing the rest of the answer.
 */
extern json_t *rf_lookup_json(const RfResponse *response);

/* As rf_answer_common(); what changes nothing is transient, never ambiguous. */
extern bool rf_lookup_common(const RfResponse *response, int64_t now_s,
							 bool effectful, RfOutcome *outcome);

/* 2xx, and not the provider's answer: perhaps paid, or only in vain. */
extern void rf_lookup_malformed(const RfResponse *response, bool effectful,
								RfOutcome *outcome);

/* Nothing was found; the answer is good. */
extern void rf_lookup_miss(int status, const char *reason, RfOutcome *outcome);

/*
 * A member as a string of its own, or NULL: not there, no string, empty, or
 * with a NUL in it.  *failed is set when memory is short, otherwise left.
 */
extern char *rf_lookup_text(json_t *object, const char *name, bool *failed);

/* The same for numbers and strings of digits: a decimal whole number. */
extern char *rf_lookup_number(json_t *object, const char *name, bool *failed);

/* A whole number of at least 0; anything else is -1. */
extern int64_t rf_lookup_count(json_t *object, const char *name);

/*
 * Of a lookup's answer.  A hundred people of Apollo's old search are 1.4 MB, a
 * thousand verdicts with all that belongs to them nearly one; what was paid
 * for must not be cut.
 */
#define RF_LOOKUP_ANSWER_BYTES	(8 * 1024 * 1024)

/*
 * scheme://host of the account plus path, or false.  An answer of
 * RF_LOOKUP_ANSWER_BYTES is asked for.
 */
extern bool rf_lookup_set_url(const RfProvider *provider,
							  const RfAccountConfig *account, const char *path,
							  RfRequest *request);

/* Hands the buffer's text over to the request as a JSON body. */
extern bool rf_lookup_set_json(RfRequest *request, RfBuffer *body);

#endif							/* ROLEFERRY_LOOKUP_H */

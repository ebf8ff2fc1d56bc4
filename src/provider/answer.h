/*-------------------------------------------------------------------------
 *
 * answer.h
 *	  What the answers of mail providers have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ANSWER_H
#define ROLEFERRY_ANSWER_H

#include "provider/json.h"
#include <stdbool.h>
#include <stdint.h>

#include "codec/request.h"
#include "core/outcome.h"

/* The body as JSON, or NULL; a new reference. */
extern json_t *rf_answer_json(const RfResponse *response);

/*
 * Outcomes that do not depend on the provider: anything but 2xx and 4xx, and
 * of 4xx 404, 405 (a wrong path or host), 408 and 429.  False: the adapter has to look.
 */
extern bool rf_answer_common(const RfResponse *response, int64_t now_s,
							 RfOutcome *outcome);

/* For the classes that are about the account, not about this mail. */
extern void rf_answer_init_wide(RfOutcome *outcome, RfOutcomeClass class,
								int http_status);

/* The reason: the provider's message (and field), else its plain text, else the status. */
extern void rf_answer_set_reason(RfOutcome *outcome, const RfResponse *response,
								 const char *message, const char *field);

/* Printable ASCII that fits, or it is not taken: a cut id would join nothing. */
extern void rf_answer_set_message_id(RfOutcome *outcome, const char *raw,
									 const char *normalised,
									 size_t normalised_len);

#endif							/* ROLEFERRY_ANSWER_H */

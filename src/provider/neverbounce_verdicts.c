/*-------------------------------------------------------------------------
 *
 * neverbounce_verdicts.c
 *	  Adapter for NeverBounce: the verdicts.
 *
 * Only four words are verdicts; anything else, a number too, is unknown, and
 * an answer to a single check without a word is none at all.
 *
 * IDENTIFICATION
 *	  src/provider/neverbounce_verdicts.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "provider/lookup.h"

#include "provider/neverbounce.h"

static bool read_rows(json_t *list, RfVerifyPage *page);
static bool read_row(json_t *row, RfVerification *verification);
static bool read_verdict(json_t *object, RfVerification *verification);
static bool read_flags(json_t *list, RfVerification *verification);
static RfVerdict verdict_of(const char *word);

void
rf_neverbounce_read_results(const RfResponse *response, int64_t now_s,
							RfVerifyPage *page, RfOutcome *outcome)
{
	json_t	   *root = rf_lookup_json(response);
	json_t	   *list = json_object_get(root, "results");

	memset(page, 0, sizeof(*page));
	page->total_rows = -1;
	page->total_pages = -1;
	if (rf_neverbounce_is_success(response, root, now_s, false, outcome))
	{
		if (!json_is_array(list) || !read_rows(list, page))
		{
			rf_verify_page_free(page);
			page->total_rows = -1;
			page->total_pages = -1;
			rf_lookup_malformed(response, false, outcome);
		}
		else
		{
			page->total_rows = rf_lookup_count(root, "total_results");
			page->total_pages = rf_lookup_count(root, "total_pages");
		}
	}
	json_decref(root);
}

void
rf_neverbounce_read_check(const RfResponse *response, int64_t now_s,
						  RfText email, RfVerification *result,
						  RfOutcome *outcome)
{
	json_t	   *root = rf_lookup_json(response);

	memset(result, 0, sizeof(*result));
	if (rf_neverbounce_is_success(response, root, now_s, true, outcome))
	{
		result->email = strndup(email.data, email.len);
		if (result->email == NULL || !read_verdict(root, result) ||
			result->raw == NULL)
		{
			rf_verification_free(result);
			rf_lookup_malformed(response, true, outcome);
		}
	}
	json_decref(root);
}

/* False: out of memory. */
static bool
read_rows(json_t *list, RfVerifyPage *page)
{
	size_t		count = json_array_size(list);

	page->rows = calloc(count > 0 ? count : 1, sizeof(RfVerification));
	if (page->rows == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
	{
		RfVerification *verification = &page->rows[page->nrows];

		if (!read_row(json_array_get(list, i), verification))
		{
			rf_verification_free(verification);
			return false;
		}
		if (verification->email == NULL)
			rf_verification_free(verification);
		else
			page->nrows++;
	}
	return true;
}

static bool
read_row(json_t *row, RfVerification *verification)
{
	json_t	   *object = json_object_get(row, "verification");
	bool		failed = false;

	verification->email = rf_lookup_text(json_object_get(row, "data"), "email", &failed);
	if (verification->email == NULL)
		verification->email = rf_lookup_text(json_object_get(object, "address_info"),
											 "original_email", &failed);
	return !failed && read_verdict(object, verification);
}

static bool
read_verdict(json_t *object, RfVerification *verification)
{
	bool		failed = false;

	verification->raw = rf_lookup_text(object, "result", &failed);
	verification->verdict = verdict_of(verification->raw);
	verification->suggestion = rf_lookup_text(object, "suggested_correction", &failed);
	return !failed && read_flags(json_object_get(object, "flags"), verification);
}

static bool
read_flags(json_t *list, RfVerification *verification)
{
	size_t		count = json_array_size(list);

	if (count == 0)
		return true;
	verification->flags = calloc(count, sizeof(char *));
	if (verification->flags == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
	{
		json_t	   *flag = json_array_get(list, i);
		const char *text = json_string_value(flag);
		char	   *copy;

		if (text == NULL || text[0] == '\0' || strlen(text) != json_string_length(flag))
			continue;
		copy = strdup(text);
		if (copy == NULL)
			return false;
		verification->flags[verification->nflags++] = copy;
	}
	return true;
}

static RfVerdict
verdict_of(const char *word)
{
	if (word == NULL)
		return RF_VERDICT_UNKNOWN;
	if (strcmp(word, "valid") == 0)
		return RF_VERDICT_VALID;
	if (strcmp(word, "invalid") == 0 || strcmp(word, "disposable") == 0)
		return RF_VERDICT_INVALID;
	if (strcmp(word, "catchall") == 0)
		return RF_VERDICT_RISKY;
	return RF_VERDICT_UNKNOWN;
}

/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Which addresses are verified, and how many at once.
 *
 * IDENTIFICATION
 *	  src/provider/verify.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "codec/json_text.h"
#include "provider/verify.h"

/* What stands around the addresses in a job's request. */
#define REQUEST_BYTES	4096
#define ITEM_BYTES		(sizeof("{\"email\":\"\"},") - 1)

static RfText trim(RfText text);

RfAddressStatus
rf_verify_address(RfText text, char folded[RF_VERIFY_ADDRESS_MAX + 1])
{
	RfText		bare = trim(text);
	RfAddress	address;
	RfAddressStatus status = rf_address_parse(bare.data, bare.len, &address);

	folded[0] = '\0';
	if (status != RF_ADDRESS_OK)
		return status;
	/* A name beside the address may be meant well, but is not asked about. */
	if (address.email_len != bare.len || bare.len > RF_VERIFY_ADDRESS_MAX)
		return RF_ADDRESS_SYNTAX;
	for (size_t i = 0; i < bare.len; i++)
	{
		char		c = bare.data[i];

		folded[i] = c >= 'A' && c <= 'Z' ? (char) (c + 'a' - 'A') : c;
	}
	folded[bare.len] = '\0';
	return RF_ADDRESS_OK;
}

size_t
rf_verify_chunk(const RfVerifyCalls *calls, const RfText *emails,
				size_t count)
{
	size_t		bytes = REQUEST_BYTES;
	size_t		taken = 0;

	while (taken < count && taken < calls->max_items)
	{
		bytes += rf_verify_item_size(emails[taken]);
		if (bytes > calls->max_bytes && taken > 0)
			break;
		taken++;
	}
	return taken;
}

size_t
rf_verify_item_size(RfText email)
{
	return ITEM_BYTES + rf_json_text_len(email.data, email.len);
}

const char *
rf_verdict_text(RfVerdict verdict)
{
	switch (verdict)
	{
		case RF_VERDICT_UNKNOWN:
			return "unknown";
		case RF_VERDICT_VALID:
			return "valid";
		case RF_VERDICT_INVALID:
			return "invalid";
		case RF_VERDICT_RISKY:
			return "risky";
	}
	return "unknown";			/* keep compiler quiet */
}

void
rf_verification_free(RfVerification *verification)
{
	free(verification->email);
	free(verification->raw);
	for (size_t i = 0; i < verification->nflags; i++)
		free(verification->flags[i]);
	free(verification->flags);
	free(verification->suggestion);
	memset(verification, 0, sizeof(*verification));
}

void
rf_verify_page_free(RfVerifyPage *page)
{
	for (size_t i = 0; i < page->nrows; i++)
		rf_verification_free(&page->rows[i]);
	free(page->rows);
	memset(page, 0, sizeof(*page));
}

static RfText
trim(RfText text)
{
	while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
	{
		text.data++;
		text.len--;
	}
	while (text.len > 0 && (text.data[text.len - 1] == ' ' ||
							text.data[text.len - 1] == '\t'))
		text.len--;
	return text;
}

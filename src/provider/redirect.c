/*-------------------------------------------------------------------------
 *
 * redirect.c
 *	  A mail to somebody else than those it is for.
 *
 * IDENTIFICATION
 *	  src/provider/redirect.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "codec/address.h"
#include "provider/redirect.h"

/* ", and 1000 more" */
#define MORE_MAX_BYTES 40

static void add_recipient(RfBuffer *out, RfText text, size_t *left_out);
static void add_list(RfBuffer *out, const RfText *list, size_t count, size_t *left_out);

bool
rf_email_redirect(RfEmail *email, const char *address, RfPair *headers,
				  RfBuffer *original)
{
	size_t		left_out = 0;
	RfPair	   *header = &headers[email->nheaders];

	add_recipient(original, email->to_addr, &left_out);
	add_list(original, email->cc, email->ncc, &left_out);
	add_list(original, email->bcc, email->nbcc, &left_out);
	if (left_out > 0)
	{
		char		more[MORE_MAX_BYTES];

		snprintf(more, sizeof(more), ", and %zu more", left_out);
		rf_buffer_add_text(original, more);
	}
	if (original->failed)
		return false;

	if (email->nheaders > 0)
		memcpy(headers, email->headers, email->nheaders * sizeof(RfPair));
	header->name.data = RF_ORIGINAL_TO_HEADER;
	header->name.len = strlen(RF_ORIGINAL_TO_HEADER);
	header->value.data = original->data;
	header->value.len = original->len;
	email->headers = headers;
	email->nheaders++;
	email->to_addr.data = address;
	email->to_addr.len = strlen(address);
	email->ncc = 0;
	email->nbcc = 0;
	return true;
}

/* Without the name, which need not be ASCII. */
static void
add_recipient(RfBuffer *out, RfText text, size_t *left_out)
{
	RfAddress	address;

	if (rf_address_parse(text.data, text.len, &address) != RF_ADDRESS_OK ||
		out->len + address.email_len + MORE_MAX_BYTES > RF_ORIGINAL_TO_MAX_BYTES)
	{
		(*left_out)++;
		return;
	}
	if (out->len > 0)
		rf_buffer_add_text(out, ", ");
	rf_buffer_add(out, address.email, address.email_len);
}

static void
add_list(RfBuffer *out, const RfText *list, size_t count, size_t *left_out)
{
	for (size_t i = 0; i < count; i++)
		add_recipient(out, list[i], left_out);
}

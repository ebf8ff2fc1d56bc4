/*-------------------------------------------------------------------------
 *
 * payload.c
 *	  Headers and form of a transfer, as libcurl wants them.
 *
 * Secrets: HTTP Basic is a header line of ours rather than an option, because
 * of options libcurl keeps copies that it does not wipe.
 *
 * IDENTIFICATION
 *	  src/http/payload.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "http/shortage.h"
#include "http/state.h"

static bool add_header(RfTransferState *state, const char *line);
static bool add_basic(RfTransferState *state, const char *user,
					  const char *password);
static void encode_base64(const unsigned char *data, size_t len, char *out);

const char *
rf_payload_make_headers(RfTransferState *state)
{
	const RfRequest *request = &state->transfer->request;

	for (size_t i = 0; i < request->nheaders; i++)
	{
		/* The last line of defence: libcurl would send it as it is. */
		if (strpbrk(request->headers[i], "\r\n") != NULL)
			return "a request header has a line break in it";
		if (!add_header(state, request->headers[i]))
			return rf_shortage_of_memory;
	}
	if (request->basic_user != NULL &&
		!add_basic(state, request->basic_user,
				   request->basic_password != NULL ? request->basic_password : ""))
		return rf_shortage_of_memory;
	/* Without this libcurl would wait for "100 Continue" with large bodies. */
	return add_header(state, "Expect:") ? NULL : rf_shortage_of_memory;
}

bool
rf_payload_make_form(RfTransferState *state)
{
	const RfRequest *request = &state->transfer->request;

	state->mime = curl_mime_init(state->easy);
	if (state->mime == NULL)
		return false;
	for (size_t i = 0; i < request->nfields; i++)
	{
		const RfFormField *field = &request->fields[i];
		curl_mimepart *part = curl_mime_addpart(state->mime);

		if (part == NULL ||
			curl_mime_name(part, field->name) != CURLE_OK ||
			curl_mime_data(part, field->value, field->value_len) != CURLE_OK)
			return false;
	}
	return true;
}

/* Both, wiped. */
void
rf_payload_free(RfTransferState *state)
{
	curl_mime_free(state->mime);
	state->mime = NULL;
	for (struct curl_slist *item = state->headers; item != NULL; item = item->next)
		explicit_bzero(item->data, strlen(item->data));
	curl_slist_free_all(state->headers);
	state->headers = NULL;
}

static bool
add_header(RfTransferState *state, const char *line)
{
	struct curl_slist *longer = curl_slist_append(state->headers, line);

	if (longer == NULL)
		return false;
	state->headers = longer;
	return true;
}

static bool
add_basic(RfTransferState *state, const char *user, const char *password)
{
	static const char name[] = "Authorization: Basic ";
	size_t		pair_len = strlen(user) + 1 + strlen(password);
	size_t		line_size = sizeof(name) + (pair_len + 2) / 3 * 4;
	char	   *pair = malloc(pair_len + 1);
	char	   *line = malloc(line_size);
	bool		added = false;

	if (pair != NULL && line != NULL)
	{
		strcpy(pair, user);
		strcat(pair, ":");
		strcat(pair, password);
		strcpy(line, name);
		encode_base64((const unsigned char *) pair, pair_len,
					  line + sizeof(name) - 1);
		added = add_header(state, line);
		explicit_bzero(pair, pair_len);
		explicit_bzero(line, line_size);
	}
	free(pair);
	free(line);
	return added;
}

/* With padding and a NUL. */
static void
encode_base64(const unsigned char *data, size_t len, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3)
	{
		size_t		left = len - i;
		uint32_t	bits = (uint32_t) data[i] << 16;

		if (left > 1)
			bits |= (uint32_t) data[i + 1] << 8;
		if (left > 2)
			bits |= data[i + 2];
		*out++ = digits[bits >> 18];
		*out++ = digits[bits >> 12 & 63];
		*out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[bits & 63] : '=';
	}
	*out = '\0';
}

/* UTF-8, JSON strings and excerpts: the first text is a secret, the rest a body. */
#include <jansson.h>

#include "codec/json_text.h"
#include "fuzz.h"

/* Written as jansson writes it, or refused where jansson does. */
static void
check_json(RfText text)
{
	json_t	   *value = json_stringn(text.data != NULL ? text.data : "", text.len);
	RfBuffer	buffer = {0};
	char	   *printed;

	MUST((value != NULL) == rf_text_is_utf8(text.data, text.len));
	rf_json_text_add(&buffer, text.data, text.len);
	MUST(buffer.failed == (value == NULL));
	if (value == NULL)
	{
		rf_buffer_free(&buffer);
		return;
	}
	printed = json_dumps(value, JSON_ENCODE_ANY);
	MUST(strcmp(printed, buffer.data) == 0);
	MUST(buffer.len == rf_json_text_len(text.data, text.len) + 2);
	free(printed);
	rf_buffer_free(&buffer);
	json_decref(value);
}

/* Bytes are the body's or stars, and the secret is not among them. */
static void
check_excerpt(RfText body, RfText secret, size_t max)
{
	char	   *out = malloc(max + 1);
	size_t		len;
	size_t		shown;

	MUST(out != NULL);
	len = rf_text_excerpt(body.data, body.len, secret.data, secret.len, out, max);
	MUST(len == (body.len < max ? body.len : max));
	for (size_t i = 0; i < len; i++)
		MUST(out[i] == body.data[i] || out[i] == '*');
	if (secret.len >= 8 && memchr(secret.data, '*', secret.len) == NULL && len > 0)
	{
		MUST(memmem(out, len, secret.data, secret.len) == NULL);

		/* Nor its larger part at the end, when the body shows it was it. */
		shown = secret.len - 1;
		if (len > shown && len < body.len)
			MUST(memcmp(out + len - shown, secret.data, shown) != 0 ||
				 body.data[len] != secret.data[shown]);
	}
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = make_input(data, size);
	size_t		max = take_byte(&input);
	RfText		secret = take_text(&input);
	RfText		body;

	body.data = input.data;
	body.len = input.len;
	check_json(body);
	(void) rf_text_is_header_name(secret.data, secret.len);
	check_excerpt(body, secret, max);
	return 0;
}

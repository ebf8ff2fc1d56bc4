/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Small questions about bytes, and the growable buffer of the pure code.
 *
 * Everything here is linear in its input, except rf_text_excerpt(), whose
 * cost is bounded by the excerpt times the secret.  The buffer may hold
 * secrets: when it grows, the old memory is wiped before it is given back.
 *
 * IDENTIFICATION
 *	  src/codec/text.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"

/* A shorter secret would blank out ordinary words. */
#define MIN_SECRET_LEN		8

/* A secret's beginning at the very end of a body: this much gives it away. */
#define MIN_CUT_SECRET_LEN	4

static char lower_ascii(char c);
static bool grow_buffer(RfBuffer *buffer, size_t needed);
static size_t ascii_len(const char *data, size_t len);
static size_t utf8_sequence_len(const unsigned char *data, size_t len);
static void wipe_span(char *out, size_t out_len, size_t from, size_t to);
static size_t find_cut_secret(const char *body, size_t len, const char *secret,
							  size_t secret_len);

RfText
rf_text_of(const char *text)
{
	RfText		result = {text, strlen(text)};

	return result;
}

void
rf_buffer_reserve(RfBuffer *buffer, size_t bytes)
{
	if (!buffer->failed && buffer->capacity < bytes && !grow_buffer(buffer, bytes))
		buffer->failed = true;
}

void
rf_buffer_add(RfBuffer *buffer, const char *data, size_t len)
{
	size_t		needed;

	if (buffer->failed)
		return;
	if (__builtin_add_overflow(buffer->len, len, &needed) ||
		__builtin_add_overflow(needed, 1, &needed) ||
		(needed > buffer->capacity && !grow_buffer(buffer, needed)))
	{
		buffer->failed = true;
		return;
	}
	if (len > 0)
		memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	buffer->data[buffer->len] = '\0';
}

void
rf_buffer_add_text(RfBuffer *buffer, const char *text)
{
	rf_buffer_add(buffer, text, strlen(text));
}

void
rf_buffer_free(RfBuffer *buffer)
{
	if (buffer->data != NULL)
	{
		explicit_bzero(buffer->data, buffer->capacity);
		free(buffer->data);
	}
	memset(buffer, 0, sizeof(*buffer));
}

bool
rf_text_is_utf8(const char *data, size_t len)
{
	const unsigned char *bytes = (const unsigned char *) data;
	size_t		at = 0;

	while (at < len)
	{
		size_t		step = ascii_len(data + at, len - at);

		if (step == 0)
			step = utf8_sequence_len(bytes + at, len - at);
		if (step == 0)
			return false;
		at += step;
	}
	return true;
}

bool
rf_text_has_control(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) data[i];

		if (c < 0x20 || c == 0x7f)
			return true;
	}
	return false;
}

bool
rf_text_is_header_name(const char *data, size_t len)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < len; i++)
	{
		char		c = data[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9'))
			continue;
		if (c == '\0' || strchr(marks, c) == NULL)
			return false;
	}
	return len > 0;
}

bool
rf_text_same_nocase(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if (a[i] != b[i] && lower_ascii(a[i]) != lower_ascii(b[i]))
			return false;
	}
	return true;
}

bool
rf_text_contains_nocase(const char *data, size_t len, const char *word)
{
	size_t		word_len = strlen(word);

	for (size_t at = 0; at + word_len <= len; at++)
	{
		if (rf_text_same_nocase(data + at, word, word_len))
			return true;
	}
	return false;
}

/*
 * Occurrences are looked for in the body, not in the excerpt: one that begins
 * before the excerpt's end and runs past it must be seen too.
 */
size_t
rf_text_excerpt(const char *body, size_t len, const char *secret,
				size_t secret_len, char *out, size_t max)
{
	size_t		out_len = len < max ? len : max;
	size_t		window = len;
	size_t		from = 0;

	if (out_len == 0)
		return 0;
	memcpy(out, body, out_len);
	if (secret == NULL || secret_len < MIN_SECRET_LEN)
		return out_len;

	if (len - out_len >= secret_len)
		window = out_len + secret_len - 1;
	while (from < out_len)
	{
		const char *hit = memmem(body + from, window - from, secret,
								 secret_len);
		size_t		at;

		if (hit == NULL)
			break;
		at = (size_t) (hit - body);
		wipe_span(out, out_len, at, at + secret_len);
		from = at + 1;			/* occurrences may overlap */
	}

	/* The body itself may have been cut in the middle of the secret. */
	wipe_span(out, out_len, find_cut_secret(body, len, secret, secret_len),
			  len);
	return out_len;
}

static char
lower_ascii(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

/*
 * Not realloc(): that may move the bytes and leave the old copy behind.
 */
static bool
grow_buffer(RfBuffer *buffer, size_t needed)
{
	size_t		capacity = buffer->capacity < 256 ? 256 : buffer->capacity;
	char	   *data;

	while (capacity < needed)
	{
		if (__builtin_mul_overflow(capacity, 2, &capacity))
			return false;
	}
	data = malloc(capacity);
	if (data == NULL)
		return false;
	if (buffer->data != NULL)
	{
		memcpy(data, buffer->data, buffer->len);
		explicit_bzero(buffer->data, buffer->capacity);
		free(buffer->data);
	}
	buffer->data = data;
	buffer->capacity = capacity;
	return true;
}

/* ASCII bytes from here on, eight at a time: most mails hold nothing else. */
static size_t
ascii_len(const char *data, size_t len)
{
	size_t		at = 0;
	uint64_t	word;

	for (; len - at >= sizeof(word); at += sizeof(word))
	{
		memcpy(&word, data + at, sizeof(word));
		if ((word & UINT64_C(0x8080808080808080)) != 0)
			break;
	}
	while (at < len && (unsigned char) data[at] < 0x80)
		at++;
	return at;
}

/*
 * Length of the multi-byte sequence that starts here, or 0 when it is none.
 * The second byte's range keeps out overlong forms, surrogates and everything
 * past U+10FFFF.
 */
static size_t
utf8_sequence_len(const unsigned char *data, size_t len)
{
	unsigned char first = data[0];
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t		need;

	if (first >= 0xc2 && first <= 0xdf)
		need = 2;
	else if (first >= 0xe0 && first <= 0xef)
		need = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		need = 4;
	else
		return 0;
	if (len < need)
		return 0;

	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (data[1] < low || data[1] > high)
		return 0;
	for (size_t i = 2; i < need; i++)
	{
		if ((data[i] & 0xc0) != 0x80)
			return 0;
	}
	return need;
}

static void
wipe_span(char *out, size_t out_len, size_t from, size_t to)
{
	if (to > out_len)
		to = out_len;
	if (from < to)
		memset(out + from, '*', to - from);
}

/* Where the body's tail begins to be the secret's head; len when it does not. */
static size_t
find_cut_secret(const char *body, size_t len, const char *secret,
				size_t secret_len)
{
	size_t		at = len < secret_len ? 0 : len - secret_len + 1;

	for (; at + MIN_CUT_SECRET_LEN <= len; at++)
	{
		if (memcmp(body + at, secret, len - at) == 0)
			return at;
	}
	return len;
}

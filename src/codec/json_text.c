/*-------------------------------------------------------------------------
 *
 * json_text.c
 *	  Writing JSON strings.
 *
 * A mail's body is a JSON string of kilobytes with an escape every line or so.
 * What needs none is found eight bytes at a time and copied in one piece; a
 * general JSON library looks at each character instead, and was a sixth of
 * what a mail costs.
 *
 * IDENTIFICATION
 *	  src/codec/json_text.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "codec/json_text.h"

#define EACH_BYTE(c)	(UINT64_C(0x0101010101010101) * (c))
#define HIGH_BITS		EACH_BYTE(0x80)

static void add_name(RfBuffer *buffer, const char *name);
static size_t plain_len(const char *data, size_t len);
static bool any_special(uint64_t word);
static char short_escape(char c);

size_t
rf_json_text_len(const char *data, size_t len)
{
	size_t		result = len;

	for (size_t at = plain_len(data, len); at < len;
		 at += 1 + plain_len(data + at + 1, len - at - 1))
		result += short_escape(data[at]) != '\0' ? 1 : 5;
	return result;
}

void
rf_json_text_add(RfBuffer *buffer, const char *data, size_t len)
{
	if (!rf_text_is_utf8(data, len))
		buffer->failed = true;
	rf_buffer_add(buffer, "\"", 1);
	while (len > 0)
	{
		size_t		plain = plain_len(data, len);
		char		escape[8];

		rf_buffer_add(buffer, data, plain);
		data += plain;
		len -= plain;
		if (len == 0)
			break;
		if (short_escape(*data) != '\0')
			(void) snprintf(escape, sizeof(escape), "\\%c", short_escape(*data));
		else
			(void) snprintf(escape, sizeof(escape), "\\u%04X", (unsigned int) (unsigned char) *data);
		rf_buffer_add_text(buffer, escape);
		data++;
		len--;
	}
	rf_buffer_add(buffer, "\"", 1);
}

void
rf_json_text_member(RfBuffer *buffer, const char *name, RfText value)
{
	add_name(buffer, name);
	rf_json_text_add(buffer, value.data, value.len);
}

void
rf_json_text_list(RfBuffer *buffer, const char *name, const RfText *list,
				  size_t count)
{
	if (count == 0)
		return;
	add_name(buffer, name);
	for (size_t i = 0; i < count; i++)
	{
		rf_buffer_add_text(buffer, i == 0 ? "[" : ",");
		rf_json_text_add(buffer, list[i].data, list[i].len);
	}
	rf_buffer_add_text(buffer, "]");
}

/* An object has just been opened, or has a member already. */
static void
add_name(RfBuffer *buffer, const char *name)
{
	if (buffer->len > 0 && buffer->data[buffer->len - 1] != '{')
		rf_buffer_add_text(buffer, ",");
	rf_json_text_add(buffer, name, strlen(name));
	rf_buffer_add_text(buffer, ":");
}

/* Bytes from here on that stand for themselves. */
static size_t
plain_len(const char *data, size_t len)
{
	size_t		at = 0;
	uint64_t	word;

	for (; len - at >= sizeof(word); at += sizeof(word))
	{
		memcpy(&word, data + at, sizeof(word));
		if (any_special(word))
			break;
	}
	while (at < len && (unsigned char) data[at] >= 0x20 &&
		   data[at] != '"' && data[at] != '\\')
		at++;
	return at;
}

/*
 * Is one of these eight bytes a control, a quote or a backslash?  Subtracting
 * from each byte borrows its high bit when it was smaller, unless that bit was
 * set to begin with; a borrow between bytes needs such a byte first.
 */
static bool
any_special(uint64_t word)
{
	uint64_t	quote = word ^ EACH_BYTE('"');
	uint64_t	backslash = word ^ EACH_BYTE('\\');

	return ((((word - EACH_BYTE(0x20)) & ~word) |
			 ((quote - EACH_BYTE(1)) & ~quote) |
			 ((backslash - EACH_BYTE(1)) & ~backslash)) & HIGH_BITS) != 0;
}

/* The letter after the backslash; NUL: it takes \u and four digits. */
static char
short_escape(char c)
{
	switch (c)
	{
		case '"':
		case '\\':
			return c;
		case '\b':
			return 'b';
		case '\f':
			return 'f';
		case '\n':
			return 'n';
		case '\r':
			return 'r';
		case '\t':
			return 't';
		default:
			return '\0';
	}
}

/*-------------------------------------------------------------------------
 *
 * json_text.c
 *	  Writing JSON strings into a buffer.
 *
 * rf_text_json_len() counts what is written here, quotes not counted.
 *
 * IDENTIFICATION
 *	  src/codec/json_text.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "codec/json_text.h"

static size_t plain_len(const char *data, size_t len);
static void add_escaped(RfBuffer *buffer, char c);
static void add_name(RfBuffer *buffer, const char *name);

void
rf_json_text_add(RfBuffer *buffer, const char *data, size_t len)
{
	size_t		at = 0;

	rf_buffer_add(buffer, "\"", 1);
	while (at < len)
	{
		size_t		plain = plain_len(data + at, len - at);

		rf_buffer_add(buffer, data + at, plain);
		at += plain;
		if (at < len)
			add_escaped(buffer, data[at++]);
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

static size_t
plain_len(const char *data, size_t len)
{
	size_t		at = 0;

	while (at < len && (unsigned char) data[at] >= 0x20 && data[at] != '"' &&
		   data[at] != '\\')
		at++;
	return at;
}

static void
add_escaped(RfBuffer *buffer, char c)
{
	static const char special[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	char		text[8];

	for (size_t i = 0; i + 1 < sizeof(special); i += 2)
	{
		if (special[i] == c)
		{
			snprintf(text, sizeof(text), "\\%c", special[i + 1]);
			rf_buffer_add_text(buffer, text);
			return;
		}
	}
	snprintf(text, sizeof(text), "\\u%04x", (unsigned int) (unsigned char) c);
	rf_buffer_add_text(buffer, text);
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

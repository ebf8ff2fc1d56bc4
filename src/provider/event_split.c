/*-------------------------------------------------------------------------
 *
 * event_split.c
 *	  Where the elements of an array and the members of an object begin and end.
 *
 * jansson says what JSON means; here only the bytes are found that it was, so
 * that they can be kept, and a broken element costs only itself.  Strings and
 * brackets are all that need be known for that.
 *
 * IDENTIFICATION
 *	  src/provider/event_split.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "provider/event_json.h"

static bool add_member(RfText **members, size_t *nmembers, size_t *room, RfText member);
static RfText next_piece(const char **at, const char *end);
static const char *skip_string(const char *at, const char *end);
static RfText trim(RfText text);
static bool is_space(char c);
static bool next_pair(const char **at, const char *end, RfText *name, RfText *value);
static bool is_name(RfText quoted, const char *name);

bool
rf_events_split(const char *provider, const char *body, size_t len,
				RfText **members, size_t *nmembers)
{
	bool		batch = strcmp(provider, "sendgrid") == 0;
	RfText		text = {body, len};
	size_t		room = 0;
	const char *at;
	const char *end;

	*members = NULL;
	*nmembers = 0;
	text = trim(text);
	if (text.len == 0 || text.data[0] != (batch ? '[' : '{'))
		return false;
	if (!batch)
		return add_member(members, nmembers, &room, text);

	at = text.data + 1;
	end = text.data + text.len;
	for (;;)
	{
		RfText		piece = trim(next_piece(&at, end));
		bool		last = at >= end || *at == ']';

		if ((piece.len > 0 || !last || *nmembers > 0) &&
			!add_member(members, nmembers, &room, piece))
			return false;
		if (last)
			break;
		at++;
	}
	/* Behind the array there is nothing, or one more that cannot be read. */
	text.data = at < end ? at + 1 : end;
	text.len = (size_t) (end - text.data);
	text = trim(text);
	return text.len == 0 || add_member(members, nmembers, &room, text);
}

const char *
rf_event_ambiguous(RfText object, const char *const *names)
{
	for (; *names != NULL; names++)
	{
		const char *at = object.data + 1;
		RfText		first = {NULL, 0};
		RfText		name;
		RfText		value;

		while (next_pair(&at, object.data + object.len, &name, &value))
		{
			if (!is_name(name, *names))
				continue;
			if (first.data == NULL)
				first = value;
			else if (first.len != value.len || memcmp(first.data, value.data, value.len) != 0)
				return *names;
		}
	}
	return NULL;
}

RfText
rf_event_member(RfText object, const char *name)
{
	const char *at = object.data + 1;
	RfText		found;
	RfText		value;

	while (next_pair(&at, object.data + object.len, &found, &value))
	{
		if (is_name(found, name))
			return value;
	}
	value.data = NULL;
	value.len = 0;
	return value;
}

static bool
add_member(RfText **members, size_t *nmembers, size_t *room, RfText member)
{
	if (*nmembers == *room)
	{
		size_t		more = *room == 0 ? 16 : *room * 2;
		RfText	   *grown = realloc(*members, more * sizeof(RfText));

		if (grown == NULL)
		{
			free(*members);
			*members = NULL;
			*nmembers = 0;
			return false;
		}
		*members = grown;
		*room = more;
	}
	(*members)[(*nmembers)++] = member;
	return true;
}

/* Up to the comma or bracket that ends it, where *at is left. */
static RfText
next_piece(const char **at, const char *end)
{
	RfText		piece;
	const char *p = *at;
	size_t		depth = 0;

	for (; p < end; p++)
	{
		if (*p == '"')
			p = skip_string(p, end);
		else if (*p == '{' || *p == '[')
			depth++;
		else if (depth > 0 && (*p == '}' || *p == ']'))
			depth--;
		else if (depth == 0 && (*p == ',' || *p == ']' || *p == '}'))
			break;
	}
	if (p > end)
		p = end;
	piece.data = *at;
	piece.len = (size_t) (p - *at);
	*at = p;
	return piece;
}

/* From the opening quote to the closing one; the end when there is none. */
static const char *
skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
	{
		if (*at == '\\')
			at++;
	}
	return at < end ? at : end;
}

static RfText
trim(RfText text)
{
	while (text.len > 0 && is_space(text.data[0]))
	{
		text.data++;
		text.len--;
	}
	while (text.len > 0 && is_space(text.data[text.len - 1]))
		text.len--;
	return text;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next member of a valid object; the name with its quotes. */
static bool
next_pair(const char **at, const char *end, RfText *name, RfText *value)
{
	RfText		piece = trim(next_piece(at, end));
	const char *close;
	const char *colon;

	if (*at < end)
		(*at)++;
	if (piece.len == 0 || piece.data[0] != '"')
		return false;
	close = skip_string(piece.data, piece.data + piece.len);
	colon = memchr(close, ':', (size_t) (piece.data + piece.len - close));
	if (colon == NULL)
		return false;
	name->data = piece.data;
	name->len = (size_t) (close + 1 - piece.data);
	value->data = colon + 1;
	value->len = (size_t) (piece.data + piece.len - value->data);
	*value = trim(*value);
	return true;
}

/* An escape can spell any name. */
static bool
is_name(RfText quoted, const char *name)
{
	json_t	   *text;
	bool		same;

	if (memchr(quoted.data, '\\', quoted.len) == NULL)
		return quoted.len == strlen(name) + 2 &&
			memcmp(quoted.data + 1, name, quoted.len - 2) == 0;
	text = json_loadb(quoted.data, quoted.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	same = text != NULL && strcmp(json_string_value(text), name) == 0;
	json_decref(text);
	return same;
}

/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Filling, reading and wiping requests and responses.
 *
 * A struct starts zeroed.  Every string in it is malloc'd and its own.  No
 * secret is ever moved by realloc(): strings are made once at their final
 * size, only the arrays that point to them grow.
 *
 * A header that could break out of its line never gets into a request: its
 * name must be a token and its value free of control characters.
 *
 * IDENTIFICATION
 *	  src/codec/request.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"

#include "codec/request.h"

static char *copy_bytes(const char *data, size_t len);
static void wipe_and_free(char *data, size_t len);
static void wipe_text(char *text);
static void *make_room(void *array, size_t count, size_t item_size);
static bool split_header(const char *line, size_t len, size_t *name_len,
						 size_t *value_at, size_t *value_len);
static bool has_room_for(const RfResponse *response, size_t bytes);

bool
rf_request_set_url(RfRequest *request, const char *url)
{
	char	   *copy = copy_bytes(url, strlen(url));

	if (copy == NULL)
		return false;
	wipe_text(request->url);
	request->url = copy;
	return true;
}

bool
rf_request_add_header(RfRequest *request, const char *name, const char *value)
{
	size_t		name_len = strlen(name);
	size_t		value_len = strlen(value);
	char	  **headers;
	char	   *line;

	if (!rf_text_is_header_name(name, name_len) ||
		rf_text_has_control(value, value_len))
		return false;
	headers = make_room(request->headers, request->nheaders, sizeof(char *));
	if (headers == NULL)
		return false;
	request->headers = headers;

	line = malloc(name_len + value_len + 3);
	if (line == NULL)
		return false;
	memcpy(line, name, name_len);
	memcpy(line + name_len, ": ", 2);
	memcpy(line + name_len + 2, value, value_len + 1);
	headers[request->nheaders++] = line;
	return true;
}

bool
rf_request_set_basic(RfRequest *request, const char *user,
					 const char *password)
{
	char	   *user_copy = copy_bytes(user, strlen(user));
	char	   *password_copy = copy_bytes(password, strlen(password));

	if (user_copy == NULL || password_copy == NULL)
	{
		wipe_text(user_copy);
		wipe_text(password_copy);
		return false;
	}
	wipe_text(request->basic_user);
	wipe_text(request->basic_password);
	request->basic_user = user_copy;
	request->basic_password = password_copy;
	return true;
}

bool
rf_request_add_field(RfRequest *request, const char *name, const char *value,
					 size_t value_len)
{
	RfFormField *fields;
	RfFormField *field;

	fields = make_room(request->fields, request->nfields, sizeof(RfFormField));
	if (fields == NULL)
		return false;
	request->fields = fields;

	field = &fields[request->nfields];
	field->name = copy_bytes(name, strlen(name));
	field->value = copy_bytes(value, value_len);
	field->value_len = value_len;
	if (field->name == NULL || field->value == NULL)
	{
		wipe_text(field->name);
		wipe_and_free(field->value, value_len);
		return false;
	}
	request->nfields++;
	return true;
}

void
rf_request_free(RfRequest *request)
{
	wipe_text(request->url);
	for (size_t i = 0; i < request->nheaders; i++)
		wipe_text(request->headers[i]);
	free(request->headers);
	wipe_text(request->basic_user);
	wipe_text(request->basic_password);
	wipe_and_free(request->body, request->body_len);
	for (size_t i = 0; i < request->nfields; i++)
	{
		wipe_text(request->fields[i].name);
		wipe_and_free(request->fields[i].value, request->fields[i].value_len);
	}
	free(request->fields);
	memset(request, 0, sizeof(*request));
}

/*
 * One line as the peer sent it, line ending included or not.  A line that is
 * no header (the status line, the empty line, a folded one, garbage) is passed
 * over and is no failure.  False: a header was not kept, because memory or one
 * of our caps ran out; the response then counts as truncated.
 */
bool
rf_response_add_header(RfResponse *response, const char *line, size_t line_len)
{
	RfResponseHeader *headers;
	RfResponseHeader *header;
	size_t		name_len;
	size_t		value_at;
	size_t		value_len;

	if (!split_header(line, line_len, &name_len, &value_at, &value_len))
		return true;

	headers = NULL;
	if (has_room_for(response, name_len + value_len))
		headers = make_room(response->headers, response->nheaders,
							sizeof(RfResponseHeader));
	if (headers == NULL)
	{
		response->truncated = true;
		return false;
	}
	response->headers = headers;

	header = &headers[response->nheaders];
	header->name = copy_bytes(line, name_len);
	header->value = copy_bytes(line + value_at, value_len);
	if (header->name == NULL || header->value == NULL)
	{
		free(header->name);
		free(header->value);
		response->truncated = true;
		return false;
	}
	response->nheaders++;
	return true;
}

const char *
rf_response_header(const RfResponse *response, const char *name)
{
	size_t		name_len = strlen(name);

	for (size_t i = response->nheaders; i > 0; i--)
	{
		const RfResponseHeader *header = &response->headers[i - 1];

		if (strlen(header->name) == name_len &&
			rf_text_same_nocase(header->name, name, name_len))
			return header->value;
	}
	return NULL;
}

void
rf_response_free(RfResponse *response)
{
	for (size_t i = 0; i < response->nheaders; i++)
	{
		wipe_text(response->headers[i].name);
		wipe_text(response->headers[i].value);
	}
	free(response->headers);
	wipe_and_free(response->body, response->body_len);
	memset(response, 0, sizeof(*response));
}

static char *
copy_bytes(const char *data, size_t len)
{
	char	   *copy;

	if (len == SIZE_MAX)
		return NULL;
	copy = malloc(len + 1);
	if (copy == NULL)
		return NULL;
	if (len > 0)
		memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

static void
wipe_and_free(char *data, size_t len)
{
	if (data == NULL)
		return;
	explicit_bzero(data, len);
	free(data);
}

static void
wipe_text(char *text)
{
	if (text != NULL)
		wipe_and_free(text, strlen(text));
}

/*
 * Room for one more item.  The capacity is not stored: it is 4, then the next
 * power of two, so the array is full exactly when count is one of these.
 */
static void *
make_room(void *array, size_t count, size_t item_size)
{
	size_t		capacity = 4;
	size_t		bytes;

	if (count > 0)
	{
		if (count < 4 || (count & (count - 1)) != 0)
			return array;
		capacity = count * 2;
	}
	if (__builtin_mul_overflow(capacity, item_size, &bytes))
		return NULL;
	return realloc(array, bytes);
}

/* Is this "name: value"?  The value's surrounding white space is left out. */
static bool
split_header(const char *line, size_t len, size_t *name_len, size_t *value_at,
			 size_t *value_len)
{
	const char *colon;
	size_t		from;

	while (len > 0 && strchr("\r\n\t ", line[len - 1]) != NULL &&
		   line[len - 1] != '\0')
		len--;
	if (len == 0)
		return false;
	colon = memchr(line, ':', len);
	if (colon == NULL || memchr(line, '\0', len) != NULL)
		return false;
	*name_len = (size_t) (colon - line);
	if (!rf_text_is_header_name(line, *name_len))
		return false;

	from = *name_len + 1;
	while (from < len && (line[from] == ' ' || line[from] == '\t'))
		from++;
	*value_at = from;
	*value_len = len - from;
	return true;
}

static bool
has_room_for(const RfResponse *response, size_t bytes)
{
	if (response->nheaders >= RF_RESPONSE_MAX_HEADERS)
		return false;
	for (size_t i = 0; i < response->nheaders; i++)
	{
		bytes += strlen(response->headers[i].name);
		bytes += strlen(response->headers[i].value);
	}
	return bytes <= RF_RESPONSE_MAX_HEADER_BYTES;
}

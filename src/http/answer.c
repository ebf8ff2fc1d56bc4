/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  Callbacks of libcurl that read the answer.
 *
 * The answer is that of the last status line; what came with an interim one
 * (1xx) is dropped.  Once a final status line was read the peer has decided,
 * so whatever breaks after it (our caps, memory, the connection) leaves an
 * answer that is truncated, never a transfer without one.
 *
 * Returning less than was handed over makes libcurl end the transfer and close
 * the connection.
 *
 * IDENTIFICATION
 *	  src/http/answer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "http/state.h"

#define FIRST_CAPACITY	1024

static bool is_status_line(const char *line, size_t len, int *status);
static void begin_head(RfTransferState *state, int status);
static bool is_blank_line(const char *line, size_t len);
static size_t body_limit(const RfTransferState *state);
static bool make_room(RfTransferState *state, size_t len);

/* One complete header line; the status line and the empty line are such. */
size_t
rf_answer_header(char *data, size_t size, size_t count, void *arg)
{
	RfTransferState *state = arg;
	RfResponse *response = &state->transfer->response;
	size_t		len = size * count;
	int			status;

	state->moved_us = state->engine->now_us;
	state->header_bytes += len;
	if (state->header_bytes > RF_RESPONSE_MAX_HEADER_BYTES)
	{
		response->truncated = true;
		return 0;
	}
	if (state->head_done)
		return len;				/* trailers are counted, not kept */

	if (is_status_line(data, len, &status))
		begin_head(state, status);
	else if (is_blank_line(data, len))
		state->head_done = response->status != 0;
	else if (!state->interim && !rf_response_add_header(response, data, len))
	{
		response->truncated = true;
		return 0;
	}
	return len;
}

size_t
rf_answer_body(char *data, size_t size, size_t count, void *arg)
{
	RfTransferState *state = arg;
	RfResponse *response = &state->transfer->response;
	size_t		len = size * count;
	size_t		room = body_limit(state) - response->body_len;
	size_t		kept = len < room ? len : room;

	state->moved_us = state->engine->now_us;
	if (!make_room(state, kept))
	{
		response->truncated = true;
		return 0;
	}
	if (kept > 0)
	{
		memcpy(response->body + response->body_len, data, kept);
		response->body_len += kept;
		response->body[response->body_len] = '\0';
	}

	/* It may repeat the key, and newer versions of libcurl keep the buffer. */
	explicit_bzero(data, len);
	if (kept < len)
		response->truncated = true;
	return kept;
}

/* "HTTP/1.1 202 Accepted" */
static bool
is_status_line(const char *line, size_t len, int *status)
{
	const char *space;
	size_t		rest;
	int			value = 0;

	if (len < 5 || memcmp(line, "HTTP/", 5) != 0)
		return false;
	space = memchr(line, ' ', len);
	if (space == NULL)
		return false;
	rest = len - (size_t) (space + 1 - line);
	if (rest < 3)
		return false;
	for (int i = 1; i <= 3; i++)
	{
		if (space[i] < '0' || space[i] > '9')
			return false;
		value = value * 10 + (space[i] - '0');
	}
	*status = value;
	return true;
}

static void
begin_head(RfTransferState *state, int status)
{
	RfResponse *response = &state->transfer->response;

	rf_response_free(response);
	state->interim = status < 200;
	if (!state->interim)
		response->status = status;
}

static bool
is_blank_line(const char *line, size_t len)
{
	return (len == 2 && line[0] == '\r' && line[1] == '\n') ||
		(len == 1 && line[0] == '\n');
}

/* Most answers are short; a page of people or of verdicts is not. */
static size_t
body_limit(const RfTransferState *state)
{
	size_t		asked = state->transfer->request.answer_bytes;
	size_t		usual = state->setup->max_body_bytes;

	return asked > usual ? asked : usual;
}

/* Room for len more bytes and the NUL, by doubling up to what may be kept. */
static bool
make_room(RfTransferState *state, size_t len)
{
	RfResponse *response = &state->transfer->response;
	size_t		needed = response->body_len + len + 1;
	size_t		capacity = state->body_capacity;
	char	   *body;

	if (needed <= capacity)
		return true;
	if (capacity == 0)
		capacity = FIRST_CAPACITY;
	while (capacity < needed)
		capacity *= 2;
	if (capacity > body_limit(state) + 1)
		capacity = body_limit(state) + 1;
	body = malloc(capacity);
	if (body == NULL)
		return false;
	if (response->body != NULL)
	{
		memcpy(body, response->body, response->body_len);
		explicit_bzero(response->body, response->body_len);
		free(response->body);
	}
	response->body = body;
	state->body_capacity = capacity;
	return true;
}

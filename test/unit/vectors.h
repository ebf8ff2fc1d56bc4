/*-------------------------------------------------------------------------
 *
 * vectors.h
 *	  Recorded answers of providers, which are not part of the tree.
 *
 * Each has the status, headers and body of an answer (the body in base64), the
 * outcome class it should have, and where it comes from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TEST_VECTORS_H
#define ROLEFERRY_TEST_VECTORS_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/request.h"

/* The decoded bytes, malloc'd; the input is well-formed base64. */
static char *
decode_base64(const char *text, size_t *len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char	   *data = malloc(strlen(text) + 1);
	uint32_t	bits = 0;
	int			nbits = 0;

	*len = 0;
	for (; *text != '\0' && *text != '='; text++)
	{
		const char *digit = strchr(digits, *text);

		bits = (bits << 6) | (uint32_t) (digit != NULL ? digit - digits : 0);
		nbits += 6;
		if (nbits >= 8)
		{
			nbits -= 8;
			data[(*len)++] = (char) ((bits >> nbits) & 0xff);
		}
	}
	data[*len] = '\0';
	return data;
}

static const char *
vector_text(json_t *vector, const char *name)
{
	const char *text = json_string_value(json_object_get(vector, name));

	return text != NULL ? text : "";
}

__attribute__((unused))
static RfResponse
vector_response(json_t *vector)
{
	RfResponse	response;
	const char *name;
	json_t	   *value;

	memset(&response, 0, sizeof(response));
	response.status = (int) json_integer_value(json_object_get(vector, "http_status"));
	json_object_foreach(json_object_get(vector, "headers"), name, value)
	{
		char		line[1000];

		snprintf(line, sizeof(line), "%s: %s", name, json_string_value(value));
		rf_response_add_header(&response, line, strlen(line));
	}
	response.body = decode_base64(vector_text(vector, "body"), &response.body_len);
	return response;
}

/* An array, or NULL where there are none. */
static json_t *
load_vectors(const char *file)
{
	const char *folder = getenv("RF_VECTORS");
	char		path[1000];
	json_t	   *vectors;

	snprintf(path, sizeof(path), "%s/%s",
			 folder != NULL ? folder : "../shared/vectors", file);
	vectors = json_load_file(path, 0, NULL);
	if (json_is_array(vectors))
		return vectors;
	json_decref(vectors);
	return NULL;
}

#endif							/* ROLEFERRY_TEST_VECTORS_H */

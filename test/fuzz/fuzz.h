/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What all fuzz targets share: invariants, and input cut into fields.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_FUZZ_H
#define ROLEFERRY_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An invariant; breaking one is a finding. */
#define MUST(holds) \
	do { \
		if (!(holds)) \
		{ \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds); \
			abort(); \
		} \
	} while (0)

/* The rest of an input. */
typedef struct Input
{
	const char *data;
	size_t		len;
} Input;

__attribute__((unused))
static Input
make_input(const uint8_t *data, size_t size)
{
	Input		input;

	input.data = (const char *) data;
	input.len = size;
	return input;
}

/* One byte, or 0 when there is none left. */
__attribute__((unused))
static uint8_t
take_byte(Input *input)
{
	if (input->len == 0)
		return 0;
	input->len--;
	return (uint8_t) *input->data++;
}

/* Up to the next NUL, or all that is left. */
__attribute__((unused))
static RfText
take_text(Input *input)
{
	const char *end = input->len > 0 ? memchr(input->data, '\0', input->len) : NULL;
	RfText		text;

	text.data = input->data;
	text.len = end != NULL ? (size_t) (end - input->data) : input->len;
	input->data += text.len;
	input->len -= text.len;
	(void) take_byte(input);
	return text;
}

/* The same as a string of its own, so that an over-read is seen. */
__attribute__((unused))
static char *
take_string(Input *input)
{
	RfText		text = take_text(input);
	char	   *copy = malloc(text.len + 1);

	MUST(copy != NULL);
	if (text.len > 0)
		memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	return copy;
}

/* One line of valid UTF-8 that shows no address. */
__attribute__((unused))
static void
check_one_line(const char *text, size_t size)
{
	size_t		len = strnlen(text, size);

	MUST(len < size);
	MUST(rf_text_is_utf8(text, len));
	MUST(!rf_text_has_control(text, len));
}

#endif							/* ROLEFERRY_FUZZ_H */

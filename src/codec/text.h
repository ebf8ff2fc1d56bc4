/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Small questions about bytes: UTF-8, control characters, header names.
 *
 * And the growable buffer in which pure code writes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TEXT_H
#define ROLEFERRY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A span of bytes owned by somebody else; data may be NULL when len is 0. */
typedef struct RfText
{
	const char *data;
	size_t		len;
} RfText;

typedef struct RfBuffer
{
	char	   *data;			/* malloc'd; NUL-terminated when not NULL */
	size_t		len;
	size_t		capacity;
	bool		failed;			/* out of memory: contents are not to be used */
} RfBuffer;

/* Of a text that ends with a NUL, which is left out. */
extern RfText rf_text_of(const char *text);

/* Make room for that many bytes in all, so that adding them moves nothing. */
extern void rf_buffer_reserve(RfBuffer *buffer, size_t bytes);
extern void rf_buffer_add(RfBuffer *buffer, const char *data, size_t len);
extern void rf_buffer_add_text(RfBuffer *buffer, const char *text);
extern void rf_buffer_free(RfBuffer *buffer);

/* Strict: no surrogates, no overlong forms; NUL is allowed. */
extern bool rf_text_is_utf8(const char *data, size_t len);

/* Anything below 0x20, tab too, or 0x7f. */
extern bool rf_text_has_control(const char *data, size_t len);

/* A token of RFC 7230. */
extern bool rf_text_is_header_name(const char *data, size_t len);

/* ASCII case is ignored, whatever the locale; both hold at least len bytes. */
extern bool rf_text_same_nocase(const char *a, const char *b, size_t len);
extern bool rf_text_contains_nocase(const char *data, size_t len,
									const char *word);

/*
 * The provider's words for the record: the first max bytes of the body, with
 * every occurrence of the secret (when 8 bytes or longer) overwritten by '*'.
 * A secret cut by the end of the excerpt is wiped too.  Writes at most max
 * bytes to out (no NUL), returns how many.
 */
extern size_t rf_text_excerpt(const char *body, size_t len,
							  const char *secret, size_t secret_len,
							  char *out, size_t max);

#endif							/* ROLEFERRY_TEXT_H */

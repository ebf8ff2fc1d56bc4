/*-------------------------------------------------------------------------
 *
 * base64.h
 *	  Base64, read strictly.
 *
 * Only the standard alphabet, no white space, nothing after the padding; where
 * padding is asked for, no bits left over, so that every sequence of bytes has
 * one text.  People's own secrets are often written with neither.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_BASE64_H
#define ROLEFERRY_BASE64_H

#include <stdbool.h>
#include <stddef.h>

typedef enum RfBase64Padding
{
	RF_BASE64_PADDED,			/* to a multiple of four */
	RF_BASE64_ANY				/* or not at all, and loose bits are dropped */
} RfBase64Padding;

/*
 * Decodes into out, which has room for max bytes.  False: not base64, or more
 * than max.
 */
extern bool rf_base64_decode(const char *text, size_t len, RfBase64Padding padding,
							 unsigned char *out, size_t max, size_t *out_len);

/* Lower-case hexadecimal of exactly out_len bytes. */
extern bool rf_hex_decode(const char *text, size_t len,
						  unsigned char *out, size_t out_len);

#endif							/* ROLEFERRY_BASE64_H */

/*-------------------------------------------------------------------------
 *
 * base64.c
 *	  Base64, read strictly.
 *
 * What is decoded here is public (signatures, public keys) or the operator's
 * own secret, so no care is taken to need the same time for each letter.
 *
 * IDENTIFICATION
 *	  src/codec/base64.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>

#include "codec/base64.h"

static int	digit_of(char c);
static int	nibble_of(char c);
static bool strip_padding(const char *text, size_t *len, RfBase64Padding padding);

bool
rf_base64_decode(const char *text, size_t len, RfBase64Padding padding,
				 unsigned char *out, size_t max, size_t *out_len)
{
	uint32_t	bits = 0;
	unsigned int nbits = 0;
	size_t		n = 0;

	if (!strip_padding(text, &len, padding))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		int			digit = digit_of(text[i]);

		if (digit < 0)
			return false;
		bits = (bits << 6) | (uint32_t) digit;
		nbits += 6;
		if (nbits < 8)
			continue;
		if (n == max)
			return false;
		nbits -= 8;
		out[n++] = (unsigned char) (bits >> nbits);
		bits &= (1U << nbits) - 1;
	}
	*out_len = n;
	/* Bits that are left over would be a second text for the same bytes. */
	return nbits < 6 && (bits == 0 || padding == RF_BASE64_ANY);
}

bool
rf_hex_decode(const char *text, size_t len, unsigned char *out, size_t out_len)
{
	if (len != 2 * out_len)
		return false;
	for (size_t i = 0; i < out_len; i++)
	{
		int			high = nibble_of(text[2 * i]);
		int			low = nibble_of(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (unsigned char) (high << 4 | low);
	}
	return true;
}

static int
digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

static int
nibble_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
strip_padding(const char *text, size_t *len, RfBase64Padding padding)
{
	if (*len % 4 != 0)
		return padding == RF_BASE64_ANY;
	for (int i = 0; i < 2 && *len > 0 && text[*len - 1] == '='; i++)
		(*len)--;
	return true;
}

/*-------------------------------------------------------------------------
 *
 * address.c
 *	  Parser for a field that holds one e-mail address.
 *
 * One pass to see what the field is made of, one over its parts: linear, no
 * recursion, no allocation.  What is accepted is narrower than RFC 5322: no
 * comments, groups, routes, quoted local parts or address literals, and a
 * domain of at least two labels.  A plain name may hold characters that the
 * RFC wants quoted, because nothing is passed on as it was written: adapters
 * put the name and the address together anew.
 *
 * IDENTIFICATION
 *	  src/codec/address.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "codec/text.h"

#include "codec/address.h"

#define MAX_LOCAL_LEN	64
#define MAX_DOMAIN_LEN	255
#define MAX_LABEL_LEN	63

/* What stands outside double quotes. */
typedef struct Outline
{
	size_t		nats;			/* number of '@' */
	size_t		separators;		/* commas and semicolons */
	size_t		open;			/* first '<', or the length */
	bool		unbalanced;		/* a double quote is never closed */
} Outline;

static void draw_outline(const char *text, size_t len, Outline *outline);
static RfAddressStatus split_name(const char *text, size_t open,
								  RfAddress *out);
static RfAddressStatus check_email(const char *text, size_t len,
								   RfAddress *out);
static bool is_local_part(const char *text, size_t len);
static bool is_domain(const char *text, size_t len);
static bool is_alnum(char c);
static bool has_high_bit(const char *text, size_t len);

RfAddressStatus
rf_address_parse(const char *text, size_t len, RfAddress *out)
{
	Outline		outline;
	RfAddressStatus status;

	memset(out, 0, sizeof(*out));
	while (len > 0 && text[0] == ' ')
	{
		text++;
		len--;
	}
	while (len > 0 && text[len - 1] == ' ')
		len--;
	if (len == 0)
		return RF_ADDRESS_EMPTY;
	if (rf_text_has_control(text, len))
		return RF_ADDRESS_CONTROL;

	draw_outline(text, len, &outline);
	if (outline.nats > 1)
		return RF_ADDRESS_TWO;
	if (outline.unbalanced || outline.separators > 0 || outline.nats == 0)
		return RF_ADDRESS_SYNTAX;

	out->name = text;
	if (outline.open == len)
		return check_email(text, len, out);
	if (text[len - 1] != '>')
		return RF_ADDRESS_SYNTAX;
	status = split_name(text, outline.open, out);
	if (status != RF_ADDRESS_OK)
		return status;
	return check_email(text + outline.open + 1, len - outline.open - 2, out);
}

size_t
rf_address_name(const RfAddress *address, char *buf, size_t size)
{
	size_t		used = 0;

	if (size == 0)
		return 0;
	for (size_t i = 0; i < address->name_len; i++)
	{
		if (address->name_quoted && address->name[i] == '\\' &&
			i + 1 < address->name_len)
			i++;
		if (used + 1 == size)
		{
			/* Do not leave half a character: drop what it began with. */
			if (((unsigned char) address->name[i] & 0xc0) == 0x80)
			{
				while (used > 0 && ((unsigned char) buf[used - 1] & 0xc0) == 0x80)
					used--;
				if (used > 0 && ((unsigned char) buf[used - 1] & 0x80) != 0)
					used--;
			}
			break;
		}
		buf[used++] = address->name[i];
	}
	buf[used] = '\0';
	return used;
}

const char *
rf_address_status_text(RfAddressStatus status)
{
	switch (status)
	{
		case RF_ADDRESS_OK:
			return "is one e-mail address";
		case RF_ADDRESS_EMPTY:
			return "is empty";
		case RF_ADDRESS_CONTROL:
			return "holds a control character";
		case RF_ADDRESS_TWO:
			return "holds more than one address";
		case RF_ADDRESS_TOO_LONG:
			return "holds an address that is too long";
		case RF_ADDRESS_NON_ASCII:
			return "holds a non-ASCII character in the address";
		case RF_ADDRESS_SYNTAX:
			return "is not one e-mail address";
	}
	return "is not one e-mail address"; /* keep compiler quiet */
}

bool
rf_address_equal(const RfAddress *a, const RfAddress *b)
{
	return a->email_len == b->email_len &&
		rf_text_same_nocase(a->email, b->email, a->email_len);
}

static void
draw_outline(const char *text, size_t len, Outline *outline)
{
	bool		quoted = false;

	memset(outline, 0, sizeof(*outline));
	outline->open = len;
	for (size_t i = 0; i < len; i++)
	{
		char		c = text[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted)
		{
			if (c == '\\' && i + 1 < len)
				i++;
		}
		else if (c == '@')
			outline->nats++;
		else if (c == ',' || c == ';')
			outline->separators++;
		else if (c == '<' && outline->open == len)
			outline->open = i;
	}
	outline->unbalanced = quoted;
}

/* The part before '<': nothing, plain words, or one quoted string. */
static RfAddressStatus
split_name(const char *text, size_t open, RfAddress *out)
{
	size_t		name_len = open;

	while (name_len > 0 && text[name_len - 1] == ' ')
		name_len--;
	out->name = text;
	out->name_len = name_len;
	if (name_len == 0)
		return RF_ADDRESS_OK;

	if (text[0] != '"')
	{
		if (memchr(text, '"', name_len) != NULL ||
			memchr(text, '>', name_len) != NULL)
			return RF_ADDRESS_SYNTAX;
		return RF_ADDRESS_OK;
	}

	/* The first quote that is not escaped has to be the last character. */
	for (size_t i = 1; i < name_len; i++)
	{
		if (text[i] == '\\')
			i++;
		else if (text[i] == '"' && i + 1 < name_len)
			return RF_ADDRESS_SYNTAX;
	}
	out->name = text + 1;
	out->name_len = name_len - 2;
	out->name_quoted = true;
	return RF_ADDRESS_OK;
}

static RfAddressStatus
check_email(const char *text, size_t len, RfAddress *out)
{
	const char *at = memchr(text, '@', len);
	size_t		local_len;
	size_t		domain_len;

	if (at == NULL)
		return RF_ADDRESS_SYNTAX;
	local_len = (size_t) (at - text);
	domain_len = len - local_len - 1;
	if (local_len > MAX_LOCAL_LEN || domain_len > MAX_DOMAIN_LEN)
		return RF_ADDRESS_TOO_LONG;
	if (has_high_bit(text, len))
		return RF_ADDRESS_NON_ASCII;
	if (!is_local_part(text, local_len) || !is_domain(at + 1, domain_len))
		return RF_ADDRESS_SYNTAX;

	out->email = text;
	out->email_len = len;
	out->local_len = local_len;
	return RF_ADDRESS_OK;
}

static bool
is_local_part(const char *text, size_t len)
{
	if (len == 0 || text[0] == '.' || text[len - 1] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] == '.' && text[i + 1] == '.')
			return false;		/* text[len] is the '@' */
		if (text[i] != '.' && !is_alnum(text[i]) &&
			strchr("!#$%&'*+-/=?^_`{|}~", text[i]) == NULL)
			return false;
	}
	return true;
}

static bool
is_domain(const char *text, size_t len)
{
	size_t		label_at = 0;
	size_t		nlabels = 0;

	for (size_t i = 0; i <= len; i++)
	{
		if (i < len && text[i] != '.')
		{
			if (!is_alnum(text[i]) && text[i] != '-')
				return false;
			continue;
		}
		if (i == label_at || i - label_at > MAX_LABEL_LEN ||
			text[label_at] == '-' || text[i - 1] == '-')
			return false;
		label_at = i + 1;
		nlabels++;
	}
	return nlabels > 1;
}

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9');
}

static bool
has_high_bit(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if (((unsigned char) text[i] & 0x80) != 0)
			return true;
	}
	return false;
}

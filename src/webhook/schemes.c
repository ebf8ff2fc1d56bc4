/*-------------------------------------------------------------------------
 *
 * schemes.c
 *	  How each provider writes its signature.
 *
 * Timestamps are digits without a leading zero and are signed as they were
 * written.  SendGrid and Mailgun put nothing between what they sign, so a digit
 * could be moved over the border: SendGrid's body must begin with '[', and
 * Mailgun's age is judged by what is left of the timestamp (and its token may
 * be used once: see the receiver).
 *
 * IDENTIFICATION
 *	  src/webhook/schemes.c
 *
 *-------------------------------------------------------------------------
 */
#include <jansson.h>
#include <string.h>

#include "codec/base64.h"
#include "webhook/schemes.h"

#define MAC_BYTES			32
#define ED25519_BYTES		64
#define TIMESTAMP_DIGITS	12

static RfSignStatus find_header(const RfSignHeaders *headers, RfSignHeader which,
								RfText *value);
static RfSignStatus read_mailgun_member(json_t *signature, RfSigned *what);
static RfSignStatus read_standard_list(RfText list, RfSigned *what);
static RfSignature *add_signature(RfSigned *what, RfSignKind kind, size_t len);
static bool read_timestamp(RfText text, RfSigned *what);
static bool is_one_word(RfText text);
static RfText next_piece(RfText *rest, char separator);
static bool begins_with(RfText text, const char *prefix);
static void add_part(RfSigned *what, RfText part);

static RfSignStatus
find_header(const RfSignHeaders *headers, RfSignHeader which, RfText *value)
{
	*value = headers->values[which];
	if (headers->repeated[which] || value->len > RF_SIGN_HEADER_MAX)
		return RF_SIGN_MALFORMED;
	return value->data == NULL || value->len == 0 ? RF_SIGN_MISSING : RF_SIGN_OK;
}

/* The token, or else "Authorization: Bearer" and a token. */
RfSignStatus
rf_scheme_read_none(const RfSignHeaders *headers, RfSigned *what)
{
	RfSignStatus status = find_header(headers, RF_SIGN_TOKEN, &what->secret);
	RfText		value;

	if (status != RF_SIGN_MISSING)
		return status;
	status = find_header(headers, RF_SIGN_AUTHORIZATION, &value);
	if (status != RF_SIGN_OK)
		return status;
	if (value.len <= 7 || !rf_text_same_nocase(value.data, "bearer ", 7))
		return RF_SIGN_MALFORMED;
	what->secret.data = value.data + 7;
	what->secret.len = value.len - 7;
	return RF_SIGN_OK;
}

/* t=TIME,v1=HEX[,v1=HEX...]; other schemes, v0 among them, are not looked at. */
RfSignStatus
rf_scheme_read_stripe(const RfSignHeaders *headers, RfText body, RfSigned *what)
{
	RfText		rest;
	RfText		t = {NULL, 0};
	RfSignStatus status = find_header(headers, RF_SIGN_STRIPE, &rest);

	if (status != RF_SIGN_OK)
		return status;
	while (rest.data != NULL)
	{
		RfText		piece = next_piece(&rest, ',');
		RfSignature *signature;

		if (begins_with(piece, "t="))
		{
			if (t.data != NULL)
				return RF_SIGN_MALFORMED;
			t.data = piece.data + 2;
			t.len = piece.len - 2;
		}
		if (!begins_with(piece, "v1="))
			continue;
		signature = add_signature(what, RF_SIGN_HMAC, MAC_BYTES);
		if (signature == NULL)
			return RF_SIGN_TOO_MANY;
		/* One that cannot be a signature is as good as one that is wrong. */
		if (!rf_hex_decode(piece.data + 3, piece.len - 3, signature->bytes, MAC_BYTES))
			what->nsignatures--;
	}
	if (t.data == NULL || what->nsignatures == 0 || !read_timestamp(t, what))
		return RF_SIGN_MALFORMED;
	add_part(what, t);
	add_part(what, rf_text_of("."));
	add_part(what, body);
	return RF_SIGN_OK;
}

RfSignStatus
rf_scheme_read_sendgrid(const RfSignHeaders *headers, RfText body, RfSigned *what)
{
	RfText text;
	RfText		t;
	RfSignature *signature;
	RfSignStatus status = find_header(headers, RF_SIGN_SENDGRID_SIGNATURE, &text);

	if (status == RF_SIGN_OK)
		status = find_header(headers, RF_SIGN_SENDGRID_TIMESTAMP, &t);
	if (status != RF_SIGN_OK)
		return status;
	signature = add_signature(what, RF_SIGN_ECDSA, 0);
	if (!rf_base64_decode(text.data, text.len, RF_BASE64_PADDED, signature->bytes,
						  RF_SIGNATURE_BYTES, &signature->len) ||
		!read_timestamp(t, what) || body.len == 0 || body.data[0] != '[')
		return RF_SIGN_MALFORMED;
	add_part(what, t);
	add_part(what, body);
	return RF_SIGN_OK;
}

/* The signature is in the body, and covers nothing else of it. */
RfSignStatus
rf_scheme_read_mailgun(RfText body, RfSigned *what)
{
	json_t	   *root = json_loadb(body.data != NULL ? body.data : "", body.len,
								  JSON_REJECT_DUPLICATES, NULL);
	json_t	   *signature = json_object_get(root, "signature");
	RfSignStatus status;

	if (root == NULL)
		status = RF_SIGN_MALFORMED;
	else if (!json_is_object(signature))
		status = RF_SIGN_MISSING;
	else
		status = read_mailgun_member(signature, what);
	json_decref(root);
	return status;
}

static RfSignStatus
read_mailgun_member(json_t *member, RfSigned *what)
{
	json_t	   *timestamp = json_object_get(member, "timestamp");
	json_t	   *token = json_object_get(member, "token");
	json_t	   *text = json_object_get(member, "signature");
	RfSignature *signature = add_signature(what, RF_SIGN_HMAC, MAC_BYTES);
	RfText		t;
	RfText		rest;
	int			len;

	if (json_is_integer(timestamp))
		len = snprintf(what->own, 20, "%lld", (long long) json_integer_value(timestamp));
	else if (json_is_string(timestamp) && json_string_length(timestamp) < 20)
		len = snprintf(what->own, 20, "%s", json_string_value(timestamp));
	else
		return RF_SIGN_MALFORMED;
	if (len < 0 || len >= 20 || !json_is_string(token) || !json_is_string(text) ||
		json_string_length(token) == 0 || json_string_length(token) > RF_SIGN_TOKEN_MAX ||
		!rf_hex_decode(json_string_value(text), json_string_length(text), signature->bytes, MAC_BYTES))
		return RF_SIGN_MALFORMED;

	t.data = what->own;
	t.len = (size_t) len;
	rest.data = what->own + len;
	rest.len = json_string_length(token);
	memcpy(what->own + len, json_string_value(token), rest.len);
	if (!read_timestamp(t, what) || !is_one_word(rest))
		return RF_SIGN_MALFORMED;
	add_part(what, t);
	add_part(what, rest);
	return RF_SIGN_OK;
}

/* Svix's names first, as its own libraries do; never some of each. */
RfSignStatus
rf_scheme_read_standard(const RfSignHeaders *headers, RfText body, RfSigned *what)
{
	bool		svix = headers->values[RF_SIGN_SVIX_ID].data != NULL;
	RfText		t;
	RfText		list;
	RfSignStatus status;

	status = find_header(headers, svix ? RF_SIGN_SVIX_ID : RF_SIGN_STANDARD_ID, &what->id);
	if (status == RF_SIGN_OK)
		status = find_header(headers, svix ? RF_SIGN_SVIX_TIMESTAMP : RF_SIGN_STANDARD_TIMESTAMP, &t);
	if (status == RF_SIGN_OK)
		status = find_header(headers, svix ? RF_SIGN_SVIX_SIGNATURE : RF_SIGN_STANDARD_SIGNATURE, &list);
	if (status != RF_SIGN_OK)
		return status;
	/* A dot in the id could as well belong to the body. */
	if (what->id.len > RF_SIGN_ID_MAX || !is_one_word(what->id) ||
		memchr(what->id.data, '.', what->id.len) != NULL || !read_timestamp(t, what))
		return RF_SIGN_MALFORMED;
	status = read_standard_list(list, what);
	add_part(what, what->id);
	add_part(what, rf_text_of("."));
	add_part(what, t);
	add_part(what, rf_text_of("."));
	add_part(what, body);
	return status;
}

/* v1,BASE64 v1a,BASE64 ...: others are not looked at. */
static RfSignStatus
read_standard_list(RfText list, RfSigned *what)
{
	while (list.data != NULL)
	{
		RfText		piece = next_piece(&list, ' ');
		bool		hmac = begins_with(piece, "v1,");
		size_t		skip = hmac ? 3 : 4;
		size_t		bytes = hmac ? MAC_BYTES : ED25519_BYTES;
		RfSignature *signature;

		if (!hmac && !begins_with(piece, "v1a,"))
			continue;
		signature = add_signature(what, hmac ? RF_SIGN_HMAC : RF_SIGN_ED25519, bytes);
		if (signature == NULL)
			return RF_SIGN_TOO_MANY;
		if (!rf_base64_decode(piece.data + skip, piece.len - skip, RF_BASE64_PADDED,
							  signature->bytes, bytes, &signature->len) ||
			signature->len != bytes)
			what->nsignatures--;
	}
	return what->nsignatures > 0 ? RF_SIGN_OK : RF_SIGN_MALFORMED;
}

static RfSignature *
add_signature(RfSigned *what, RfSignKind kind, size_t len)
{
	RfSignature *signature;

	if (what->nsignatures == RF_SIGNATURES_MAX)
		return NULL;
	signature = &what->signatures[what->nsignatures++];
	signature->kind = kind;
	signature->len = len;
	return signature;
}

/* Seconds since 1970: digits only, in their one spelling. */
static bool
read_timestamp(RfText text, RfSigned *what)
{
	int64_t		seconds = 0;

	if (text.len == 0 || text.len > TIMESTAMP_DIGITS || text.data[0] == '0')
		return false;
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		seconds = seconds * 10 + (text.data[i] - '0');
	}
	what->at_s = seconds;
	return true;
}

/* Printable ASCII without a space. */
static bool
is_one_word(RfText text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.data[i] <= ' ' || text.data[i] > '~')
			return false;
	}
	return true;
}

/* Up to the separator; *rest is what follows it, with data NULL at the end. */
static RfText
next_piece(RfText *rest, char separator)
{
	const char *end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
	RfText		piece = *rest;

	if (end == NULL)
	{
		rest->data = NULL;
		rest->len = 0;
		return piece;
	}
	piece.len = (size_t) (end - piece.data);
	rest->data = end + 1;
	rest->len -= piece.len + 1;
	return piece;
}

static bool
begins_with(RfText text, const char *prefix)
{
	size_t		len = strlen(prefix);

	return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

static void
add_part(RfSigned *what, RfText part)
{
	what->parts[what->nparts++] = part;
}

/*-------------------------------------------------------------------------
 *
 * email_parts.c
 *	  Checks of a mail's maps and lists: custom_args, headers, tags.
 *
 * Names are reserved for one reason each.  SendGrid puts custom arguments
 * flat beside the members of its events, so an argument called "event" would
 * overwrite what happened to the mail.  Headers that providers write
 * themselves, or that steer a provider, are not the caller's either.
 *
 * IDENTIFICATION
 *	  src/provider/email_parts.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "codec/json_text.h"
#include "provider/field_error.h"

#include "provider/email_parts.h"

/* Members of SendGrid's events; whatever begins with "sg_" comes on top. */
static const char *const event_members[] = {
	"asm_group_id", "attempt", "bounce_classification", "category",
	"cert_err", "email", "event", "ip", "newsletter", "pool", "reason",
	"response", "send_at", "smtp-id", "status", "timestamp", "tls", "type",
	"unique_args", "url", "url_offset", "useragent", NULL
};

static const char *const reserved_headers[] = {
	"bcc", "cc", "date", "dkim-signature", "from", "message-id",
	"mime-version", "received", "reply-to", "return-path", "sender",
	"subject", "to", "x-sg-eid", "x-sg-id", "x-smtpapi", NULL
};

static const char *const reserved_header_prefixes[] = {
	"content-", "x-mailgun-", "x-roleferry-", NULL
};

static bool same_text(RfText a, RfText b, bool ignore_case);
static bool is_in_list(RfText name, const char *const *list);
static bool has_prefix(RfText name, const char *prefix);
static bool check_arg(const RfPair *arg, RfFieldError *error);
static bool check_header(const RfPair *header, RfFieldError *error);
static bool check_names_differ(const RfPair *pairs, size_t count,
							   bool ignore_case, const char *field,
							   RfFieldError *error);

/*
 * The size is that of the JSON object SendGrid gets, with the member of ours
 * at its longest: {"name":"value",...,"rf_job":"..."}
 */
bool
rf_email_check_custom_args(const RfEmail *email, RfFieldError *error)
{
	size_t		bytes = 2 + strlen("\"rf_job\":\"\"") + RF_RF_JOB_MAX_BYTES;

	if (email->stream.len > 0)
		bytes += rf_json_text_len(email->stream.data, email->stream.len) + strlen("\"rf_stream\":\"\",");

	for (size_t i = 0; i < email->ncustom_args; i++)
	{
		const RfPair *arg = &email->custom_args[i];

		if (!check_arg(arg, error))
			return false;
		bytes += rf_json_text_len(arg->name.data, arg->name.len) +
			rf_json_text_len(arg->value.data, arg->value.len) +
			strlen("\"\":\"\",");
		if (bytes >= RF_CUSTOM_ARGS_MAX_BYTES)
			return rf_field_error_set(error, "custom_args", "is too large",
									  "Names and values, as JSON, must stay under 9900 bytes.");
	}
	return check_names_differ(email->custom_args, email->ncustom_args, false,
							  "custom_args", error);
}

bool
rf_email_check_headers(const RfEmail *email, RfFieldError *error)
{
	size_t		bytes = 0;

	for (size_t i = 0; i < email->nheaders; i++)
	{
		const RfPair *header = &email->headers[i];

		if (!check_header(header, error))
			return false;
		bytes += header->name.len + header->value.len;
		if (bytes > RF_HEADERS_MAX_BYTES)
			return rf_field_error_set(error, "headers", "is too large",
									  "Names and values together may take 8192 bytes.");
	}
	return check_names_differ(email->headers, email->nheaders, true,
							  "headers", error);
}

bool
rf_email_check_tags(const RfEmail *email, RfFieldError *error)
{
	char		field[RF_FIELD_MAX];

	if (email->ntags > RF_TAGS_MAX)
		return rf_field_error_set(error, "tags", "holds too many tags",
								  "At most 10 are taken.");
	for (size_t i = 0; i < email->ntags; i++)
	{
		RfText		tag = email->tags[i];

		rf_field_index(field, "tags", i);
		if (!rf_field_check_text(tag, false, field, error))
			return false;
		if (rf_field_is_blank(tag))
			return rf_field_error_set(error, field, "is empty", "");
		if (tag.len > RF_TAG_MAX_BYTES)
			return rf_field_error_set(error, field, "is too long",
									  "At most 128 bytes are taken.");
		for (size_t j = 0; j < i; j++)
		{
			if (same_text(tag, email->tags[j], false))
				return rf_field_error_set(error, field,
										  "is there a second time", "");
		}
	}
	return true;
}

bool
rf_email_check_stream(const RfEmail *email, RfFieldError *error)
{
	if (email->stream.data == NULL)
		return true;
	if (!rf_field_check_text(email->stream, false, "stream", error))
		return false;
	if (rf_field_is_blank(email->stream))
		return rf_field_error_set(error, "stream", "is empty", "Leave it out instead.");
	if (email->stream.len > RF_STREAM_MAX_BYTES)
		return rf_field_error_set(error, "stream", "is too long",
								  "At most 64 bytes are taken.");
	if (email->stream.len == strlen("global") &&
		memcmp(email->stream.data, "global", email->stream.len) == 0)
		return rf_field_error_set(error, "stream", "is \"global\"",
								  "That is the scope of all streams together.");
	return true;
}

/* Whoever got a copy would take somebody else off the stream. */
bool
rf_email_check_unsubscribe(const RfEmail *email, RfFieldError *error)
{
	RfText		link = {"list-unsubscribe", strlen("list-unsubscribe")};

	if (!email->unsubscribe)
		return true;
	if (email->ncc > 0 || email->nbcc > 0)
		return rf_field_error_set(error, "unsubscribe", "is for mails with one recipient",
								  "Send one mail each instead of cc and bcc.");
	for (size_t i = 0; i < email->nheaders; i++)
	{
		if (has_prefix(email->headers[i].name, link.data))
			return rf_field_error_set(error, "headers", "holds List-Unsubscribe, as unsubscribe does",
									  "Leave one of them out.");
	}
	return true;
}

static bool
same_text(RfText a, RfText b, bool ignore_case)
{
	if (a.len != b.len)
		return false;
	if (ignore_case)
		return rf_text_same_nocase(a.data, b.data, a.len);
	return a.len == 0 || memcmp(a.data, b.data, a.len) == 0;
}

static bool
is_in_list(RfText name, const char *const *list)
{
	for (; *list != NULL; list++)
	{
		if (strlen(*list) == name.len && has_prefix(name, *list))
			return true;
	}
	return false;
}

static bool
has_prefix(RfText name, const char *prefix)
{
	return name.len >= strlen(prefix) &&
		rf_text_same_nocase(name.data, prefix, strlen(prefix));
}

static bool
check_arg(const RfPair *arg, RfFieldError *error)
{
	const char *field = "custom_args";

	if (arg->name.len == 0)
		return rf_field_error_set(error, field, "holds an empty name", "");
	if (!rf_field_check_text(arg->name, false, field, error) ||
		!rf_field_check_text(arg->value, false, field, error))
		return false;
	if (has_prefix(arg->name, "rf_"))
		return rf_field_error_name(error, field, "holds the reserved name",
								   arg->name,
								   "Names that begin with \"rf_\" are kept for roleferry.");
	if (has_prefix(arg->name, "sg_") || is_in_list(arg->name, event_members))
		return rf_field_error_name(error, field, "holds the reserved name",
								   arg->name,
								   "SendGrid's events have a member of this name.");
	return true;
}

static bool
check_header(const RfPair *header, RfFieldError *error)
{
	const char *field = "headers";
	bool		reserved;

	if (!rf_text_is_header_name(header->name.data, header->name.len))
		return rf_field_error_name(error, field,
								   "holds a name that is no header name",
								   header->name,
								   "Letters, digits and hyphens make a header name.");
	if (!rf_field_check_text(header->value, false, field, error))
		return false;

	reserved = is_in_list(header->name, reserved_headers);
	for (size_t i = 0; reserved_header_prefixes[i] != NULL; i++)
		reserved |= has_prefix(header->name, reserved_header_prefixes[i]);
	if (reserved)
		return rf_field_error_name(error, field, "holds the reserved header",
								   header->name,
								   "It is set from other arguments or by the provider.");
	return true;
}

static bool
check_names_differ(const RfPair *pairs, size_t count, bool ignore_case,
				   const char *field, RfFieldError *error)
{
	for (size_t i = 1; i < count; i++)
	{
		for (size_t j = 0; j < i; j++)
		{
			if (same_text(pairs[i].name, pairs[j].name, ignore_case))
				return rf_field_error_name(error, field, "holds twice the name",
										   pairs[i].name, "");
		}
	}
	return true;
}

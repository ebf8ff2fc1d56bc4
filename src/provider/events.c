/*-------------------------------------------------------------------------
 *
 * events.c
 *	  Reading one event, and what the providers' events have in common.
 *
 * SendGrid puts a mail's custom arguments flat beside the event's own members,
 * and a parser that keeps the last of two members of one name would believe
 * them.  So duplicates are refused at first; where there are some, the names
 * that mean something to us are looked at one by one in the bytes, and only
 * what stands there once, or twice the same, is read.
 *
 * IDENTIFICATION
 *	  src/provider/events.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/address.h"
#include "core/outcome.h"
#include "provider/event_json.h"

#define MICROSECONDS	INT64_C(1000000)
#define LATEST_S		INT64_C(9224318015) /* what a timestamptz holds,
											 * nearly */

static int64_t read_iso_time(const char *text);
static json_t *load(RfText member, RfEvent *event, bool *duplicates);
static const char *find_ambiguous(const char *provider, RfText member);

static const char *const kind_texts[] = {
	"unreadable", "other", "accepted", "deferred", "delivered", "bounced",
	"rejected", "opened", "clicked", "complained", "unsubscribed", "resubscribed"
};

/* Whatever is read of an event, by provider. */
static const char *const sendgrid_names[] = {
	"event", "email", "timestamp", "sg_event_id", "sg_message_id", "type",
	"rf_job", "rf_stream", "reason", "response", NULL
};
static const char *const mailgun_names[] = {"event-data", "signature", NULL};
static const char *const mailgun_data_names[] = {
	"event", "id", "timestamp", "recipient", "severity", "reason", "message",
	"user-variables", "delivery-status", NULL
};
static const char *const mailgun_variable_names[] = {"rf_job", "rf_stream", NULL};
static const char *const mailgun_message_names[] = {"headers", NULL};
static const char *const mailgun_header_names[] = {"message-id", NULL};
static const char *const other_names[] = {
	"id", "type", "event", "event_type", "created", "timestamp", "data", NULL
};

void
rf_event_read(const char *provider, RfText member, RfEvent *event)
{
	bool		duplicates = false;
	const char *twice;
	json_t	   *tree;

	memset(event, 0, sizeof(*event));
	event->kind = RF_EVENT_OTHER;
	tree = load(member, event, &duplicates);
	if (tree == NULL)
		return;

	twice = duplicates ? find_ambiguous(provider, member) : NULL;
	if (twice != NULL)
	{
		char		why[RF_EVENT_REASON_MAX + 1];

		snprintf(why, sizeof(why), "the member \"%s\" is there twice", twice);
		rf_event_spoil(event, why);
	}
	else if (strcmp(provider, "sendgrid") == 0)
		rf_event_read_sendgrid(tree, event);
	else if (strcmp(provider, "mailgun") == 0)
		rf_event_read_mailgun(tree, event);
	else
		rf_event_read_other(tree, event);
	json_decref(tree);
	if (event->content.failed)
		rf_event_spoil(event, "out of memory");
}

void
rf_event_free(RfEvent *event)
{
	rf_buffer_free(&event->content);
}

const char *
rf_event_kind_text(RfEventKind kind)
{
	return kind_texts[kind];
}

bool
rf_event_fold_address(const char *text, size_t len, char out[RF_EVENT_ADDRESS_MAX + 1])
{
	RfAddress	address;

	out[0] = '\0';
	if (rf_address_parse(text, len, &address) != RF_ADDRESS_OK ||
		address.email_len > RF_EVENT_ADDRESS_MAX)
		return false;
	for (size_t i = 0; i < address.email_len; i++)
	{
		char		c = address.email[i];

		out[i] = (char) (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
	}
	out[address.email_len] = '\0';
	return true;
}

void
rf_event_spoil(RfEvent *event, const char *why)
{
	event->kind = RF_EVENT_UNREADABLE;
	event->hard = false;
	event->job_id = 0;
	event->installation[0] = event->stream[0] = event->recipient[0] = event->message_id[0] = '\0';
	snprintf(event->reason, sizeof(event->reason), "%s", why);
}

void
rf_event_text(RfEvent *event, json_t *object, const char *name, char *out, size_t size)
{
	json_t	   *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	char		why[RF_EVENT_REASON_MAX + 1];

	if (event->kind == RF_EVENT_UNREADABLE)
		return;
	if (json_is_integer(value))
		snprintf(out, size, "%lld", (long long) json_integer_value(value));
	else if (text != NULL && strlen(text) == json_string_length(value) &&
			 strlen(text) < size && !rf_text_has_control(text, strlen(text)))
		memcpy(out, text, strlen(text) + 1);
	else if (value != NULL && !json_is_null(value))
	{
		snprintf(why, sizeof(why), "the member \"%s\" is no usable text", name);
		rf_event_spoil(event, why);
	}
}

void
rf_event_words(json_t *object, const char *name, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(object, name));
	RfOutcome	outcome;

	if (text == NULL || text[0] == '\0')
		return;
	rf_outcome_set_reason(&outcome, text, strlen(text));
	snprintf(out, size, "%s", outcome.reason);
}

int64_t
rf_event_time(json_t *object, const char *name)
{
	json_t	   *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	double		seconds = 0;

	if (json_is_number(value))
		seconds = json_number_value(value);
	else if (text != NULL && text[0] != '\0' && strspn(text, "0123456789.") == strlen(text))
		seconds = strtod(text, NULL);
	else if (text != NULL)
		return read_iso_time(text);
	if (!(seconds > 0 && seconds < (double) LATEST_S))
		return 0;
	if (json_is_integer(value))
		return (int64_t) json_integer_value(value) * MICROSECONDS;
	return (int64_t) (seconds * (double) MICROSECONDS + 0.5);
}

/* "2026-01-31T12:00:00.123456789Z", the only form met; 0 for any other. */
static int64_t
read_iso_time(const char *text)
{
	struct tm	tm = {0};
	double		fraction = 0;
	int			end = 0;
	time_t		seconds;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
			   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end) != 6 ||
		tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12)
		return 0;
	text += end;
	if (*text == '.')
	{
		size_t		digits = strspn(text + 1, "0123456789");

		fraction = strtod(text, NULL);
		text += 1 + digits;
	}
	if (strcmp(text, "Z") != 0 || !(fraction >= 0 && fraction < 1))
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	seconds = timegm(&tm);
	if (seconds <= 0 || seconds >= LATEST_S)
		return 0;
	return (int64_t) seconds * MICROSECONDS + (int64_t) (fraction * (double) MICROSECONDS);
}

void
rf_event_job(RfEvent *event, json_t *object)
{
	char		text[RF_EVENT_INSTALLATION_MAX + 32];
	const char *value = json_string_value(json_object_get(object, "rf_job"));
	char	   *dot;
	char	   *end;
	long long	id;

	if (value == NULL || strlen(value) >= sizeof(text))
		return;
	memcpy(text, value, strlen(value) + 1);
	dot = strchr(text, '.');
	if (dot == NULL || dot == text || dot - text > RF_EVENT_INSTALLATION_MAX ||
		strspn(text, "0123456789abcdef") != (size_t) (dot - text) ||
		dot[1] < '1' || dot[1] > '9' || strlen(dot + 1) > 19)
		return;
	*dot = '\0';
	id = strtoll(dot + 1, &end, 10);
	if (*end != '\0' || (strlen(dot + 1) == 19 && dot[1] == '9' && id == INT64_MAX &&
						 strcmp(dot + 1, "9223372036854775807") != 0))
		return;
	event->job_id = id;
	memcpy(event->installation, text, strlen(text) + 1);
}

void
rf_event_content(RfEvent *event, json_t *object, const char *name)
{
	json_t	   *value = json_object_get(object, name);
	char	   *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;

	if (event->content.len > 0)
		rf_buffer_add_text(&event->content, "\n");
	if (text != NULL)
		rf_buffer_add_text(&event->content, text);
	free(text);
}

/* NULL: event says why. */
static json_t *
load(RfText member, RfEvent *event, bool *duplicates)
{
	json_error_t error = {0};
	json_t	   *tree = NULL;
	size_t		flags = JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;

	if (member.len > 0)
		tree = json_loadb(member.data, member.len, flags, &error);
	if (tree == NULL && member.len > 0 && json_error_code(&error) == json_error_duplicate_key)
	{
		*duplicates = true;
		flags &= ~(size_t) JSON_REJECT_DUPLICATES;
		tree = json_loadb(member.data, member.len, flags, &error);
	}
	if (tree == NULL && member.len > 0 && json_error_code(&error) == json_error_numeric_overflow)
	{
		/* A number of somebody else's that is past 64 bits. */
		*duplicates = true;
		flags &= ~(size_t) JSON_REJECT_DUPLICATES;
		tree = json_loadb(member.data, member.len, flags | JSON_DECODE_INT_AS_REAL, &error);
	}
	if (json_is_object(tree))
		return tree;
	rf_event_spoil(event, tree != NULL ? "it is no JSON object" : "it is not JSON");
	json_decref(tree);
	return NULL;
}

static const char *
find_ambiguous(const char *provider, RfText member)
{
	const char *twice;
	RfText		data;
	RfText		message;
	RfText		variables;
	RfText		headers = {NULL, 0};

	if (strcmp(provider, "sendgrid") == 0)
		return rf_event_ambiguous(member, sendgrid_names);
	if (strcmp(provider, "mailgun") != 0)
		return rf_event_ambiguous(member, other_names);

	if ((twice = rf_event_ambiguous(member, mailgun_names)) != NULL)
		return twice;
	data = rf_event_member(member, "event-data");
	if (data.len < 2 || data.data[0] != '{')
		return NULL;
	if ((twice = rf_event_ambiguous(data, mailgun_data_names)) != NULL)
		return twice;
	variables = rf_event_member(data, "user-variables");
	if (variables.len >= 2 && variables.data[0] == '{' &&
		(twice = rf_event_ambiguous(variables, mailgun_variable_names)) != NULL)
		return twice;
	message = rf_event_member(data, "message");
	if (message.len < 2 || message.data[0] != '{')
		return NULL;
	if ((twice = rf_event_ambiguous(message, mailgun_message_names)) != NULL)
		return twice;
	headers = rf_event_member(message, "headers");
	if (headers.len < 2 || headers.data[0] != '{')
		return NULL;
	return rf_event_ambiguous(headers, mailgun_header_names);
}

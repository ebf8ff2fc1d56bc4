/*-------------------------------------------------------------------------
 *
 * event_mail.c
 *	  The events of SendGrid, Mailgun and Stripe in our words.
 *
 * SendGrid's id of a message has a suffix for each recipient behind the first
 * dot; Mailgun's stands without the angle brackets of the answer to the send.
 *
 * IDENTIFICATION
 *	  src/provider/event_mail.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "provider/event_json.h"

typedef struct Word
{
	const char *word;
	RfEventKind kind;
} Word;

static RfEventKind find_kind(const Word *words, const char *word);
static void read_recipient(RfEvent *event, json_t *object, const char *name);
static void read_stream(RfEvent *event, json_t *object);
static bool starts_with(const char *text, const char *prefix);
static void read_failure(RfEvent *event, json_t *data);

static const Word sendgrid_words[] = {
	{"processed", RF_EVENT_ACCEPTED},
	{"deferred", RF_EVENT_DEFERRED},
	{"delivered", RF_EVENT_DELIVERED},
	{"bounce", RF_EVENT_BOUNCED},
	{"dropped", RF_EVENT_REJECTED},
	{"open", RF_EVENT_OPENED},
	{"click", RF_EVENT_CLICKED},
	{"spamreport", RF_EVENT_COMPLAINED},
	{"unsubscribe", RF_EVENT_UNSUBSCRIBED},
	{"group_unsubscribe", RF_EVENT_UNSUBSCRIBED},
	{"group_resubscribe", RF_EVENT_RESUBSCRIBED},
	{NULL, RF_EVENT_OTHER}
};

static const Word mailgun_words[] = {
	{"accepted", RF_EVENT_ACCEPTED},
	{"delivered", RF_EVENT_DELIVERED},
	{"failed", RF_EVENT_BOUNCED},	/* see read_failure() */
	{"rejected", RF_EVENT_REJECTED},
	{"opened", RF_EVENT_OPENED},
	{"clicked", RF_EVENT_CLICKED},
	{"complained", RF_EVENT_COMPLAINED},
	{"unsubscribed", RF_EVENT_UNSUBSCRIBED},
	{NULL, RF_EVENT_OTHER}
};

/* What tells two events of SendGrid's apart, were it not for their ids. */
static const char *const sendgrid_content[] = {
	"event", "sg_message_id", "email", "timestamp", "type", "status", "attempt",
	"reason", "response", "url", "url_offset", "ip", "useragent", "asm_group_id",
	"rf_job", NULL
};

void
rf_event_read_sendgrid(json_t *tree, RfEvent *event)
{
	char		type[RF_EVENT_TYPE_MAX + 1] = "";
	char	   *dot;

	for (const char *const *name = sendgrid_content; *name != NULL; name++)
		rf_event_content(event, tree, *name);
	rf_event_text(event, tree, "event", event->type, sizeof(event->type));
	rf_event_text(event, tree, "sg_event_id", event->id, sizeof(event->id));
	rf_event_text(event, tree, "sg_message_id", event->message_id, sizeof(event->message_id));
	rf_event_text(event, tree, "type", type, sizeof(type));
	if (event->kind == RF_EVENT_UNREADABLE)
		return;
	event->kind = find_kind(sendgrid_words, event->type);
	event->hard = event->kind == RF_EVENT_BOUNCED && strcmp(type, "blocked") != 0;
	event->at_us = rf_event_time(tree, "timestamp");
	dot = strchr(event->message_id, '.');
	if (dot != NULL)
		*dot = '\0';
	rf_event_words(tree, "response", event->reason, sizeof(event->reason));
	rf_event_words(tree, "reason", event->reason, sizeof(event->reason));
	rf_event_job(event, tree);
	read_stream(event, tree);
	read_recipient(event, tree, "email");
}

void
rf_event_read_mailgun(json_t *tree, RfEvent *event)
{
	json_t	   *data = json_object_get(tree, "event-data");
	json_t	   *headers = json_object_get(json_object_get(data, "message"), "headers");
	json_t	   *variables = json_object_get(data, "user-variables");

	if (!json_is_object(data))
	{
		rf_event_spoil(event, "the member \"event-data\" is no object");
		return;
	}
	rf_event_text(event, data, "event", event->type, sizeof(event->type));
	rf_event_text(event, data, "id", event->id, sizeof(event->id));
	rf_event_text(event, headers, "message-id", event->message_id, sizeof(event->message_id));
	if (event->kind == RF_EVENT_UNREADABLE)
		return;
	event->kind = find_kind(mailgun_words, event->type);
	event->at_us = rf_event_time(data, "timestamp");
	rf_event_words(json_object_get(data, "delivery-status"), "description", event->reason, sizeof(event->reason));
	rf_event_words(json_object_get(data, "delivery-status"), "message", event->reason, sizeof(event->reason));
	if (event->type[0] == 'f' && event->kind == RF_EVENT_BOUNCED)
		read_failure(event, data);
	rf_event_job(event, variables);
	read_stream(event, variables);
	read_recipient(event, data, "recipient");
}

/*
 * Stripe's, normal and thin, and whatever else says what it is.  Two events can
 * tell of one change: the content is the object's id and the kind of change,
 * within a second.
 */
void
rf_event_read_other(json_t *tree, RfEvent *event)
{
	json_t	   *object = json_object_get(json_object_get(tree, "data"), "object");

	rf_event_text(event, tree, "type", event->type, sizeof(event->type));
	if (event->type[0] == '\0')
		rf_event_text(event, tree, "event", event->type, sizeof(event->type));
	if (event->type[0] == '\0')
		rf_event_text(event, tree, "event_type", event->type, sizeof(event->type));
	if (json_is_string(json_object_get(tree, "id")))
		rf_event_text(event, tree, "id", event->id, sizeof(event->id));
	if (event->kind == RF_EVENT_UNREADABLE)
		return;
	event->at_us = rf_event_time(tree, "created");
	if (event->at_us == 0)
		event->at_us = rf_event_time(tree, "timestamp");
	if (json_is_string(json_object_get(object, "id")))
	{
		rf_event_content(event, object, "id");
		rf_event_content(event, tree, "type");
		rf_event_content(event, tree, "created");
	}
}

static RfEventKind
find_kind(const Word *words, const char *word)
{
	while (words->word != NULL && strcmp(words->word, word) != 0)
		words++;
	return words->kind;
}

/*
 * Temporary: Mailgun tries again.  What it did not even try, because the
 * address is on a list of its own, was rejected; what it tried for too long
 * says nothing about the address.
 */
static void
read_failure(RfEvent *event, json_t *data)
{
	const char *severity = json_string_value(json_object_get(data, "severity"));
	const char *reason = json_string_value(json_object_get(data, "reason"));

	if (severity != NULL && strcmp(severity, "temporary") == 0)
		event->kind = RF_EVENT_DEFERRED;
	else if (reason != NULL && starts_with(reason, "suppress-"))
		event->kind = RF_EVENT_REJECTED;
	else
		event->hard = severity != NULL && strcmp(severity, "permanent") == 0 &&
			(reason == NULL || strcmp(reason, "old") != 0);
	if (event->reason[0] == '\0')
		rf_event_words(data, "reason", event->reason, sizeof(event->reason));
}

/* What is no address is not taken for one; the event is as good as before. */
static void
read_recipient(RfEvent *event, json_t *object, const char *name)
{
	json_t	   *value = json_object_get(object, name);
	const char *text = json_string_value(value);

	if (text != NULL)
		(void) rf_event_fold_address(text, json_string_length(value), event->recipient);
}

static void
read_stream(RfEvent *event, json_t *object)
{
	const char *text = json_string_value(json_object_get(object, "rf_stream"));

	if (text != NULL && strlen(text) <= RF_STREAM_MAX_BYTES &&
		!rf_text_has_control(text, strlen(text)))
		memcpy(event->stream, text, strlen(text) + 1);
}

static bool
starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

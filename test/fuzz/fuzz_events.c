/* Events: nothing is lost in splitting, and what is read is fit to be kept. */
#include "fuzz.h"
#include "provider/events.h"
#include "provider/json.h"

static void
check_text(const char *text, size_t size)
{
	size_t		len = strnlen(text, size);

	MUST(len < size);
	MUST(rf_text_is_utf8(text, len));
	MUST(!rf_text_has_control(text, len));
}

static void
check_event(const char *provider, RfText member)
{
	RfEvent		event;
	char		folded[RF_EVENT_ADDRESS_MAX + 1];
	json_t	   *tree = member.len > 0 ? json_loadb(member.data, member.len, JSON_REJECT_DUPLICATES, NULL) : NULL;

	memset(&event, 'x', sizeof(event));
	rf_event_read(provider, member, &event);
	MUST(rf_event_kind_text(event.kind)[0] != '\0');
	check_text(event.installation, sizeof(event.installation));
	check_text(event.stream, sizeof(event.stream));
	check_text(event.type, sizeof(event.type));
	check_text(event.id, sizeof(event.id));
	check_text(event.message_id, sizeof(event.message_id));
	check_text(event.recipient, sizeof(event.recipient));
	check_one_line(event.reason, sizeof(event.reason));
	MUST(event.at_us >= 0 && event.job_id >= 0);
	MUST((event.job_id == 0) == (event.installation[0] == '\0'));
	MUST(!event.hard || event.kind == RF_EVENT_BOUNCED);
	MUST(event.kind != RF_EVENT_UNREADABLE || (event.reason[0] != '\0' && event.recipient[0] == '\0' && event.job_id == 0));
	MUST(event.content.data == NULL || strlen(event.content.data) == event.content.len);
	if (event.recipient[0] != '\0')
	{
		MUST(rf_event_fold_address(event.recipient, strlen(event.recipient), folded));
		MUST(strcmp(folded, event.recipient) == 0);
	}
	/* A plain SendGrid event says what jansson says it does. */
	if (json_is_object(tree) && strcmp(provider, "sendgrid") == 0 && event.kind > RF_EVENT_OTHER)
		MUST(strcmp(json_string_value(json_object_get(tree, "event")), event.type) == 0);
	json_decref(tree);
	rf_event_free(&event);
}

/* An array that jansson can read has the same elements to us. */
static void
check_elements(const char *data, size_t size, const RfText *members, size_t nmembers)
{
	json_t	   *array = json_loadb(data, size, JSON_ALLOW_NUL, NULL);

	if (json_is_array(array))
	{
		MUST(json_array_size(array) == nmembers);
		for (size_t i = 0; i < nmembers; i++)
		{
			json_t	   *element = json_loadb(members[i].data, members[i].len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

			MUST(json_equal(element, json_array_get(array, i)));
			json_decref(element);
		}
	}
	json_decref(array);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const providers[] = {"sendgrid", "mailgun", "stripe"};

	for (int i = 0; i < 3; i++)
	{
		RfText	   *members;
		size_t		nmembers;

		if (rf_events_split(providers[i], (const char *) data, size, &members, &nmembers))
		{
			if (i == 0)
				check_elements((const char *) data, size, members, nmembers);
			for (size_t j = 0; j < nmembers; j++)
			{
				MUST(members[j].data >= (const char *) data &&
					 members[j].data + members[j].len <= (const char *) data + size);
				check_event(providers[i], members[j]);
			}
		}
		free(members);
	}
	return 0;
}

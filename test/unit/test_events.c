/* Events of providers: split, read, and not forged. */
#include <stdlib.h>

#include "provider/events.h"
#include "tap.h"
#include "vectors.h"

static RfEvent
read_event(const char *provider, const char *text)
{
	RfText		member = {text, strlen(text)};
	RfEvent		event;

	memset(&event, 'x', sizeof(event));
	rf_event_read(provider, member, &event);
	return event;
}

/* The event in one line: kind, hard, recipient, message, job, stream. */
static void
is_event(const char *provider, const char *text, const char *expected, const char *what)
{
	RfEvent		event = read_event(provider, text);
	char		got[2000];

	snprintf(got, sizeof(got), "%s%s %s %s %s.%lld %s", rf_event_kind_text(event.kind),
			 event.hard ? " hard" : "", event.recipient, event.message_id,
			 event.installation, (long long) event.job_id, event.stream);
	is_text(got, expected, what);
	rf_event_free(&event);
}

static void
is_split(const char *provider, const char *body, const char *expected)
{
	RfText	   *members;
	size_t		nmembers;
	char		got[1000] = "no";

	if (rf_events_split(provider, body, strlen(body), &members, &nmembers))
	{
		snprintf(got, sizeof(got), "%zu", nmembers);
		for (size_t i = 0; i < nmembers; i++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "|%.*s",
					 (int) members[i].len, members[i].data);
	}
	free(members);
	is_text(got, expected, body);
}

static void
test_split(void)
{
	is_split("sendgrid", "[]\r\n", "0");
	is_split("sendgrid", "[{\"a\":1},\r\n {\"b\":[1,2]}]\r\n", "2|{\"a\":1}|{\"b\":[1,2]}");
	is_split("sendgrid", "[{\"a\":\"],}\\\"\"},7]", "2|{\"a\":\"],}\\\"\"}|7");
	is_split("sendgrid", "[{\"a\":1},what is it,{\"b\":2}]", "3|{\"a\":1}|what is it|{\"b\":2}");
	is_split("sendgrid", "[{\"a\":1},]", "2|{\"a\":1}|");
	is_split("sendgrid", "[{\"a\":1}", "1|{\"a\":1}");
	is_split("sendgrid", "[{\"a\":1}] {\"b\":2}", "2|{\"a\":1}|{\"b\":2}");
	is_split("sendgrid", "{\"a\":1}", "no");
	is_split("sendgrid", "", "no");
	is_split("mailgun", " {\"a\":[1]}\n", "1|{\"a\":[1]}");
	is_split("mailgun", "[{\"a\":1}]", "no");
	is_split("stripe", "{}", "1|{}");
}

static void
test_sendgrid(void)
{
	RfEvent		event;

	is_event("sendgrid",
			 "{\"email\":\"Ada@Example.com\",\"event\":\"delivered\",\"timestamp\":1600112492,"
			 "\"sg_message_id\":\"abc.filter0.1\",\"rf_job\":\"00ff00ff00ff00ff.42\",\"rf_stream\":\"news\"}",
			 "delivered ada@example.com abc 00ff00ff00ff00ff.42 news", "a delivery, with everything");
	is_event("sendgrid", "{\"event\":\"bounce\",\"email\":\"a@b.example\",\"type\":\"bounce\"}",
			 "bounced hard a@b.example  .0 ", "a bounce is hard");
	is_event("sendgrid", "{\"event\":\"bounce\",\"email\":\"a@b.example\",\"type\":\"blocked\"}",
			 "bounced a@b.example  .0 ", "a block is soft");
	is_event("sendgrid", "{\"event\":\"dropped\",\"email\":\"a@b.example\"}",
			 "rejected a@b.example  .0 ", "a drop is a rejection");
	is_event("sendgrid", "{\"event\":\"account_status_change\"}", "other   .0 ", "news of the account are something else");
	is_event("sendgrid", "{\"event\":\"open\",\"email\":\"no address\"}", "opened   .0 ", "no address is none");
	is_event("sendgrid", "{\"event\":\"open\",\"rf_job\":\"xyz.42\"}", "opened   .0 ", "a strange rf_job is none");
	is_event("sendgrid", "{\"event\":\"open\",\"rf_job\":\"aa.9223372036854775808\"}", "opened   .0 ",
			 "nor is one with a number too large");
	is_event("sendgrid", "{\"event\":\"open\",\"big\":123456789012345678901234567890}", "opened   .0 ",
			 "a number of somebody else's may be as large as it likes");

	event = read_event("sendgrid",
					   "{\"event\":\"bounce\",\"sg_event_id\":\"id1\",\"timestamp\":1600112492,\"type\":\"blocked\","
					   "\"reason\":\"552 over\\nquota for ada@example.com\"}");
	is_text(event.type, "bounce", "the provider's word is kept");
	is_text(event.id, "id1", "and its id");
	ok(event.at_us == INT64_C(1600112492000000), "and the time");
	ok(strchr(event.reason, '\n') == NULL && strstr(event.reason, "over quota") != NULL,
	   "and its words, on one line: %s", event.reason);
	ok(strstr(event.content.data, "id1") == NULL && strstr(event.content.data, "1600112492") != NULL,
	   "the content has everything but the id");
	rf_event_free(&event);
}

static void
test_forgery(void)
{
	is_event("sendgrid", "{\"event\":\"delivered\",\"email\":\"a@b.example\",\"event\":\"bounce\"}",
			 "unreadable   .0 ", "two words for what happened are none");
	is_event("sendgrid", "{\"event\":\"bounce\",\"email\":\"a@b.example\",\"\\u0065mail\":\"victim@b.example\"}",
			 "unreadable   .0 ", "two recipients are none, however they are spelled");
	is_event("sendgrid", "{\"event\":\"bounce\",\"email\":\"a@b.example\",\"email\":\"a@b.example\"}",
			 "bounced hard a@b.example  .0 ", "the same twice is the same");
	is_event("sendgrid", "{\"event\":\"open\",\"mine\":1,\"mine\":2,\"email\":\"a@b.example\"}",
			 "opened a@b.example  .0 ", "other names may be there twice");
	is_event("sendgrid", "{\"event\":\"open\",\"x\":{\"event\":\"bounce\",\"event\":\"open\"}}",
			 "opened   .0 ", "and so may ours, deeper down");
	is_event("sendgrid", "{\"event\":\"open\",\"rf_job\":\"aa.1\",\"rf_job\":\"aa.2\"}",
			 "unreadable   .0 ", "two jobs are none");
	is_event("sendgrid", "{\"event\":\"open\\u0000bounce\"}", "unreadable   .0 ", "nothing hides behind a NUL");
	is_event("sendgrid", "{\"event\":[\"open\"]}", "unreadable   .0 ", "a list is no word");
	is_event("mailgun", "{\"event-data\":{\"event\":\"opened\",\"event\":\"complained\"}}",
			 "unreadable   .0 ", "nor do Mailgun's events say two things");
	is_event("mailgun", "{\"event-data\":{\"event\":\"opened\"},\"event-data\":{\"event\":\"complained\"}}",
			 "unreadable   .0 ", "or are two");
	is_event("mailgun", "{\"event-data\":{\"event\":\"opened\",\"user-variables\":{\"rf_job\":\"aa.1\",\"rf_job\":\"aa.2\"}}}",
			 "unreadable   .0 ", "or belong to two jobs");
	is_event("mailgun",
			 "{\"event-data\":{\"event\":\"opened\",\"message\":{\"headers\":{\"message-id\":\"a\",\"message-id\":\"b\"}}}}",
			 "unreadable   .0 ", "or to two messages");
	is_event("mailgun", "{\"event-data\":{\"event\":\"opened\",\"user-variables\":{\"event\":\"complained\",\"x\":1,\"x\":2}}}",
			 "opened   .0 ", "variables are not the event");
	is_event("sendgrid", "{\"event\":\"open\"", "unreadable   .0 ", "half an event is none");
	is_event("sendgrid", "", "unreadable   .0 ", "nor is nothing");
	is_event("sendgrid", "7", "unreadable   .0 ", "nor a number");
	is_event("sendgrid", "{\"event\":\"\xff\"}", "unreadable   .0 ", "nor what is not UTF-8");
}

static void
test_mailgun(void)
{
	RfEvent		event;

	is_event("mailgun",
			 "{\"signature\":{},\"event-data\":{\"event\":\"delivered\",\"id\":\"E1\",\"timestamp\":1529006854.329574,"
			 "\"recipient\":\"Alice@example.com\",\"message\":{\"headers\":{\"message-id\":\"2013.1@mg.example.com\"}},"
			 "\"user-variables\":{\"rf_job\":\"00ff.7\",\"rf_stream\":\"news\"}}}",
			 "delivered alice@example.com 2013.1@mg.example.com 00ff.7 news", "a delivery, with everything");
	is_event("mailgun", "{\"event-data\":{\"event\":\"accepted\",\"user-variables\":[]}}",
			 "accepted   .0 ", "no variables are an empty list");
	is_event("mailgun", "{\"event-data\":{\"event\":\"failed\",\"severity\":\"temporary\"}}",
			 "deferred   .0 ", "a temporary failure is a deferral");
	is_event("mailgun", "{\"event-data\":{\"event\":\"failed\",\"severity\":\"permanent\",\"reason\":\"bounce\"}}",
			 "bounced hard   .0 ", "a permanent one a hard bounce");
	is_event("mailgun", "{\"event-data\":{\"event\":\"failed\",\"severity\":\"permanent\",\"reason\":\"old\"}}",
			 "bounced   .0 ", "but a soft one when it took too long");
	is_event("mailgun", "{\"event-data\":{\"event\":\"failed\",\"severity\":\"permanent\",\"reason\":\"suppress-bounce\"}}",
			 "rejected   .0 ", "and a rejection when it was not tried");
	is_event("mailgun", "{\"event-data\":[]}", "unreadable   .0 ", "event-data is an object");

	event = read_event("mailgun", "{\"event-data\":{\"event\":\"opened\",\"id\":\"E1\",\"timestamp\":1529006854.329574}}");
	is_text(event.id, "E1", "the id is kept");
	ok(event.at_us == INT64_C(1529006854329574), "and the time to the microsecond");
	ok(event.content.len == 0, "it needs no second key");
	rf_event_free(&event);
}

static void
test_others(void)
{
	RfEvent		event = read_event("stripe",
								   "{\"id\":\"evt_1\",\"type\":\"customer.created\",\"created\":1533204620,"
								   "\"data\":{\"object\":{\"id\":\"cus_1\"}}}");

	ok(event.kind == RF_EVENT_OTHER && strcmp(event.type, "customer.created") == 0 &&
	   strcmp(event.id, "evt_1") == 0 && event.at_us == INT64_C(1533204620000000), "Stripe's say what they are");
	is_text(event.content.data, "\"cus_1\"\n\"customer.created\"\n1533204620", "and of what");
	rf_event_free(&event);
	event = read_event("stripe", "{\"id\":\"evt_2\",\"object\":\"v2.core.event\",\"type\":\"v1.billing.meter\","
					   "\"created\":\"2025-10-04T15:13:32.232083866Z\"}");
	ok(event.at_us == INT64_C(1759590812232083) && event.content.len == 0, "thin ones, too");
	rf_event_free(&event);
	event = read_event("standard", "{\"type\":\"contact.updated\",\"timestamp\":\"2025-10-04T15:13:32Z\"}");
	ok(event.kind == RF_EVENT_OTHER && strcmp(event.type, "contact.updated") == 0 &&
	   event.at_us == INT64_C(1759590812000000), "and anybody's");
	rf_event_free(&event);
}

/* Bodies that vendors' own tests use. */
static void
test_vectors(const char *provider, const char *file, const char *kinds)
{
	json_t	   *vectors = load_vectors(file);
	json_t	   *vector;
	size_t		i;

	if (vectors == NULL)
	{
		skip("no vectors here: name their folder in RF_VECTORS");
		return;
	}
	json_array_foreach(vectors, i, vector)
	{
		RfText	   *members;
		size_t		nmembers;
		size_t		len;
		char	   *body = decode_base64(vector_text(vector, "body"), &len);
		bool		split = rf_events_split(provider, body, len, &members, &nmembers);

		ok(split == (len > 0 && body[0] == (strcmp(provider, "sendgrid") == 0 ? '[' : '{')),
		   "%s %s", vector_text(vector, "name"), split ? "can be split" : "is no body of events");
		for (size_t j = 0; j < nmembers; j++)
		{
			RfEvent		event;

			rf_event_read(provider, members[j], &event);
			ok(strstr(kinds, rf_event_kind_text(event.kind)) != NULL, "its event %zu: %s, %s", j,
			   rf_event_kind_text(event.kind), event.type);
			rf_event_free(&event);
		}
		free(members);
		free(body);
	}
	json_decref(vectors);
}

int
main(void)
{
	test_split();
	test_sendgrid();
	test_forgery();
	test_mailgun();
	test_others();
	test_vectors("sendgrid", "sendgrid.json", "rejected accepted bounced");
	test_vectors("mailgun", "mailgun.json", "delivered");
	return done_testing();
}

/* What an event says: the same members are the same content. */
#include "tap.h"
#include "webhook/content.h"

static const char *const paths[] = {"type", "data.object.id"};

static bool
content_of(const char *event, unsigned char digest[32])
{
	RfText		whole;

	whole.data = event;
	whole.len = strlen(event);
	return rf_content_digest(whole, paths, 2, digest);
}

static bool
same(const char *a, const char *b)
{
	unsigned char digests[2][32];

	return content_of(a, digests[0]) && content_of(b, digests[1]) && memcmp(digests[0], digests[1], 32) == 0;
}

int
main(void)
{
	const char *event = "{\"id\":\"evt_1\",\"type\":\"a\",\"data\":{\"object\":{\"id\":\"in_1\"}}}";
	unsigned char digest[32];
	RfText		text = {"{}", 2};

	ok(same(event, "{\"data\": {\"object\": {\"x\": 1, \"id\": \"in_1\"}}, \"type\": \"a\", \"id\": \"evt_2\"}"),
	   "two events that agree in those members are one");
	ok(!same(event, "{\"type\":\"b\",\"data\":{\"object\":{\"id\":\"in_1\"}}}"), "one that differs in one is another");
	ok(!same(event, "{\"type\":\"a\",\"data\":{\"object\":{\"id\":[\"in_1\"]}}}"), "or has it in another type");
	ok(!content_of("{\"type\":\"a\",\"data\":{\"object\":{}}}", digest), "without one of them there is no content");
	ok(!content_of("{\"type\":\"a\",\"data\":7}", digest) && !content_of("[]", digest) && !content_of("", digest),
	   "nor in what is no such object");
	ok(!content_of("{\"type\":\"a\",\"type\":\"b\",\"data\":{\"object\":{\"id\":\"in_1\"}}}", digest),
	   "a member that is there twice says nothing");
	ok(rf_content_is_json(text), "an object is JSON");
	text.len = 1;
	ok(!rf_content_is_json(text), "half of one is not");
	text.len = 0;
	ok(!rf_content_is_json(text), "nor is nothing");
	return done_testing();
}

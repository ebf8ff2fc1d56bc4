/* Bytes: UTF-8, controls, header names, JSON lengths, excerpts, the buffer. */
#include <jansson.h>
#include <stdlib.h>

#include "codec/json_text.h"
#include "codec/text.h"
#include "tap.h"

#define SECRET "SG.abcdefgh"

static void
test_utf8(void)
{
	static const struct
	{
		const char *data;
		size_t		len;
		bool		valid;
		const char *what;
	}			cases[] = {
		{"", 0, true, "nothing"},
		{"plain", 5, true, "ASCII"},
		{"a\0b", 3, true, "NUL"},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, true, "two, three and four bytes"},
		{"\xf4\x8f\xbf\xbf", 4, true, "U+10FFFF"},
		{"\xed\x9f\xbf", 3, true, "the last before the surrogates"},
		{"\xf4\x90\x80\x80", 4, false, "past U+10FFFF"},
		{"\xed\xa0\x80", 3, false, "a surrogate"},
		{"\xc0\xaf", 2, false, "two bytes too many for a slash"},
		{"\xe0\x80\xaf", 3, false, "three bytes too many"},
		{"\xf0\x80\x80\xaf", 4, false, "four bytes too many"},
		{"\xc3", 1, false, "a cut sequence"},
		{"\xe2\x82", 2, false, "a longer cut sequence"},
		{"\x80", 1, false, "a lone continuation"},
		{"\xc3(", 2, false, "a sequence without its continuation"},
		{"\xff", 1, false, "0xff"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(rf_text_is_utf8(cases[i].data, cases[i].len) == cases[i].valid,
		   "%s is %s UTF-8", cases[i].what, cases[i].valid ? "valid" : "not");
}

static void
test_words(void)
{
	ok(!rf_text_has_control("caf\xc3\xa9 ~", 7), "printable text holds no control");
	ok(rf_text_has_control("a\tb", 3), "a tab is a control");
	ok(rf_text_has_control("a\x7f", 2), "DEL is a control");
	ok(rf_text_has_control("a\0", 2), "NUL is a control");

	ok(rf_text_is_header_name("X-Campaign_1", 12), "a token is a header name");
	ok(!rf_text_is_header_name("", 0), "nothing is no header name");
	ok(!rf_text_is_header_name("X Y", 3), "a space is not in a header name");
	ok(!rf_text_is_header_name("X:", 2), "a colon is not in a header name");
	ok(!rf_text_is_header_name("X\0", 2), "NUL is not in a header name");
	ok(!rf_text_is_header_name("X\xc3\xa9", 3), "header names are ASCII");

	ok(rf_text_same_nocase("Retry-AFTER", "rEtry-after", 11), "case is ignored");
	ok(!rf_text_same_nocase("[", "{", 1), "only letters have a case");
	ok(rf_text_contains_nocase("Maximum Credits Exceeded", 24, "credits exceeded"),
	   "a word is found at the end");
	ok(!rf_text_contains_nocase("credits", 7, "credits exceeded"),
	   "a longer word is not found");
}

/* Is the text written as jansson writes it, and as long as foretold? */
static bool
writes_as_jansson(const char *text, size_t len)
{
	RfBuffer	buffer = {0};
	json_t	   *value = json_stringn(text, len);
	char		out[256];
	size_t		out_len = json_dumpb(value, out, sizeof(out), JSON_ENCODE_ANY);
	bool		same;

	rf_json_text_add(&buffer, text, len);
	same = !buffer.failed && buffer.len == out_len &&
		memcmp(buffer.data, out, out_len) == 0 &&
		rf_json_text_len(text, len) == out_len - 2;
	json_decref(value);
	rf_buffer_free(&buffer);
	return same;
}

/* Every ASCII byte, wherever it stands in the words that are looked at. */
static void
test_json(void)
{
	RfBuffer	buffer = {0};
	bool		same = true;

	for (int c = 0; c < 128; c++)
	{
		char		text[] = "\xc3\xa9 0123456789abcdef\x7f";

		for (size_t at = 2; at < sizeof(text) - 1; at++)
		{
			char		kept = text[at];

			text[at] = (char) c;
			same = same && writes_as_jansson(text, sizeof(text) - 1);
			text[at] = kept;
		}
	}
	ok(same, "every ASCII byte is written as jansson does, at every place");
	ok(writes_as_jansson("", 0), "and nothing, too");
	ok(writes_as_jansson("\"\\\"\\\n\n\x01\x1f\"", 10), "and nothing but escapes");

	rf_json_text_add(&buffer, "caf\xe9", 4);
	ok(buffer.failed, "what is no UTF-8 is not written");
	rf_buffer_free(&buffer);
}

static void
check_excerpt(const char *body, size_t max, const char *expected,
			  const char *what)
{
	char	   *out = calloc(1, max + 1);
	size_t		len;

	len = rf_text_excerpt(body, strlen(body), SECRET, strlen(SECRET), out, max);
	out[len] = '\0';
	is_text(out, expected, what);
	free(out);
}

static void
test_excerpt(void)
{
	char		out[64];

	check_excerpt("no key here", 64, "no key here", "a body without the secret is kept");
	check_excerpt("no key here", 6, "no key", "a long body is cut");
	check_excerpt("key=" SECRET "; " SECRET, 64, "key=***********; ***********",
				  "the secret is wiped wherever it stands");
	check_excerpt("key=" SECRET " more text", 7, "key=***",
				  "a secret cut by the excerpt's end is wiped");
	check_excerpt("key=SG.abc", 64, "key=******",
				  "a secret cut by the body's end is wiped");
	check_excerpt("key=SG.abcdef", 7, "key=***",
				  "a secret cut by both ends is wiped");
	check_excerpt("costs SG", 64, "costs SG", "two letters are not a secret");
	check_excerpt("SG.abcdefgX", 64, "SG.abcdefgX", "almost the secret is not the secret");
	check_excerpt("anything", 0, "", "an excerpt of nothing is empty");

	memset(out, 0, sizeof(out));
	rf_text_excerpt("xaaaaaaaaaaay", 13, "aaaaaaaa", 8, out, sizeof(out));
	is_text(out, "x***********y", "overlapping occurrences are wiped");
	memset(out, 0, sizeof(out));
	rf_text_excerpt("shortkey", 8, "shortke", 7, out, sizeof(out));
	is_text(out, "shortkey", "a secret under 8 bytes wipes nothing");
	memset(out, 0, sizeof(out));
	rf_text_excerpt("shortkey", 8, NULL, 0, out, sizeof(out));
	is_text(out, "shortkey", "there may be no secret");
}

static void
test_buffer(void)
{
	RfBuffer	buffer = {0};
	char		chunk[300];

	rf_buffer_add(&buffer, NULL, 0);
	is_text(buffer.data, "", "adding nothing makes an empty text");
	rf_buffer_add_text(&buffer, "ab");
	rf_buffer_add(&buffer, "c\0d", 3);
	is_int((int64_t) buffer.len, 5, "bytes are counted, NUL too");
	ok(memcmp(buffer.data, "abc\0d", 6) == 0, "bytes are kept and NUL-terminated");

	memset(chunk, 'x', sizeof(chunk));
	for (int i = 0; i < 100; i++)
		rf_buffer_add(&buffer, chunk, sizeof(chunk));
	ok(buffer.len == 30005 && buffer.data[30004] == 'x' &&
	   memcmp(buffer.data, "abc", 3) == 0, "growing keeps what was there");

	rf_buffer_add(&buffer, chunk, SIZE_MAX - 10);
	ok(buffer.failed, "a length that overflows is a failure");
	rf_buffer_free(&buffer);
	rf_buffer_reserve(&buffer, 100);
	rf_buffer_add(&buffer, chunk, 50);
	ok(buffer.capacity >= 100 && buffer.len == 50, "room made beforehand is used");
	rf_buffer_free(&buffer);
	ok(buffer.data == NULL && !buffer.failed, "a freed buffer is empty again");
}

int
main(void)
{
	test_utf8();
	test_words();
	test_json();
	test_excerpt();
	test_buffer();
	return done_testing();
}

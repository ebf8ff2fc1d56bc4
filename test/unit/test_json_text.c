/* JSON strings that we write ourselves: jansson reads them as they were. */
#include <jansson.h>
#include <stdlib.h>

#include "codec/json_text.h"
#include "tap.h"

static void
test_bytes(void)
{
	int			wrong = 0;
	int			wrong_length = 0;

	for (int c = 0; c < 0x80; c++)
	{
		char		text[3] = {'a', (char) c, 'b'};
		RfBuffer	buffer = {0};
		json_t	   *value;

		rf_json_text_add(&buffer, text, 3);
		value = json_loadb(buffer.data, buffer.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		if (json_string_length(value) != 3 || memcmp(json_string_value(value), text, 3) != 0)
			wrong++;
		if (buffer.len != rf_json_text_len(text, 3) + 2)
			wrong_length++;
		json_decref(value);
		rf_buffer_free(&buffer);
	}
	is_int(wrong, 0, "every character is read as it was written");
	is_int(wrong_length, 0, "and takes as many bytes as was foretold");
}

static void
test_members(void)
{
	RfText		words[2] = {{"x\ny", 3}, {"", 0}};
	RfBuffer	buffer = {0};

	rf_buffer_add_text(&buffer, "{");
	rf_json_text_list(&buffer, "none", words, 0);
	rf_json_text_list(&buffer, "list", words, 2);
	rf_json_text_member(&buffer, "text", words[0]);
	rf_buffer_add_text(&buffer, "}");
	is_text(buffer.data, "{\"list\":[\"x\\ny\",\"\"],\"text\":\"x\\ny\"}", "members are parted by commas");
	rf_buffer_free(&buffer);
}

int
main(void)
{
	test_bytes();
	test_members();
	return done_testing();
}

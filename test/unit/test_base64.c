/* Base64 and hexadecimal, read strictly. */
#include "codec/base64.h"
#include "tap.h"

static bool
decodes(const char *text, RfBase64Padding padding, const char *expected, size_t len)
{
	unsigned char out[16];
	size_t		out_len = 99;

	return rf_base64_decode(text, strlen(text), padding, out, sizeof(out), &out_len) &&
		out_len == len && memcmp(out, expected, len) == 0;
}

static bool
refused(const char *text, RfBase64Padding padding)
{
	unsigned char out[16];
	size_t		out_len;

	return !rf_base64_decode(text, strlen(text), padding, out, sizeof(out), &out_len);
}

int
main(void)
{
	unsigned char out[2];
	unsigned char one[1];
	size_t		len;

	ok(decodes("", RF_BASE64_PADDED, "", 0), "nothing is nothing");
	ok(decodes("TWFu", RF_BASE64_PADDED, "Man", 3), "four letters are three bytes");
	ok(decodes("TWE=", RF_BASE64_PADDED, "Ma", 2), "one sign of padding");
	ok(decodes("TQ==", RF_BASE64_PADDED, "M", 1), "two signs of padding");
	ok(decodes("+/+/", RF_BASE64_PADDED, "\373\377\277", 3), "the last two letters");
	ok(decodes("TWE", RF_BASE64_ANY, "Ma", 2), "padding may be left out where that is allowed");
	ok(decodes("TWE=", RF_BASE64_ANY, "Ma", 2), "and need not be");
	ok(decodes("TWF", RF_BASE64_ANY, "Ma", 2), "there, loose bits are dropped");
	ok(refused("TWE", RF_BASE64_PADDED), "else it is missed");
	ok(refused("TWF=", RF_BASE64_PADDED), "loose bits are a second text");
	ok(refused("TR==", RF_BASE64_PADDED), "four of them, too");
	ok(refused("T===", RF_BASE64_PADDED) && refused("T===", RF_BASE64_ANY), "a single letter is none");
	ok(refused("T", RF_BASE64_ANY), "whether padded or not");
	ok(refused("====", RF_BASE64_PADDED), "padding alone is nothing");
	ok(refused("TQ==junk", RF_BASE64_PADDED), "nothing follows the padding");
	ok(refused("TQ==TQ==", RF_BASE64_PADDED), "not a second text either");
	ok(refused("TW Fu", RF_BASE64_ANY) && refused("TWFu\n", RF_BASE64_ANY), "white space is no letter");
	ok(refused("TW-_", RF_BASE64_PADDED), "nor are the letters of URLs");
	ok(!rf_base64_decode("TWFu", 4, RF_BASE64_PADDED, out, 2, &len), "what has no room is refused");
	ok(rf_base64_decode("TWE=", 4, RF_BASE64_PADDED, out, 2, &len) && len == 2, "what just fits is not");

	ok(rf_hex_decode("00ff", 4, out, 2) && out[0] == 0 && out[1] == 255, "hexadecimal");
	ok(!rf_hex_decode("00FF", 4, out, 2), "in lower case only");
	ok(!rf_hex_decode("00f", 3, out, 2) && !rf_hex_decode("00ff00", 6, out, 2), "of exactly that length");
	ok(!rf_hex_decode("0g", 2, one, 1) && !rf_hex_decode("g0", 2, one, 1), "in its letters");
	return done_testing();
}

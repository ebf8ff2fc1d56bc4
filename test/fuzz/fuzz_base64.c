/* Base64: what is decoded is written again as it was. */
#include <openssl/evp.h>

#include "codec/base64.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char out[4096];
	unsigned char again[6000];
	size_t		len = 0;
	bool		strict = rf_base64_decode((const char *) data, size, RF_BASE64_PADDED, out, sizeof(out), &len);

	if (strict)
	{
		MUST(len <= sizeof(out));
		MUST(EVP_EncodeBlock(again, out, (int) len) == (int) size);
		MUST(size == 0 || memcmp(again, data, size) == 0);
		MUST(rf_base64_decode((const char *) data, size, RF_BASE64_ANY, out, sizeof(out), &len));
	}
	if (rf_base64_decode((const char *) data, size, RF_BASE64_ANY, out, 16, &len))
		MUST(len <= 16);
	if (rf_hex_decode((const char *) data, size, out, size / 2))
		MUST(size % 2 == 0);
	return 0;
}

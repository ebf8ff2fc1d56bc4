/* Headers and bodies of webhooks: whatever is read lies inside them, and no key made it. */
#include "fuzz.h"
#include "webhook/key.h"

static RfKey *
key_of(RfScheme scheme)
{
	static RfKey *keys[RF_SCHEMES];
	static const char *const texts[RF_SCHEMES] = {
		"hunter2hunter2", "whsec_fuzz",
		"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==",
		"fuzz", "whsec_ZnV6eg=="
	};

	if (keys[scheme] == NULL)
		keys[scheme] = rf_key_make(scheme, texts[scheme], strlen(texts[scheme]));
	MUST(keys[scheme] != NULL);
	return keys[scheme];
}

static bool
is_inside(RfText part, const char *start, size_t size)
{
	return part.len == 0 || (part.data >= start && part.data + part.len <= start + size);
}

/* Two headers (name and value of each), then the body. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = make_input(data, size);
	RfScheme	scheme = (RfScheme) (take_byte(&input) % RF_SCHEMES);
	RfSignHeaders headers = {0};
	RfSigned	what;
	RfText		body;
	RfKey	   *key;

	for (int i = 0; i < 3; i++)
	{
		RfText		name = take_text(&input);

		rf_sign_headers_add(&headers, name, take_text(&input));
	}
	body.data = input.data;
	body.len = input.len;
	if (rf_signed_read(scheme, &headers, body, &what) == RF_SIGN_OK)
	{
		MUST(what.nsignatures <= RF_SIGNATURES_MAX && what.nparts <= RF_SIGN_PARTS_MAX);
		MUST(what.at_s >= -1 && what.id.len <= RF_SIGN_ID_MAX);
		for (size_t i = 0; i < what.nsignatures; i++)
			MUST(what.signatures[i].len <= RF_SIGNATURE_BYTES);
		for (size_t i = 0; i < what.nparts; i++)
			MUST(is_inside(what.parts[i], (const char *) data, size) || is_inside(what.parts[i], what.own, sizeof(what.own)) ||
				 what.parts[i].len == 1);
		/* A secret that is presented is the only thing a fuzzer can find. */
		MUST(!rf_key_verifies(key_of(scheme), &what) || scheme == RF_SCHEME_NONE);
	}
	(void) rf_signed_in_time(&what, INT64_C(1700000000000000), 300000000);

	/* The same bytes as a key. */
	key = rf_key_make(scheme, body.data, body.len);
	MUST(key == NULL || body.len > 0);
	rf_key_free(key);
	return 0;
}

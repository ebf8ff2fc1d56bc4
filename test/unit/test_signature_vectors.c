/* Signatures recorded from the providers' own libraries: what a strict reader says. */
#include "tap.h"
#include "vectors.h"
#include "webhook/key.h"

#define FOREVER INT64_C(4000000000000000)

static RfText
text_of(const char *text)
{
	RfText		result;

	result.data = text;
	result.len = strlen(text);
	return result;
}

static bool
some_key_verifies(RfScheme scheme, json_t *keys, const RfSigned *what)
{
	bool		verifies = false;
	size_t		nkeys = json_is_array(keys) ? json_array_size(keys) : 1;

	for (size_t i = 0; i < nkeys; i++)
	{
		json_t	   *text = json_is_array(keys) ? json_array_get(keys, i) : keys;
		RfKey	   *key = rf_key_make(scheme, json_string_value(text), json_string_length(text));

		if (key != NULL && rf_key_verifies(key, what))
			verifies = true;
		rf_key_free(key);
	}
	return verifies;
}

static void
check_vector(RfScheme scheme, json_t *vector)
{
	RfSignHeaders headers;
	RfSigned	what;
	RfText		body;
	const char *name;
	json_t	   *value;
	json_t	   *now = json_object_get(vector, "now");
	json_t	   *tolerance = json_object_get(vector, "tolerance_s");
	bool		good;

	memset(&headers, 0, sizeof(headers));
	json_object_foreach(json_object_get(vector, "headers"), name, value)
		rf_sign_headers_add(&headers, text_of(name), text_of(json_string_value(value)));
	body.data = decode_base64(vector_text(vector, "body"), &body.len);
	good = rf_signed_read(scheme, &headers, body, &what) == RF_SIGN_OK &&
		(json_is_null(tolerance) ||
		 rf_signed_in_time(&what, json_integer_value(now) * INT64_C(1000000),
						   json_integer_value(tolerance) * INT64_C(1000000)) == RF_SIGN_OK) &&
		some_key_verifies(scheme, json_object_get(vector, "secret_or_key"), &what);
	ok(good == json_is_true(json_object_get(vector, "expect")), "%s: %s is %s",
	   rf_scheme_text(scheme), vector_text(vector, "name"), good ? "good" : "refused");
	free((char *) body.data);
}

static void
check_file(RfScheme scheme, const char *file, size_t at_least)
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
		check_vector(scheme, vector);
	ok(json_array_size(vectors) >= at_least, "the vectors of %s were all there", rf_scheme_text(scheme));
	json_decref(vectors);
}

int
main(void)
{
	check_file(RF_SCHEME_STRIPE, "stripe.json", 28);
	check_file(RF_SCHEME_SENDGRID, "sendgrid.json", 11);
	check_file(RF_SCHEME_MAILGUN, "mailgun.json", 8);
	check_file(RF_SCHEME_STANDARD, "standard_webhooks.json", 20);
	return done_testing();
}

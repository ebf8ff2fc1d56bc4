/* Recorded answers of providers: each has the outcome class it should have. */
#include <jansson.h>
#include <stdlib.h>

#include "provider/provider.h"
#include "tap.h"

#define NOW INT64_C(1700000000)

/* The decoded bytes, malloc'd; the input is well-formed base64. */
static char *
decode_base64(const char *text, size_t *len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char	   *data = malloc(strlen(text) + 1);
	uint32_t	bits = 0;
	int			nbits = 0;

	*len = 0;
	for (; *text != '\0' && *text != '='; text++)
	{
		const char *digit = strchr(digits, *text);

		bits = (bits << 6) | (uint32_t) (digit != NULL ? digit - digits : 0);
		nbits += 6;
		if (nbits >= 8)
		{
			nbits -= 8;
			data[(*len)++] = (char) ((bits >> nbits) & 0xff);
		}
	}
	data[*len] = '\0';
	return data;
}

static void
check_vector(const RfProvider *provider, json_t *vector)
{
	RfResponse	response = {0};
	RfOutcome	outcome;
	const char *name;
	json_t	   *value;
	bool		good;

	response.status = (int) json_integer_value(json_object_get(vector, "http_status"));
	json_object_foreach(json_object_get(vector, "headers"), name, value)
	{
		char		line[1000];

		snprintf(line, sizeof(line), "%s: %s", name, json_string_value(value));
		rf_response_add_header(&response, line, strlen(line));
	}
	response.body = decode_base64(json_string_value(json_object_get(vector, "body")),
								  &response.body_len);
	provider->read_email_response(&response, NOW, &outcome);

	is_text(rf_outcome_class_text(outcome.class),
			json_string_value(json_object_get(vector, "class")),
			json_string_value(json_object_get(vector, "name")));
	good = json_is_true(json_object_get(vector, "expect"));
	ok(good == (outcome.class == RF_OUTCOME_OK && outcome.taken == RF_TAKEN_YES),
	   "it was %s", good ? "taken" : "not taken for sure");
	rf_response_free(&response);
}

int
main(void)
{
	const char *folder = getenv("RF_VECTORS");
	char		path[1000];
	json_t	   *vectors;
	json_t	   *vector;
	size_t		i;

	snprintf(path, sizeof(path), "%s/http_responses.json",
			 folder != NULL ? folder : "../shared/vectors");
	vectors = json_load_file(path, 0, NULL);
	if (!json_is_array(vectors))
	{
		json_decref(vectors);
		skip("no vectors here: name their folder in RF_VECTORS");
		return done_testing();
	}
	json_array_foreach(vectors, i, vector)
	{
		const RfProvider *provider;

		provider = rf_provider_find(json_string_value(json_object_get(vector, "provider")));
		if (provider != NULL)
			check_vector(provider, vector);
	}
	json_decref(vectors);
	ok(tap_count >= 20, "the vectors of our providers were all there");
	return done_testing();
}

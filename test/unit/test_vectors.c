/* Recorded answers of mail providers: each has the outcome class it should have. */
#include "provider/provider.h"
#include "tap.h"
#include "vectors.h"

#define NOW INT64_C(1700000000)

static void
check_vector(const RfProvider *provider, json_t *vector)
{
	RfResponse	response = vector_response(vector);
	RfOutcome	outcome;
	bool		good;

	provider->read_email_response(&response, NOW, &outcome);

	is_text(rf_outcome_class_text(outcome.class),
			vector_text(vector, "class"), vector_text(vector, "name"));
	good = json_is_true(json_object_get(vector, "expect"));
	ok(good == (outcome.class == RF_OUTCOME_OK && outcome.taken == RF_TAKEN_YES),
	   "it was %s", good ? "taken" : "not taken for sure");
	rf_response_free(&response);
}

int
main(void)
{
	json_t	   *vectors = load_vectors("http_responses.json");
	json_t	   *vector;
	size_t		i;

	if (vectors == NULL)
	{
		skip("no vectors here: name their folder in RF_VECTORS");
		return done_testing();
	}
	json_array_foreach(vectors, i, vector)
	{
		const RfProvider *provider;

		provider = rf_provider_find(vector_text(vector, "provider"));
		if (provider != NULL && provider->sends_email)
			check_vector(provider, vector);
	}
	json_decref(vectors);
	ok(tap_count >= 20, "the vectors of our providers were all there");
	return done_testing();
}

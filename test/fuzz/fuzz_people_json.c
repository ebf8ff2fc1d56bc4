/* What the cache holds, whatever it holds: people or nothing, and the same again. */
#include "lookup.h"
#include "provider/people_json.h"

static void
free_people(RfPerson *people, size_t npeople)
{
	for (size_t i = 0; i < npeople; i++)
		rf_person_free(&people[i]);
	free(people);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	RfPerson   *people;
	RfPerson   *again;
	size_t		npeople;
	size_t		nagain;
	RfBuffer	json = {0};
	RfBuffer	twice = {0};

	if (!rf_people_get_json((const char *) data, size, &people, &npeople))
		return 0;
	for (size_t i = 0; i < npeople; i++)
		check_person(&people[i]);
	rf_people_put_json(&json, people, npeople);
	MUST(!json.failed);
	MUST(rf_people_get_json(json.data, json.len, &again, &nagain) && nagain == npeople);
	rf_people_put_json(&twice, again, nagain);
	MUST(twice.len == json.len && memcmp(twice.data, json.data, json.len) == 0);
	free_people(people, npeople);
	free_people(again, nagain);
	rf_buffer_free(&json);
	rf_buffer_free(&twice);
	return 0;
}

/* People as the cache keeps them: what goes in comes out, and nothing else does. */
#include "people.h"
#include "provider/people_json.h"

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
test_round(void)
{
	RfPerson	people[3];
	RfPerson   *back;
	size_t		nback;
	RfBuffer	json = {0};

	memset(people, 0, sizeof(people));
	people[0].id = strdup("9007199254740993");
	people[0].name = strdup("J\xc3\xb6rg \"JJ\" O'Neil\\\n");
	people[0].first_name = strdup("J\xc3\xb6rg");
	people[0].last_name = strdup("O'Neil");
	people[0].title = strdup("CTO");
	people[0].email = strdup("j@acme.com");
	people[0].email_status = strdup("verified");
	people[0].linkedin = strdup("http://linkedin.com/in/j");
	people[0].organization_name = strdup("Acme");
	people[0].organization_domain = strdup("acme.com");
	people[0].confidence = 0.9;
	people[1].id = strdup("b");
	people[1].confidence = 0.5;
	people[2].email = strdup("k@acme.com");
	people[2].confidence = 0.816;

	rf_people_put_json(&json, people, 3);
	ok(!json.failed && rf_people_get_json(json.data, json.len, &back, &nback), "people become JSON and people again");
	is_int((int64_t) nback, 3, "as many");
	ok(same(back[0].id, people[0].id) && same(back[0].name, people[0].name) &&
	   same(back[0].first_name, people[0].first_name) && same(back[0].last_name, people[0].last_name) &&
	   same(back[0].title, people[0].title) && same(back[0].email, people[0].email) &&
	   same(back[0].email_status, people[0].email_status) && same(back[0].linkedin, people[0].linkedin) &&
	   same(back[0].organization_name, people[0].organization_name) &&
	   same(back[0].organization_domain, people[0].organization_domain), "with all that is known of them");
	ok(back[0].confidence == 0.9 && back[1].confidence == 0.5 && back[2].confidence == 0.816, "and how sure that is");
	ok(back[1].name == NULL && back[1].email == NULL && back[2].id == NULL, "what is not known is not");
	for (size_t i = 0; i < nback; i++)
		rf_person_free(&back[i]);
	free(back);
	rf_buffer_free(&json);
	for (size_t i = 0; i < 3; i++)
		rf_person_free(&people[i]);

	rf_people_put_json(&json, NULL, 0);
	ok(rf_people_get_json(json.data, json.len, &back, &nback) && nback == 0, "so does nobody");
	free(back);
	rf_buffer_free(&json);
}

static void
refuse(const char *json)
{
	RfPerson	some;
	RfPerson   *people = &some;
	size_t		npeople = 7;

	ok(!rf_people_get_json(json, strlen(json), &people, &npeople) && people == NULL && npeople == 0,
	   "%s is no people", json);
}

static void
test_odd(void)
{
	static const char odd[] = "[{\"id\":7,\"name\":\"\",\"email\":\"\",\"confidence\":99},{}]";
	RfPerson   *people;
	size_t		npeople;

	refuse("");
	refuse("{}");
	refuse("[1]");
	refuse("[{},null]");
	refuse("[{}");
	refuse("[{\"id\":\"a\\u0000b\"}]");
	ok(rf_people_get_json(odd, strlen(odd), &people, &npeople) && npeople == 2, "odd members are left out");
	ok(people[0].id == NULL && people[0].name == NULL && people[0].email == NULL &&
	   people[0].confidence == RF_CONFIDENCE_NO_EMAIL, "and no more is believed than without them");
	free(people);
}

static void
test_latin(void)
{
	RfPerson	person = {0};
	RfBuffer	json = {0};

	person.name = strdup("J\xf6rg");
	rf_people_put_json(&json, &person, 1);
	ok(json.failed, "what is not UTF-8 is not kept");
	rf_buffer_free(&json);
	rf_person_free(&person);
}

int
main(void)
{
	test_round();
	test_odd();
	test_latin();
	return done_testing();
}

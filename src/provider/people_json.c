/*-------------------------------------------------------------------------
 *
 * people_json.c
 *	  People as JSON of our own, as the cache keeps them.
 *
 * Only what a search returns is kept, not what else a provider says of a
 * person.  Reading trusts nothing: the cache is a table.
 *
 * IDENTIFICATION
 *	  src/provider/people_json.c
 *
 *-------------------------------------------------------------------------
 */
#include "provider/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json_text.h"
#include "provider/lookup.h"

#include "provider/people_json.h"

/* Each member of RfPerson that is text, by its name in JSON. */
static const struct
{
	const char *name;
	size_t		offset;
}			members[] = {
	{"id", offsetof(RfPerson, id)},
	{"name", offsetof(RfPerson, name)},
	{"first_name", offsetof(RfPerson, first_name)},
	{"last_name", offsetof(RfPerson, last_name)},
	{"title", offsetof(RfPerson, title)},
	{"email", offsetof(RfPerson, email)},
	{"email_status", offsetof(RfPerson, email_status)},
	{"linkedin", offsetof(RfPerson, linkedin)},
	{"organization_name", offsetof(RfPerson, organization_name)},
	{"organization_domain", offsetof(RfPerson, organization_domain)}
};

#define NMEMBERS (sizeof(members) / sizeof(members[0]))

static void put_person(RfBuffer *out, const RfPerson *person);
static bool get_person(json_t *row, RfPerson *person);
static char **member_of(RfPerson *person, size_t i);

void
rf_people_put_json(RfBuffer *out, const RfPerson *people, size_t npeople)
{
	rf_buffer_add_text(out, "[");
	for (size_t i = 0; i < npeople; i++)
	{
		if (i > 0)
			rf_buffer_add_text(out, ",");
		put_person(out, &people[i]);
	}
	rf_buffer_add_text(out, "]");
}

bool
rf_people_get_json(const char *json, size_t len, RfPerson **people, size_t *npeople)
{
	json_t	   *root = json_loadb(json, len, 0, NULL);
	size_t		count = json_array_size(root);
	bool		good = json_is_array(root);

	*npeople = 0;
	*people = good ? calloc(count > 0 ? count : 1, sizeof(RfPerson)) : NULL;
	good = *people != NULL;
	while (good && *npeople < count)
	{
		good = get_person(json_array_get(root, *npeople), &(*people)[*npeople]);
		(*npeople)++;
	}
	json_decref(root);
	if (good)
		return true;
	for (size_t i = 0; i < *npeople; i++)
		rf_person_free(&(*people)[i]);
	free(*people);
	*people = NULL;
	*npeople = 0;
	return false;
}

static void
put_person(RfBuffer *out, const RfPerson *person)
{
	char		number[64];

	snprintf(number, sizeof(number), "{\"confidence\":%.6g", person->confidence);
	rf_buffer_add_text(out, number);
	for (size_t i = 0; i < NMEMBERS; i++)
	{
		const char *text = *member_of((RfPerson *) person, i);
		RfText		value;

		if (text == NULL)
			continue;
		value.data = text;
		value.len = strlen(text);
		rf_json_text_member(out, members[i].name, value);
	}
	rf_buffer_add_text(out, "}");
}

/* False: it is no object, or memory is short.  Freed by the caller. */
static bool
get_person(json_t *row, RfPerson *person)
{
	json_t	   *confidence = json_object_get(row, "confidence");
	bool		failed = !json_is_object(row);

	for (size_t i = 0; i < NMEMBERS; i++)
		*member_of(person, i) = rf_lookup_text(row, members[i].name, &failed);
	rf_person_rate(person);
	if (json_is_number(confidence) &&
		json_number_value(confidence) >= RF_CONFIDENCE_NO_EMAIL &&
		json_number_value(confidence) <= person->confidence)
		person->confidence = json_number_value(confidence);
	return !failed;
}

static char **
member_of(RfPerson *person, size_t i)
{
	return (char **) ((char *) person + members[i].offset);
}

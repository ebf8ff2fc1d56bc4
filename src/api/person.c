/*-------------------------------------------------------------------------
 *
 * person.c
 *	  A person as a row of the SQL type roleferry.person.
 *
 * IDENTIFICATION
 *	  src/api/person.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "api/person.h"
#include "outbox/statement.h"

void
rf_person_put(ReturnSetInfo *result, const RfPerson *person, const char *source)
{
	/* In the order of the type's columns; confidence comes last. */
	const char *texts[RF_PERSON_COLUMNS - 1] = {
		person->name, person->first_name, person->last_name, person->title,
		person->email, person->email_status, person->linkedin,
		person->organization_name, person->organization_domain,
		person->id, source
	};
	Datum		values[RF_PERSON_COLUMNS];
	bool		nulls[RF_PERSON_COLUMNS];

	for (size_t i = 0; i < lengthof(texts); i++)
	{
		nulls[i] = texts[i] == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(rf_text_to_server(texts[i]));
	}
	nulls[RF_PERSON_COLUMNS - 1] = false;
	values[RF_PERSON_COLUMNS - 1] = Float8GetDatum(person->confidence);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

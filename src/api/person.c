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
#include "utils/timestamp.h"

#include "api/person.h"
#include "outbox/statement.h"

static Datum age_datum(int64 age_us);

void
rf_person_put(ReturnSetInfo *result, const RfPerson *person, const char *source,
			  TimestampTz fetched_at)
{
	/* In the order of the type's columns; confidence and age come last. */
	const char *texts[RF_PERSON_COLUMNS - 2] = {
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
	nulls[lengthof(texts)] = false;
	values[lengthof(texts)] = Float8GetDatum(person->confidence);
	nulls[lengthof(texts) + 1] = fetched_at == 0;
	values[lengthof(texts) + 1] = fetched_at == 0 ? (Datum) 0 :
		age_datum(GetCurrentTimestamp() - fetched_at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
age_datum(int64 age_us)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = Max(age_us, 0);
	return IntervalPGetDatum(interval);
}

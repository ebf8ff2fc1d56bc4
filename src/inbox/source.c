/*-------------------------------------------------------------------------
 *
 * source.c
 *	  Where webhooks come from: a row of roleferry.webhook_source.
 *
 * All secrets of a source are tried, so that a new one can be added before the
 * provider uses it and the old one removed after.  One whose file cannot be
 * read is passed over; if none is left, nothing is believed.
 *
 * IDENTIFICATION
 *	  src/inbox/source.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "account/secret.h"
#include "inbox/keyring.h"
#include "outbox/statement.h"
#include "inbox/source.h"

#define EPOCH_US	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static RfSource *read_source(HeapTuple row, TupleDesc desc);
static char *text_column(HeapTuple row, TupleDesc desc, int column);
static const RfKey *find_key(const RfSource *source, const char *secret);

RfSource *
rf_source_find(const char *name)
{
	static RfStatement find = {
		"SELECT s.name, s.scheme, coalesce(s.provider, s.scheme), s.secrets,"
		" (extract(epoch FROM s.tolerance) * 1000000)::pg_catalog.int8, s.max_body, s.content_key, s.shadow"
		" FROM roleferry.webhook_source AS s WHERE s.name = $1 AND s.enabled",
		1, {TEXTOID}, NULL
	};
	Datum		value = CStringGetTextDatum(name);

	if (rf_statement_run(&find, &value, NULL) == 0)
		return NULL;
	return read_source(SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
}

RfSignStatus
rf_source_verify(const RfSource *source, const RfSignHeaders *headers, RfText body,
				 RfSigned *what)
{
	RfSignStatus status = rf_signed_read(source->scheme, headers, body, what);
	bool		any = false;
	bool		verifies = false;
	ListCell   *lc;

	if (status == RF_SIGN_OK)
		status = rf_signed_in_time(what, GetCurrentTimestamp() + EPOCH_US, source->tolerance_us);
	if (status != RF_SIGN_OK)
		return status;
	foreach(lc, source->secrets)
	{
		const RfKey *key = find_key(source, lfirst(lc));

		any |= key != NULL;
		verifies |= key != NULL && rf_key_verifies(key, what);
	}
	if (!any)
		return RF_SIGN_NO_KEY;
	return verifies ? RF_SIGN_OK : RF_SIGN_MISMATCH;
}

static RfSource *
read_source(HeapTuple row, TupleDesc desc)
{
	RfSource   *source = palloc0(sizeof(RfSource));
	char	   *scheme = text_column(row, desc, 2);
	bool		isnull;
	Datum		value;

	source->name = text_column(row, desc, 1);
	if (!rf_scheme_parse(scheme, strlen(scheme), &source->scheme))
		elog(ERROR, "unrecognized scheme \"%s\"", scheme);
	source->provider = text_column(row, desc, 3);
	value = SPI_getbinval(row, desc, 4, &isnull);
	source->secrets = rf_name_list(value, isnull);
	value = SPI_getbinval(row, desc, 5, &isnull);
	source->tolerance_us = isnull ? rf_scheme_tolerance_s(source->scheme) * USECS_PER_SEC :
		DatumGetInt64(value);
	source->max_body = DatumGetInt32(SPI_getbinval(row, desc, 6, &isnull));
	value = SPI_getbinval(row, desc, 7, &isnull);
	source->content_key = rf_name_list(value, isnull);
	source->shadow = DatumGetBool(SPI_getbinval(row, desc, 8, &isnull));
	return source;
}

static char *
text_column(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;

	return TextDatumGetCString(SPI_getbinval(row, desc, column, &isnull));
}

static const RfKey *
find_key(const RfSource *source, const char *name)
{
	char		why[RF_SECRET_WHY_MAX];
	const RfSecret *secret = rf_secret_get(name, false, why);

	return secret == NULL ? NULL :
		rf_keyring_get(source->scheme, rf_secret_text(secret), rf_secret_len(secret));
}

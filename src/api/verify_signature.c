/*-------------------------------------------------------------------------
 *
 * verify_signature.c
 *	  roleferry.verify_signature(): did the holder of a key sign this?
 *
 * Needs no table, no setting and no preloading.  What the caller got wrong
 * raises; what a stranger sent is true or false.
 *
 * IDENTIFICATION
 *	  src/api/verify_signature.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/version.h"
#include "compat.h"
#include "errors.h"
#include "inbox/headers.h"
#include "inbox/keyring.h"

enum
{
	P_SCHEME,
	P_KEYS,
	P_HEADERS,
	P_BODY,
	P_TOLERANCE,
	P_AT,
	NPARAMETERS
};

#define KEYS_MAX	16
#define DEFAULT_TOLERANCE_US	INT64CONST(300000000)
#define EPOCH_US	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static void require_parameters(FunctionCallInfo fcinfo);
static RfScheme scheme_parameter(FunctionCallInfo fcinfo);
static int64 tolerance_parameter(FunctionCallInfo fcinfo);
static Datum *key_parameters(FunctionCallInfo fcinfo, int *nkeys);
static bool some_key_verifies(const Datum *keys, int nkeys, const RfSigned *what);

PG_FUNCTION_INFO_V1(roleferry_verify_signature);

Datum
roleferry_verify_signature(PG_FUNCTION_ARGS)
{
	RfScheme	scheme;
	RfSignHeaders headers;
	RfSigned	what;
	RfText		body;
	bytea	   *bytes;
	Datum	   *keys;
	int			nkeys;
	int64		tolerance_us;
	int64		at_us;

	rf_version_require_arguments(fcinfo, NPARAMETERS);
	require_parameters(fcinfo);
	scheme = scheme_parameter(fcinfo);
	keys = key_parameters(fcinfo, &nkeys);
	tolerance_us = tolerance_parameter(fcinfo);
	at_us = EPOCH_US + (PG_ARGISNULL(P_AT) ? GetCurrentStatementStartTimestamp() :
						PG_GETARG_TIMESTAMPTZ(P_AT));
	if (!rf_headers_read(PG_GETARG_JSONB_P(P_HEADERS), &headers))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"headers\" is not an object"),
				 errhint("Names are its keys: {\"stripe-signature\": \"t=...\"}.")));
	bytes = PG_GETARG_BYTEA_PP(P_BODY);
	body.data = VARDATA_ANY(bytes);
	body.len = VARSIZE_ANY_EXHDR(bytes);

	PG_RETURN_BOOL(rf_signed_read(scheme, &headers, body, &what) == RF_SIGN_OK &&
				   rf_signed_in_time(&what, at_us, tolerance_us) == RF_SIGN_OK &&
				   some_key_verifies(keys, nkeys, &what));
}

/* The others have defaults. */
static void
require_parameters(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"scheme", "keys", "headers", "body"};

	for (int i = 0; i < P_TOLERANCE; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(RF_ERRCODE_BAD_ARGUMENT),
					 errmsg("\"%s\" is null", names[i])));
	}
}

static RfScheme
scheme_parameter(FunctionCallInfo fcinfo)
{
	text	   *name = PG_GETARG_TEXT_PP(P_SCHEME);
	RfScheme	scheme;

	if (!rf_scheme_parse(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), &scheme))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("unrecognized value for \"scheme\": \"%s\"", text_to_cstring(name)),
				 errhint("Valid values are: stripe, sendgrid, mailgun, standard, none.")));
	return scheme;
}

static int64
tolerance_parameter(FunctionCallInfo fcinfo)
{
	Interval   *tolerance;
	int64		days;
	int64		us;

	if (PG_ARGISNULL(P_TOLERANCE))
		return DEFAULT_TOLERANCE_US;
	tolerance = PG_GETARG_INTERVAL_P(P_TOLERANCE);
	days = (int64) tolerance->month * DAYS_PER_MONTH + tolerance->day;
	if (pg_mul_s64_overflow(days, USECS_PER_DAY, &us) ||
		pg_add_s64_overflow(us, tolerance->time, &us) || us <= 0)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"tolerance\" is not a positive interval"),
				 errhint("Without a limit of age a recorded request could be sent again for ever.")));
	return us;
}

static Datum *
key_parameters(FunctionCallInfo fcinfo, int *nkeys)
{
	Datum	   *keys;
	bool	   *nulls;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(P_KEYS), TEXTOID, -1, false, TYPALIGN_INT,
					  &keys, &nulls, nkeys);
	if (*nkeys == 0 || *nkeys > KEYS_MAX)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"keys\" has %d elements", *nkeys),
				 errhint("It must have 1 to %d: several while one replaces another.", KEYS_MAX)));
	for (int i = 0; i < *nkeys; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(RF_ERRCODE_BAD_ARGUMENT),
					 errmsg("\"keys[%d]\" is null", i + 1)));
	}
	return keys;
}

static bool
some_key_verifies(const Datum *keys, int nkeys, const RfSigned *what)
{
	bool		verifies = false;

	for (int i = 0; i < nkeys; i++)
	{
		text	   *secret = DatumGetTextPP(keys[i]);
		const RfKey *key = rf_keyring_get(what->scheme, VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret));

		if (key != NULL && rf_key_verifies(key, what))
			verifies = true;
	}
	return verifies;
}

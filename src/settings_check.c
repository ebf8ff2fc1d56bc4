/*-------------------------------------------------------------------------
 *
 * settings_check.c
 *	  What a configuration parameter's value must satisfy.
 *
 * IDENTIFICATION
 *	  src/settings_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "codec/address.h"
#include "compat.h"
#include "core/dogstatsd.h"
#include "settings.h"
#include "settings_check.h"

#define RF_URL_MAX		300
#define URL_CHARACTERS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?[]@!$&'()*+;=%"

/* A list that cannot be read is refused: the one in force stays. */
bool
rf_check_names(char **value, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*value ? *value : "");
	List	   *names = NIL;
	bool		good = SplitIdentifierString(copy, ',', &names);

	if (!good)
		GUC_check_errdetail("It is not a list of names separated by commas; a name with other characters than letters, digits and underscores stands in double quotes.");
	list_free(names);
	pfree(copy);
	return good;
}

bool
rf_check_dogstatsd(char **value, void **extra, GucSource source)
{
	RfStatsdTarget target;

	if (rf_statsd_target_parse(*value ? *value : "", &target))
		return true;
	GUC_check_errdetail("It is neither a numeric address and a port, as in 127.0.0.1:8125 or [::1]:8125, nor a path.");
	return false;
}

/* Without a name: it takes the place of others, which have theirs. */
bool
rf_check_address(char **value, void **extra, GucSource source)
{
	RfAddress	address;
	size_t		len = *value ? strlen(*value) : 0;

	if (len == 0 ||
		(rf_address_parse(*value, len, &address) == RF_ADDRESS_OK && address.email_len == len))
		return true;
	GUC_check_errdetail("It is not one e-mail address, as in staging@example.com.");
	return false;
}

/* It stands in a header, in angle brackets, with a token behind it. */
bool
rf_check_https_url(char **value, void **extra, GucSource source)
{
	const char *url = *value ? *value : "";
	size_t		len = strlen(url);

	if (len == 0)
		return true;
	if (strncmp(url, "https://", 8) == 0 && len > 8 && len <= RF_URL_MAX &&
		strspn(url, URL_CHARACTERS) == len)
		return true;
	GUC_check_errdetail("It is not an https URL of at most %d characters, without a fragment.", RF_URL_MAX);
	return false;
}

/* Did the server's configuration say so, or somebody for this session? */
bool
rf_check_mode(int *value, void **extra, GucSource source)
{
	bool	   *own = rf_guc_malloc(sizeof(bool));

	if (own == NULL)
		return false;
	*own = source > PGC_S_ARGV;
	*extra = own;
	return true;
}

void
rf_assign_mode(int value, void *extra)
{
	rf_mode_is_own = extra != NULL && *(bool *) extra;
	if (!IsUnderPostmaster && rf_mode_of_server_changed != NULL)
		rf_mode_of_server_changed(value);
}

/*-------------------------------------------------------------------------
 *
 * unsubscribe.c
 *	  The link in a mail for leaving its stream, and its keys.
 *
 * The first of roleferry.unsubscribe_secrets makes tokens, all of them read
 * them: a key is replaced by putting a new one before it, and can go when the
 * mails that it was used for are old.
 *
 * IDENTIFICATION
 *	  src/outbox/unsubscribe.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/varlena.h"

#include "account/secret.h"
#include "errors.h"
#include "outbox/suppression.h"
#include "outbox/unsubscribe.h"
#include "provider/events.h"
#include "settings.h"

/* Where roleferry.unsubscribe_secrets is empty. */
#define DEFAULT_SECRET	"unsubscribe"

static List *secret_names(void);

char *
rf_unsubscribe_url_of(const RfEmail *email, char why[RF_UNSUBSCRIBE_WHY_MAX])
{
	char		problem[RF_SECRET_WHY_MAX];
	char		token[RF_UNSUBSCRIBE_TOKEN_SIZE];
	char		address[RF_EVENT_ADDRESS_MAX + 1];
	const RfSecret *secret;
	RfUnsubscribe what;

	if (rf_unsubscribe_url == NULL || rf_unsubscribe_url[0] == '\0')
	{
		strlcpy(why, "roleferry.unsubscribe_url is not set", RF_UNSUBSCRIBE_WHY_MAX);
		return NULL;
	}
	secret = rf_secret_get(linitial(secret_names()), false, problem);
	if (secret == NULL)
	{
		snprintf(why, RF_UNSUBSCRIBE_WHY_MAX, "the key for unsubscribing cannot be read: %s", problem);
		return NULL;
	}
	memset(&what, 0, sizeof(what));
	if (!rf_event_fold_address(email->to_addr.data, email->to_addr.len, address) ||
		strlcpy(what.address, address, sizeof(what.address)) >= sizeof(what.address))
		what.address[0] = '\0';
	if (email->stream.data == NULL)
		strlcpy(what.stream, RF_DEFAULT_STREAM, sizeof(what.stream));
	else if (email->stream.len < sizeof(what.stream))
		memcpy(what.stream, email->stream.data, email->stream.len);
	if (what.address[0] == '\0' ||
		!rf_unsubscribe_token_make(rf_secret_text(secret), rf_secret_len(secret), &what, token))
	{
		strlcpy(why, "the link for unsubscribing could not be made", RF_UNSUBSCRIBE_WHY_MAX);
		return NULL;
	}
	return psprintf("%s%ctoken=%s", rf_unsubscribe_url,
					strchr(rf_unsubscribe_url, '?') != NULL ? '&' : '?', token);
}

bool
rf_unsubscribe_verify(const char *token, size_t len, RfUnsubscribe *what)
{
	char		problem[RF_SECRET_WHY_MAX] = "";
	bool		any = false;
	ListCell   *lc;

	foreach(lc, secret_names())
	{
		const RfSecret *secret = rf_secret_get(lfirst(lc), false, problem);

		if (secret == NULL)
			continue;
		any = true;
		if (rf_unsubscribe_token_read(rf_secret_text(secret), rf_secret_len(secret), token, len, what))
			return true;
	}
	if (!any)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("no key for unsubscribing can be read"),
				 errdetail_internal("%s", problem),
				 errhint("They are the files of roleferry.unsubscribe_secrets in roleferry.secrets_directory.")));
	return false;
}

/* Never empty. */
static List *
secret_names(void)
{
	List	   *names = NIL;

	if (rf_unsubscribe_secrets == NULL ||
		!SplitIdentifierString(pstrdup(rf_unsubscribe_secrets), ',', &names) || names == NIL)
		names = list_make1(pstrdup(DEFAULT_SECRET));
	return names;
}

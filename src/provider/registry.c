/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  All adapters, by name.
 *
 * IDENTIFICATION
 *	  src/provider/registry.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "provider/adapters.h"

#include "provider/provider.h"

static const RfProvider *const providers[] = {
	&rf_provider_sendgrid,
	&rf_provider_mailgun,
	&rf_provider_apollo,
	&rf_provider_neverbounce,
	&rf_provider_hunter,
};

#define PROVIDER_COUNT (sizeof(providers) / sizeof(providers[0]))

const RfProvider *
rf_provider_find(const char *name)
{
	for (size_t i = 0; name != NULL && i < PROVIDER_COUNT; i++)
	{
		if (strcmp(providers[i]->name, name) == 0)
			return providers[i];
	}
	return NULL;
}

const RfProvider *
rf_provider_at(size_t index)
{
	return index < PROVIDER_COUNT ? providers[index] : NULL;
}

/* NULL: the account wants a region in which the provider has no host. */
const char *
rf_provider_base_url(const RfProvider *provider, const RfAccountConfig *account)
{
	if (account->base_url != NULL && account->base_url[0] != '\0')
		return account->base_url;
	if (account->region != NULL && strcmp(account->region, "eu") == 0)
		return provider->base_url_eu;
	return provider->base_url_us;
}

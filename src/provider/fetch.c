/*-------------------------------------------------------------------------
 *
 * fetch.c
 *	  A question to a provider that changes nothing there.
 *
 * IDENTIFICATION
 *	  src/provider/fetch.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "provider/fetch.h"

static bool is_path_safe(const char *path);
static bool set_url(const RfProvider *provider, const RfAccountConfig *account,
					const char *path, RfRequest *request);

bool
rf_fetch_build(const RfProvider *provider, const RfAccountConfig *account,
			   const char *path, const char *body, size_t body_len,
			   RfRequest *request)
{
	if (account->secret == NULL || !is_path_safe(path) ||
		!set_url(provider, account, path, request) ||
		!provider->authorize(account, request) ||
		!rf_request_add_header(request, "Content-Type", "application/json") ||
		!rf_request_add_header(request, "Accept", "application/json") ||
		(request->body = malloc(body_len + 1)) == NULL)
	{
		rf_request_free(request);
		return false;
	}
	memcpy(request->body, body, body_len);
	request->body[body_len] = '\0';
	request->body_len = body_len;
	return true;
}

static bool
is_path_safe(const char *path)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";

	return path[0] == '/' && strstr(path, "..") == NULL &&
		path[strspn(path, allowed)] == '\0';
}

static bool
set_url(const RfProvider *provider, const RfAccountConfig *account,
		const char *path, RfRequest *request)
{
	const char *base_url = rf_provider_base_url(provider, account);
	RfBuffer	url = {0};
	bool		good;

	if (base_url == NULL)
		return false;
	rf_buffer_add_text(&url, base_url);
	rf_buffer_add_text(&url, path);
	good = !url.failed && rf_request_set_url(request, url.data);
	rf_buffer_free(&url);
	return good;
}

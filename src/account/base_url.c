/*-------------------------------------------------------------------------
 *
 * base_url.c
 *	  The option "base_url": scheme, host and port, and nothing else.
 *
 * Parsing has no network effect.  Nothing between the creation of libcurl's
 * handle and its release can raise.
 *
 * IDENTIFICATION
 *	  src/account/base_url.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>

#include "account/base_url.h"

static bool get_url_part(CURLU *handle, CURLUPart part, unsigned int flags,
						 char *out, size_t size);
static bool equals_entry(const char *name, const char *entry, size_t len);

/*
 * libcurl's parser decides what the host is, because libcurl will connect to
 * it; what it would tolerate beyond scheme, host and port is refused before
 * and after.
 */
const char *
rf_base_url_parse(const char *value, RfBaseUrl *out)
{
	const char *rest;
	char		path[8];
	CURLU	   *handle;
	bool		parsed;

	for (const char *c = value; *c != '\0'; c++)
	{
		if (*c <= ' ' || *c >= 0x7f || *c == '\\' || *c == '%')
			return "must hold only letters, digits and the punctuation of a URL";
	}

	out->https = strncmp(value, "https://", 8) == 0;
	if (!out->https && strncmp(value, "http://", 7) != 0)
		return "must be an https URL";
	rest = value + (out->https ? 8 : 7);
	if (*rest == '/' || *rest == '\0')
		return "must name a host";
	if (strpbrk(rest, "?#") != NULL)
		return "must not hold a query or a fragment";
	if (strchr(rest, '@') != NULL)
		return "must not hold a user name or a password";

	handle = curl_url();
	parsed = handle != NULL &&
		curl_url_set(handle, CURLUPART_URL, value, CURLU_PATH_AS_IS) == CURLUE_OK &&
		get_url_part(handle, CURLUPART_HOST, 0, out->host, sizeof(out->host)) &&
		get_url_part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT,
					 out->port, sizeof(out->port));
	if (parsed && !get_url_part(handle, CURLUPART_PATH, 0, path, sizeof(path)))
		strlcpy(path, "too long", sizeof(path));
	curl_url_cleanup(handle);

	if (!parsed || strcmp(out->port, "0") == 0)
		return "must be a valid URL";
	if (strcmp(path, "/") != 0)
		return "must not hold a path";
	return NULL;
}

bool
rf_base_url_is_listed(const RfBaseUrl *url, const char *list)
{
	static const char *const separators = ", \t\n";
	char		host_port[sizeof(url->host) + sizeof(url->port)];

	snprintf(host_port, sizeof(host_port), "%s:%s", url->host, url->port);
	for (;;)
	{
		size_t		len;

		list += strspn(list, separators);
		len = strcspn(list, separators);
		if (len == 0)
			return false;
		if (equals_entry(url->host, list, len) ||
			equals_entry(host_port, list, len))
			return true;
		list += len;
	}
}

/* Copies one part of a URL; false when it is not there or does not fit. */
static bool
get_url_part(CURLU *handle, CURLUPart part, unsigned int flags,
			 char *out, size_t size)
{
	char	   *found = NULL;
	bool		fits;

	if (curl_url_get(handle, part, &found, flags) != CURLUE_OK)
		return false;
	fits = strlcpy(out, found, size) < size;
	curl_free(found);
	return fits && out[0] != '\0';
}

/* Host names have no case. */
static bool
equals_entry(const char *name, const char *entry, size_t len)
{
	return strlen(name) == len && pg_strncasecmp(name, entry, len) == 0;
}

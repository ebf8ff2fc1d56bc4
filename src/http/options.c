/*-------------------------------------------------------------------------
 *
 * options.c
 *	  What libcurl is told about a transfer.
 *
 * Setting a handle up costs as much as building a request, so one keeps what
 * is the same for every transfer under the same settings.  What is a transfer's
 * own (URL, headers, body) is taken out of it when the transfer has ended, so
 * that nothing of it can reach the next one.  After anything but an answer,
 * after a form, and when something else is to be set, the handle is reset.  One
 * that will not be set anew is replaced: libcurl 7.88 keeps the read buffer of
 * one whose name could not be resolved, and no longer takes a size for it.  The
 * environment has no say: proxy, netrc and protocols are set.  There is no
 * verbose mode.
 *
 * IDENTIFICATION
 *	  src/http/options.c
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "http/shortage.h"
#include "http/state.h"

/*
 * Answers are small; 400 buffers of the default 16 and 64 KB are not.  One of
 * 1 KB holds an answer's headers, and malloc() has such blocks at hand, which
 * matters since libcurl asks for it anew with each transfer.
 */
#define READ_BUFFER_BYTES	1024L
#define WRITE_BUFFER_BYTES	16384L

static const char refused_option[] = "the transfer library refused an option";

/* Sets one option unless an earlier one failed. */
#define SET(option, value) \
	do { \
		if (code == CURLE_OK) \
			code = curl_easy_setopt(easy, option, value); \
	} while (0)

static const char *apply(RfTransferState *state, const char *protocols);
static bool renew_handle(RfTransferState *state);
static bool is_set_up(const RfTransferState *state, const char *protocols);
static void note_set_up(RfTransferState *state, const char *protocols);
static void reset_handle(RfTransferState *state);
static bool empty_handle(CURL *easy);
static CURLcode set_callbacks(RfTransferState *state);
static CURLcode set_connection(RfTransferState *state);
static CURLcode set_security(RfTransferState *state, const char *protocols);
static bool is_openssl(void);
static CURLcode set_plaintext_wiped(CURL *easy, void *ctx, void *arg);
static CURLcode set_payload(RfTransferState *state);
static CURLU *parse_url(RfTransferState *state);

const char *
rf_options_apply(RfTransferState *state, const char *protocols)
{
	const char *why = apply(state, protocols);

	if (why == refused_option)
		why = renew_handle(state) ? apply(state, protocols) : rf_shortage_of_memory;
	return why;
}

static const char *
apply(RfTransferState *state, const char *protocols)
{
	const char *why = rf_payload_make_headers(state);

	if (why != NULL)
		return why;
	if (!is_set_up(state, protocols))
	{
		reset_handle(state);
		if (set_callbacks(state) != CURLE_OK ||
			set_connection(state) != CURLE_OK ||
			set_security(state, protocols) != CURLE_OK)
			return refused_option;
		note_set_up(state, protocols);
	}
	if (state->transfer->request.nfields > 0 && !rf_payload_make_form(state))
		return rf_shortage_of_memory;
	return set_payload(state) == CURLE_OK ? NULL : refused_option;
}

/* Is the handle as this transfer needs it, but for what is its own? */
static bool
is_set_up(const RfTransferState *state, const char *protocols)
{
	return state->set_up == state->setup &&
		state->set_up_protocols == protocols &&
		state->set_up_named == (state->host != NULL) &&
		state->set_up_probing == state->probing;
}

static void
note_set_up(RfTransferState *state, const char *protocols)
{
	state->set_up = rf_setup_share(state->setup);
	state->set_up_protocols = protocols;
	state->set_up_named = state->host != NULL;
	state->set_up_probing = state->probing;
}

static void
reset_handle(RfTransferState *state)
{
	if (state->easy != NULL)
		curl_easy_reset(state->easy);
	rf_options_forget(state);
}

void
rf_options_new_handle(RfTransferState *state)
{
	rf_options_forget(state);
	state->easy = curl_easy_init();
}

void
rf_options_forget(RfTransferState *state)
{
	rf_setup_release(state->set_up);
	state->set_up = NULL;
}

static bool
renew_handle(RfTransferState *state)
{
	rf_options_clear(state, false);
	curl_easy_cleanup(state->easy);
	rf_options_new_handle(state);
	return state->easy != NULL;
}

/* The handle forgets what is the transfer's, or all; secrets are wiped. */
void
rf_options_clear(RfTransferState *state, bool keep)
{
	if (!keep || state->easy == NULL || state->mime != NULL || !empty_handle(state->easy))
		reset_handle(state);
	rf_payload_free(state);
}

/* False: libcurl would not. */
static bool
empty_handle(CURL *easy)
{
	CURLcode	code = CURLE_OK;

	SET(CURLOPT_URL, NULL);
	SET(CURLOPT_HTTPHEADER, NULL);
	SET(CURLOPT_POSTFIELDS, NULL);
	return code == CURLE_OK;
}

static CURLcode
set_callbacks(RfTransferState *state)
{
	CURL	   *easy = state->easy;
	CURLcode	code = CURLE_OK;

	SET(CURLOPT_PRIVATE, (void *) state);
	SET(CURLOPT_PREREQFUNCTION, rf_guard_prerequest);
	SET(CURLOPT_PREREQDATA, (void *) state);
	SET(CURLOPT_OPENSOCKETFUNCTION, rf_guard_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, (void *) state);
	SET(CURLOPT_HEADERFUNCTION, rf_answer_header);
	SET(CURLOPT_HEADERDATA, (void *) state);
	SET(CURLOPT_WRITEFUNCTION, rf_answer_body);
	SET(CURLOPT_WRITEDATA, (void *) state);
	if (state->host != NULL)
	{
		SET(CURLOPT_RESOLVER_START_FUNCTION, rf_guard_resolve);
		SET(CURLOPT_RESOLVER_START_DATA, (void *) state);
	}
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);	/* a proxy's are no answer */
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROGRESS, 1L);
	return code;
}

/*
 * Deadlines are the engine's.  libcurl's connect timeout is later than ours
 * and only there because libcurl gives the first of several addresses half of
 * it: three quarters of ours, so that a dead address leaves time for the next.
 * A connection has no greatest age: a busy one is known to be alive, and an
 * idle one is too old after seconds.
 */
static CURLcode
set_connection(RfTransferState *state)
{
	CURL	   *easy = state->easy;
	const RfHttpSetup *setup = state->setup;
	int64_t		connect_ms = setup->connect_timeout_us / 1000 * 3 / 2 + 1;
	CURLcode	code = CURLE_OK;

	if (setup->connect_timeout_us <= 0 || connect_ms > INT_MAX)
		connect_ms = INT_MAX;
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) connect_ms);
	SET(CURLOPT_TIMEOUT_MS, 0L);
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_DNS_CACHE_TIMEOUT,
		(long) (state->probing ? RF_HOST_FRESH_S : RF_HOST_DNS_CACHE_S));
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 0L);
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_BUFFERSIZE, READ_BUFFER_BYTES);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, WRITE_BUFFER_BYTES);
	SET(CURLOPT_PROXY, setup->proxy);	/* "" overrules the environment */
	SET(CURLOPT_NOPROXY, "");

	/*
	 * libcurl compares whole seconds, and keeps those that are equal.  Newer
	 * versions take 0 for "any age".
	 */
	if (setup->reuse_max_idle_s > 1)
		SET(CURLOPT_MAXAGE_CONN, (long) setup->reuse_max_idle_s - 1);
	else
	{
		SET(CURLOPT_FRESH_CONNECT, 1L);
		SET(CURLOPT_FORBID_REUSE, 1L);
	}
	return code;
}

static CURLcode
set_security(RfTransferState *state, const char *protocols)
{
	CURL	   *easy = state->easy;
	const char *ca = state->setup->ca_spelling;
	CURLcode	code = CURLE_OK;

	SET(CURLOPT_PROTOCOLS_STR, protocols);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_PROXY_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (is_openssl())
		SET(CURLOPT_SSL_CTX_FUNCTION, set_plaintext_wiped);

	/* The parsed bundle is kept only if it is one file: see setup.c. */
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_PROXY_CAPATH, NULL);
	if (*ca != '\0')
	{
		SET(CURLOPT_CAINFO, ca);
		SET(CURLOPT_PROXY_CAINFO, ca);
	}
	return code;
}

/* Of libcurl's TLS libraries the one that we know, too. */
static bool
is_openssl(void)
{
	static int	known = -1;

	if (known < 0)
	{
		const char *name = curl_version_info(CURLVERSION_NOW)->ssl_version;

		known = name != NULL && strncmp(name, "OpenSSL/", 8) == 0;
	}
	return known;
}

/* An answer may repeat the key, and buffers of connections live long. */
static CURLcode
set_plaintext_wiped(CURL *easy, void *ctx, void *arg)
{
	(void) easy;
	(void) arg;
	SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT);
	return CURLE_OK;
}

/* No Accept-Encoding: nothing is inflated.  Nothing here copies the body. */
static CURLcode
set_payload(RfTransferState *state)
{
	CURL	   *easy = state->easy;
	const RfRequest *request = &state->transfer->request;
	CURLcode	code = CURLE_OK;

	/*
	 * In this order: newer versions forget the URL when they are given a
	 * CURLU, even none.
	 */
	SET(CURLOPT_CURLU, parse_url(state));
	SET(CURLOPT_URL, request->url);
	SET(CURLOPT_HTTPHEADER, state->headers);
	if (request->get)
		SET(CURLOPT_HTTPGET, 1L);
	else if (state->mime != NULL)
		SET(CURLOPT_MIMEPOST, state->mime);
	else
	{
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
		SET(CURLOPT_POSTFIELDS, request->body != NULL ? request->body : "");
	}
	return code;
}

/*
 * Most requests have the URL of the one before, and libcurl would take it to
 * pieces each time.  NULL: it is left to libcurl.  What has a query may hold a
 * key, which is not kept.
 */
static CURLU *
parse_url(RfTransferState *state)
{
	const char *url = state->transfer->request.url;

	if (state->url_text != NULL && strcmp(state->url_text, url) == 0)
		return state->url;
	(void) curl_easy_setopt(state->easy, CURLOPT_CURLU, NULL);
	curl_url_cleanup(state->url);
	free(state->url_text);
	state->url = NULL;
	state->url_text = NULL;
	if (strchr(url, '?') != NULL)
		return NULL;
	state->url = curl_url();
	state->url_text = strdup(url);
	if (state->url != NULL && state->url_text != NULL &&
		curl_url_set(state->url, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK)
		return state->url;
	curl_url_cleanup(state->url);
	free(state->url_text);
	state->url = NULL;
	state->url_text = NULL;
	return NULL;
}

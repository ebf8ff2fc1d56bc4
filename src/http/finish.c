/*-------------------------------------------------------------------------
 *
 * finish.c
 *	  The end of a transfer: what is known, and in what words.
 *
 * Three facts decide, and libcurl's result is not one of them: was a final
 * status line read (answered), did the once-guard ever let it through (if not,
 * no byte of the request can have left), and else nobody can know.
 *
 * The words are for people.  They are fixed phrases of ours or libcurl's, so
 * neither URL nor header nor secret can be in them.
 *
 * IDENTIFICATION
 *	  src/http/finish.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http/shortage.h"
#include "http/state.h"

/* OpenSSL's X509_V_ERR_..., as CURLINFO_SSL_VERIFYRESULT gives them. */
#define CERT_NOT_JUDGED		1	/* the name is compared first */
#define CERT_NOT_YET_VALID	9
#define CERT_HAS_EXPIRED	10
#define CERT_SELF_SIGNED	18
#define CERT_SELF_IN_CHAIN	19
#define CERT_NO_ISSUER		20
#define CERT_NO_ISSUER_LEAF	21

static void classify(RfTransferState *state, CURLcode code);
static void blame_shortage(RfTransferState *state, CURLcode code);
static void set_why(RfTransfer *transfer, const char *why);
static const char *words_before(RfTransferState *state, CURLcode code);
static const char *words_after(CURLcode code);
static const char *connect_words(CURL *easy);
static const char *certificate_words(CURL *easy);
static void leave_host(RfTransferState *state, CURLcode code);
static void forget(RfTransferState *state, bool answered);

void
rf_finish_transfer(RfTransferState *state, CURLcode code)
{
	RfHttpEngine *engine = state->engine;

	classify(state, code);
	state->transfer->finished_us = engine->now_us;

	/* Ends a transfer that libcurl still has, and closes its connection. */
	if (state->easy != NULL && engine->multi != NULL &&
		curl_multi_remove_handle(engine->multi, state->easy) != CURLM_OK)
	{
		engine->broken = true;
		state->easy = NULL;
	}
	leave_host(state, code);
	forget(state, code == CURLE_OK && state->transfer->end == RF_TRANSFER_ANSWERED);

	if (state->prev != NULL)
		state->prev->next = state->next;
	else
		engine->running = state->next;
	if (state->next != NULL)
		state->next->prev = state->prev;
	engine->nrunning--;
	if (engine->nrunning == 0)
		engine->earliest_us = RF_NEVER_US;

	state->phase = RF_PHASE_FINISHED;
	state->next = NULL;
	state->prev = NULL;
	if (engine->finished_last != NULL)
		engine->finished_last->next = state;
	else
		engine->finished_first = state;
	engine->finished_last = state;
}

/* It was never handed to libcurl; state is NULL when there was none to be had. */
void
rf_finish_refused(RfTransferState *state, RfTransfer *transfer,
				  const char *why, int64_t now_us)
{
	transfer->end = RF_TRANSFER_NOT_SENT;
	transfer->starved = why == rf_shortage_of_memory;
	set_why(transfer, why);
	transfer->started_us = now_us;
	transfer->finished_us = now_us;
	transfer->state = NULL;
	if (state == NULL)
		return;
	leave_host(state, CURLE_ABORTED_BY_CALLBACK);
	forget(state, false);
	state->phase = RF_PHASE_POOLED;
	state->transfer = NULL;
	state->next = state->engine->pool;
	state->engine->pool = state;
}

static void
classify(RfTransferState *state, CURLcode code)
{
	RfTransfer *transfer = state->transfer;

	transfer->timed_out = code == CURLE_OPERATION_TIMEDOUT;
	transfer->why[0] = '\0';
	if (transfer->response.status != 0)
	{
		transfer->end = RF_TRANSFER_ANSWERED;
		if (code != CURLE_OK)
			transfer->response.truncated = true;
		return;
	}

	transfer->end = state->sent ? RF_TRANSFER_AMBIGUOUS : RF_TRANSFER_NOT_SENT;
	if (!state->sent && state->why == NULL)
		blame_shortage(state, code);
	transfer->starved = !state->sent && state->starved;
	if (state->why != NULL)
		set_why(transfer, state->why);
	else
		set_why(transfer, state->sent ? words_after(code) : words_before(state, code));
	rf_response_free(&transfer->response);	/* headers of an interim answer */
}

/*
 * libcurl rarely says that it failed for want of a descriptor or of memory:
 * with neither, a name is not found and a certificate not read.
 */
static void
blame_shortage(RfTransferState *state, CURLcode code)
{
	state->why = rf_shortage_now(state->engine->epoll_fd);
	if (state->why == NULL && code == CURLE_OUT_OF_MEMORY)
		state->why = rf_shortage_of_memory;
	state->starved = state->why != NULL;
}

static void
set_why(RfTransfer *transfer, const char *why)
{
	snprintf(transfer->why, sizeof(transfer->why), "%s", why);
	/* libcurl's sentences begin in upper case; abbreviations stay. */
	if (!isupper((unsigned char) transfer->why[1]))
		transfer->why[0] = (char) tolower((unsigned char) transfer->why[0]);
}

/* It ended before the request could leave. */
static const char *
words_before(RfTransferState *state, CURLcode code)
{
	long		proxy_status = 0;

	if (state->easy == NULL)
		return "the transfer library failed";
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return "the host's name could not be resolved";
	if (code == CURLE_COULDNT_RESOLVE_PROXY)
		return "the proxy's name could not be resolved";
	/* Which code libcurl gives to a proxy's refusal depends on its version. */
	curl_easy_getinfo(state->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
	if (proxy_status >= 300)
		return "the proxy refused the connection";
	if (code == CURLE_COULDNT_CONNECT)
		return connect_words(state->easy);
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return certificate_words(state->easy);
	if (code == CURLE_SSL_CACERT_BADFILE)
		return "the file of certificate authorities cannot be read";
	if (code == CURLE_SSL_CONNECT_ERROR)
		return "the TLS handshake failed";
	if (code == CURLE_OPERATION_TIMEDOUT)
		return "no connection within the connect timeout";
	if (code == CURLE_UNSUPPORTED_PROTOCOL)
		return "the host may only be spoken to by https";
	if (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING)
		return "the connection broke before the request was sent";
	return curl_easy_strerror(code);
}

/* The request may have left, and no final status line came back. */
static const char *
words_after(CURLcode code)
{
	if (code == CURLE_OK)
		return "the connection ended without a final answer";
	if (code == CURLE_GOT_NOTHING)
		return "connection closed before an answer";
	if (code == CURLE_SEND_ERROR)
		return "the connection broke while the request was sent";
	if (code == CURLE_RECV_ERROR)
		return "the connection broke before an answer";
	if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY)
		return "the answer is not HTTP";
	if (code == CURLE_WRITE_ERROR)
		return "the answer's headers are too long";
	return curl_easy_strerror(code);
}

static const char *
connect_words(CURL *easy)
{
	long		error = 0;

	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
	if (error == ECONNREFUSED)
		return "connection refused";
	if (error == ENETUNREACH)
		return "network unreachable";
	if (error == EHOSTUNREACH)
		return "host unreachable";
	if (error == ETIMEDOUT)
		return "connection attempt timed out";
	return "could not connect";
}

static const char *
certificate_words(CURL *easy)
{
	long		result = 0;

	curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
	if (result == 0 || result == CERT_NOT_JUDGED)
		return "the certificate is for another host";
	if (result == CERT_HAS_EXPIRED)
		return "the certificate has expired";
	if (result == CERT_NOT_YET_VALID)
		return "the certificate is not valid yet";
	if (result == CERT_SELF_SIGNED || result == CERT_SELF_IN_CHAIN ||
		result == CERT_NO_ISSUER || result == CERT_NO_ISSUER_LEAF)
		return "the certificate is of no trusted authority";
	return "the certificate was not accepted";
}

/* What this teaches about the host; ends the transfer's counts in the table. */
static void
leave_host(RfTransferState *state, CURLcode code)
{
	RfHostTable *table = &state->engine->hosts;

	if (state->resolving)
	{
		table->resolving--;
		if (state->host != NULL)
			state->host->failing = true;
		/* A resolver that has answered is gone; one we gave up on lingers. */
		if (code != CURLE_COULDNT_RESOLVE_HOST && code != CURLE_COULDNT_RESOLVE_PROXY)
			rf_host_note_given_up(table, state->engine->now_us);
	}
	if (state->host != NULL)
	{
		state->host->users--;
		state->host->probes -= state->probing ? 1 : 0;
		if (code == CURLE_OK && state->setup->reuse_max_idle_s > 0)
			rf_host_note_idle(state->host, state->setup->reuse_max_idle_s,
							  state->engine->now_us);
	}
	state->host = NULL;
	state->resolving = false;
	state->probing = false;
}

/* Ready for another transfer; the phase and the lists are the caller's. */
static void
forget(RfTransferState *state, bool answered)
{
	rf_options_clear(state, answered);
	rf_setup_release(state->setup);
	state->setup = NULL;
	state->header_bytes = 0;
	state->body_capacity = 0;
	state->why = NULL;
	state->starved = false;
	state->sent = false;
	state->stale = false;
	state->head_done = false;
	state->interim = false;
}

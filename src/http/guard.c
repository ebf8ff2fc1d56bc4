/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Callbacks of libcurl that say no.
 *
 * The once-guard: when a kept-alive connection closes without an answer,
 * libcurl repeats the request by itself on a new one, though the peer may have
 * read all of it.  No option forbids that.  But before the request line of
 * every attempt libcurl asks rf_guard_prerequest(), and the second time the
 * answer is no; earlier still, a second attempt gets neither a name resolved
 * nor a socket opened.
 *
 * The address guard sees the addresses that a name resolved to, so a name that
 * points into the private network is no way in.
 *
 * libcurl calls these in the middle of its work: they decide, record why, and
 * return.
 *
 * IDENTIFICATION
 *	  src/http/guard.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/shortage.h"
#include "http/state.h"

static const char refused_again[] = "connection closed before an answer; not sent again";
static const char refused_private[] = "address of the host is private";
static const char refused_resolver[] = "too many names are being resolved";
static const char no_socket[] = "no socket could be opened";

static bool has_ended(CURL *easy);
static void refuse_for_shortage(RfTransferState *state, int error);
static void have_address(RfTransferState *state);
static void end_probe(RfTransferState *state);
static bool may_connect(const RfTransferState *state,
						const struct curl_sockaddr *address);

/* From here on the request may have left. */
int
rf_guard_prerequest(void *arg, char *remote_ip, char *local_ip,
					int remote_port, int local_port)
{
	RfTransferState *state = arg;
	RfHttpEngine *engine = state->engine;
	long		connections = 1;

	(void) remote_ip;
	(void) local_ip;
	(void) remote_port;
	(void) local_port;
	if (state->sent)
	{
		state->why = refused_again;
		return CURL_PREREQFUNC_ABORT;
	}
	curl_easy_getinfo(state->easy, CURLINFO_NUM_CONNECTS, &connections);
	if (connections == 0 && has_ended(state->easy))
	{
		state->stale = true;
		return CURL_PREREQFUNC_ABORT;
	}
	state->sent = true;
	state->why = NULL;
	state->moved_us = engine->now_us;
	state->transfer->sent_us = engine->now_us;
	state->transfer->reused = connections == 0;
	if (state->transfer->reused && state->host != NULL)
		rf_host_note_reuse(state->host);
	end_probe(state);
	/* The idle timeout may end before the connect timeout would have. */
	rf_deadline_expect(state);
	return CURL_PREREQFUNC_OK;
}

/*
 * Does anything wait to be read on a kept connection, be it the end?  libcurl
 * looks, too, but newer versions do not if they have within a second.
 */
static bool
has_ended(CURL *easy)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	char		byte;

	if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
		fd == CURL_SOCKET_BAD)
		return false;
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
		(errno != EAGAIN && errno != EINTR);
}

/* Called before a thread is started for a name that libcurl does not know. */
int
rf_guard_resolve(void *resolver, void *reserved, void *arg)
{
	RfTransferState *state = arg;
	RfHostTable *table = &state->engine->hosts;

	(void) resolver;
	(void) reserved;
	if (state->sent)
	{
		state->why = refused_again;
		return 1;
	}
	if (rf_host_resolvers(table, state->engine->now_us) >= RF_HOST_MAX_RESOLVERS)
	{
		state->why = refused_resolver;
		return 1;
	}
	if (!state->resolving)
	{
		state->resolving = true;
		table->resolving++;
	}
	return 0;
}

curl_socket_t
rf_guard_open_socket(void *arg, curlsocktype purpose,
					 struct curl_sockaddr *address)
{
	RfTransferState *state = arg;
	int			fd;

	(void) purpose;
	if (state->sent)
	{
		state->why = refused_again;
		return CURL_SOCKET_BAD;
	}
	have_address(state);
	if (!may_connect(state, address))
	{
		state->why = refused_private;
		return CURL_SOCKET_BAD;
	}
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
				address->protocol);
	if (fd < 0 || rf_shortage_is_spare(fd))
	{
		refuse_for_shortage(state, fd < 0 ? errno : EMFILE);
		if (fd >= 0)
			close(fd);
		return CURL_SOCKET_BAD;
	}
	rf_socket_forget(state->engine, fd);
	state->why = NULL;			/* an address refused before does not matter */
	state->starved = false;
	return fd;
}

static void
refuse_for_shortage(RfTransferState *state, int error)
{
	state->starved = true;
	if (error == EMFILE || error == ENFILE)
		state->why = rf_shortage_of_descriptors;
	else if (error == ENOBUFS || error == ENOMEM)
		state->why = rf_shortage_of_memory;
	else
	{
		state->starved = false;
		state->why = no_socket;
	}
}

/* The name is resolved; freshly, if this transfer asked the resolver. */
static void
have_address(RfTransferState *state)
{
	RfHttpEngine *engine = state->engine;

	if (state->resolving)
	{
		state->resolving = false;
		engine->hosts.resolving--;
		if (state->host != NULL)
		{
			state->host->failing = false;
			state->host->fresh_until_us = engine->now_us +
				(int64_t) RF_HOST_FRESH_S * 1000000;
		}
	}
	end_probe(state);
}

static void
end_probe(RfTransferState *state)
{
	if (state->probing && state->host != NULL)
	{
		state->probing = false;
		state->host->probes--;
	}
}

static bool
may_connect(const RfTransferState *state, const struct curl_sockaddr *address)
{
	uint8_t		bytes[RF_IPV6_LEN];
	size_t		len;

	if (address->family == AF_INET)
	{
		struct sockaddr_in in;

		memcpy(&in, &address->addr, sizeof(in));
		len = RF_IPV4_LEN;
		memcpy(bytes, &in.sin_addr, len);
	}
	else if (address->family == AF_INET6)
	{
		struct sockaddr_in6 in6;

		/* libcurl's struct is as large as any address, though declared small. */
		memcpy(&in6, (const void *) &address->addr, sizeof(in6));
		len = RF_IPV6_LEN;
		memcpy(bytes, &in6.sin6_addr, len);
	}
	else
		return false;
	return rf_ip_range_is_public(bytes, len) ||
		rf_ip_range_contains(&state->setup->allowed, bytes, len);
}

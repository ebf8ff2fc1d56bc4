/*-------------------------------------------------------------------------
 *
 * hosts.c
 *	  The table of hosts by itself: names, lists, and how many may start.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdlib.h>

#include "http/host.h"
#include "harness.h"

#define NOW INT64_C(1000000000)
#define SECOND INT64_C(1000000)

static bool
parses_as(const char *url, const char *name, unsigned port)
{
	RfHostName	parsed;

	return rf_host_parse(url, &parsed) && strcmp(parsed.name, name) == 0 &&
		parsed.port == port;
}

static bool
is_listed(const char *url, const char *list)
{
	RfHostName	parsed;

	return rf_host_parse(url, &parsed) && rf_host_is_listed(&parsed, list);
}

static void
test_names(void)
{
	static const char *const refused[] = {
		"", "https://", "https:///x", "ftp://a/", "a.example", "https://u@a/",
		"https://u:p@a/", "https://a:/", "https://a:0/", "https://a:65536/",
		"https://a:x/", "https://a b/", "https://a\\b/", "https://a\tb/",
		"https://[::1", "https://[x]/", "https://[::1]x/", "https://a%2fb/"
	};
	RfHostName	parsed;

	ok(parses_as("https://API.example.com/v3?x=1", "api.example.com", 443),
	   "a host is in lower case, its port the scheme's");
	ok(parses_as("HTTP://a:8080", "a", 8080), "or its own");
	ok(parses_as("https://[::1]:444/", "::1", 444), "brackets belong to the URL");
	ok(parses_as("https://a?@b/", "a", 443), "the authority ends with the path, query or fragment");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		ok(!rf_host_parse(refused[i], &parsed), "refused: %s", refused[i]);
	ok(!rf_host_parse(NULL, &parsed), "refused: no URL");

	ok(rf_host_parse_proxy("http://u:p@proxy.example:3128", &parsed) &&
	   strcmp(parsed.name, "proxy.example") == 0, "a proxy may have a user");
	ok(rf_host_parse_proxy("10.0.0.1:3128", &parsed) && parsed.numeric,
	   "and need not have a scheme");

	ok(is_listed("http://a/", "b, a"), "a host is found in a list");
	ok(is_listed("http://a:81/", "a"), "with any port, if the list has none");
	ok(is_listed("http://[::1]:81/", "[::1]:81"), "or with that port");
	ok(!is_listed("http://a:81/", "a:80"), "but no other");
	ok(!is_listed("http://a/", "aa, ba"), "the whole name counts");
	ok(!is_listed("http://a/", ""), "nothing is in the empty list");
}

static void
test_capacities(void)
{
	RfHostTable *table = calloc(1, sizeof(RfHostTable));
	RfHostName	name;
	RfHost	   *host;

	rf_host_parse("https://a.example/", &name);
	host = rf_host_find(table, &name, NOW);
	ok(rf_host_find(table, &name, NOW) == host, "a host is found again");
	is_int(rf_host_capacity(table, host, NOW), 1, "a new name: one");
	host->probes = 1;
	is_int(rf_host_capacity(table, host, NOW), 0, "while it is tried: none");
	rf_host_note_idle(host, 5, NOW);
	rf_host_note_idle(host, 5, NOW);
	is_int(rf_host_capacity(table, host, NOW), 2, "but as many as there are idle connections");
	host->probes = 0;
	is_int(rf_host_capacity(table, host, NOW), 3, "and one more");
	rf_host_note_reuse(host);
	is_int(rf_host_capacity(table, host, NOW), 2, "a connection that is used is idle no more");
	is_int(rf_host_capacity(table, host, NOW + 5 * SECOND), 1, "nor is one too old");
	host->fresh_until_us = NOW + SECOND;
	is_int(rf_host_capacity(table, host, NOW), INT_MAX, "an address is known: any number");
	host->fresh_until_us = 0;

	for (int i = 0; i < RF_HOST_FEW_RESOLVERS; i++)
		rf_host_note_given_up(table, NOW);
	is_int(rf_host_capacity(table, host, NOW + 5 * SECOND), 1, "many resolvers linger: a good name may");
	host->failing = true;
	is_int(rf_host_capacity(table, host, NOW + 5 * SECOND), 0, "but none that failed the last time");
	is_int(rf_host_capacity(table, host, NOW + 15 * SECOND), 1, "until they must be gone");
	for (int i = 0; i < 1000; i++)
		rf_host_note_given_up(table, NOW);
	is_int(rf_host_resolvers(table, NOW), RF_HOST_MAX_RESOLVERS, "more are not counted");
	host->failing = false;
	is_int(rf_host_capacity(table, host, NOW + 5 * SECOND), 0, "too many linger: no name at all");

	host->users = 1;
	for (int i = 0; i < 2 * RF_HOST_MAX_HOSTS; i++)
	{
		snprintf(name.name, sizeof(name.name), "host%d", i);
		rf_host_find(table, &name, NOW + i);
	}
	rf_host_parse("https://a.example/", &name);
	ok(rf_host_find(table, &name, NOW) == host, "a host in use is never forgotten");
	is_int((int64_t) table->nhosts, RF_HOST_MAX_HOSTS, "the table is bounded");
	for (size_t i = 0; i < table->nhosts; i++)
		free(table->hosts[i]);
	free(table);
}

void
test_hosts(void)
{
	test_names();
	test_capacities();
}

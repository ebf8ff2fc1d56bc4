/* Tokens for leaving a stream: only those that were made are read. */
#include <stdlib.h>
#include <string.h>

#include "core/unsubscribe.h"
#include "tap.h"

static const char secret[] = "a secret of some length";
static const RfUnsubscribe ann = {"ann@example.net", "news"};

static bool
reads(const char *token, RfUnsubscribe *what)
{
	return rf_unsubscribe_token_read(secret, strlen(secret), token, strlen(token), what);
}

static void
test_round_trip(void)
{
	char		token[RF_UNSUBSCRIBE_TOKEN_SIZE];
	char		again[RF_UNSUBSCRIBE_TOKEN_SIZE];
	RfUnsubscribe what;
	RfUnsubscribe other = ann;

	ok(rf_unsubscribe_token_make(secret, strlen(secret), &ann, token), "a token is made");
	ok(reads(token, &what), "and read");
	is_text(what.address, "ann@example.net", "it tells whom");
	is_text(what.stream, "news", "and of what");
	ok(strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == strlen(token),
	   "it can stand in a URL");
	ok(strstr(token, "ann") == NULL, "without the address");
	ok(rf_unsubscribe_token_make(secret, strlen(secret), &ann, again) && strcmp(token, again) == 0,
	   "made again it is the same");
	other.address[0] = 'b';
	ok(rf_unsubscribe_token_make(secret, strlen(secret), &other, again) && strlen(again) == strlen(token),
	   "an address of about the same length gives one as long");
	ok(memcmp(token, again, 18) != 0, "with another nonce");
	ok(!rf_unsubscribe_token_read("another", 7, token, strlen(token), &what), "another secret does not read it");
	is_text(what.address, "", "and tells nothing");
	ok(!rf_unsubscribe_token_read("", 0, token, strlen(token), &what), "nor does none");
}

static void
test_longest(void)
{
	char		token[RF_UNSUBSCRIBE_TOKEN_SIZE];
	RfUnsubscribe longest;
	RfUnsubscribe what;

	memset(&longest, 'x', sizeof(longest));
	longest.address[RF_UNSUBSCRIBE_ADDRESS_MAX] = '\0';
	longest.stream[RF_UNSUBSCRIBE_STREAM_MAX] = '\0';
	ok(rf_unsubscribe_token_make(secret, strlen(secret), &longest, token) && reads(token, &what), "the longest there can be");
	ok(strcmp(what.address, longest.address) == 0 && strcmp(what.stream, longest.stream) == 0, "comes back whole");
	memset(&longest, 'x', sizeof(longest));
	ok(!rf_unsubscribe_token_make(secret, strlen(secret), &longest, token), "a longer one is not made");
}

static void
test_forged(void)
{
	char		token[RF_UNSUBSCRIBE_TOKEN_SIZE];
	char		forged[RF_UNSUBSCRIBE_TOKEN_SIZE + 1];
	RfUnsubscribe what;
	int			read = 0;
	size_t		len;

	(void) rf_unsubscribe_token_make(secret, strlen(secret), &ann, token);
	len = strlen(token);
	for (size_t i = 0; i < len; i++)
	{
		for (const char *c = "Aa0-_+/= ."; *c; c++)
		{
			strcpy(forged, token);
			forged[i] = *c;
			read += forged[i] != token[i] && reads(forged, &what);
		}
		strcpy(forged, token);
		forged[i] = '\0';
		read += reads(forged, &what);
	}
	is_int(read, 0, "no character can be another, nor missing");
	snprintf(forged, sizeof(forged), "%s=", token);
	ok(!reads(forged, &what), "nor can padding be added");
	snprintf(forged, sizeof(forged), "%sA", token);
	ok(!reads(forged, &what), "nor anything else");
	ok(!reads("", &what), "nothing is no token");
	ok(!rf_unsubscribe_token_read(secret, strlen(secret), token, SIZE_MAX / 2, &what), "nor is too much");
}

int
main(void)
{
	test_round_trip();
	test_longest();
	test_forged();
	return done_testing();
}

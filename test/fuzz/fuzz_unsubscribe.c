/* Tokens for leaving a stream: what comes from outside is none of ours. */
#include "core/unsubscribe.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char secret[] = "the fuzzer does not know this";
	char		token[RF_UNSUBSCRIBE_TOKEN_SIZE];
	RfUnsubscribe what = {"", ""};
	RfUnsubscribe again;
	size_t		len = size < RF_UNSUBSCRIBE_ADDRESS_MAX ? size : RF_UNSUBSCRIBE_ADDRESS_MAX;

	MUST(!rf_unsubscribe_token_read(secret, sizeof(secret), (const char *) data, size, &again));
	MUST(again.address[0] == '\0' && again.stream[0] == '\0');

	/* What is made is read as it was, if it is text. */
	if (len == 0 || memchr(data, '\0', len) != NULL)
		return 0;
	memcpy(what.address, data, len);
	memcpy(what.stream, data, len / 8);
	MUST(rf_unsubscribe_token_make(secret, sizeof(secret), &what, token));
	MUST(rf_unsubscribe_token_read(secret, sizeof(secret), token, strlen(token), &again));
	MUST(strcmp(what.address, again.address) == 0 && strcmp(what.stream, again.stream) == 0);
	return 0;
}

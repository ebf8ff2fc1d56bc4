/* Header lines as a peer may send them: caps hold, values are clean strings. */
#include "codec/request.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = make_input(data, size);
	RfResponse	response = {0};
	size_t		bytes = 0;

	while (input.len > 0)
	{
		const char *end = memchr(input.data, '\n', input.len);
		size_t		len = end != NULL ? (size_t) (end - input.data) + 1 : input.len;
		char	   *line = malloc(len);

		MUST(line != NULL);
		memcpy(line, input.data, len);
		if (!rf_response_add_header(&response, line, len))
			MUST(response.truncated);
		free(line);
		input.data += len;
		input.len -= len;
	}

	MUST(response.nheaders <= RF_RESPONSE_MAX_HEADERS);
	for (size_t i = 0; i < response.nheaders; i++)
	{
		const char *name = response.headers[i].name;
		const char *value = response.headers[i].value;
		size_t		len = strlen(value);

		bytes += strlen(name) + len;
		MUST(rf_text_is_header_name(name, strlen(name)));
		MUST(len == 0 || (strchr(" \t\r\n", value[0]) == NULL || value[0] == '\r'));
		MUST(len == 0 || strchr(" \t\r\n", value[len - 1]) == NULL);
		MUST(rf_response_header(&response, name) != NULL);
	}
	MUST(bytes <= RF_RESPONSE_MAX_HEADER_BYTES);
	rf_response_free(&response);
	return 0;
}

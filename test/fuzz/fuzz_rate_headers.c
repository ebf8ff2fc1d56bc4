/* Rate headers and the words of a refusal: numbers in range, windows in order. */
#include "answer.h"
#include "codec/rate_headers.h"

static void
check_number(int64_t number)
{
	MUST(number >= -1 && number <= INT32_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	RfResponse	response = take_response(make_input(data, size));
	RfRateSeen	windows[RF_RATE_WINDOWS_MAX];
	size_t		count;

	memset(windows, 'x', sizeof(windows));
	count = rf_rate_headers_read(&response, windows);
	MUST(count <= RF_RATE_WINDOWS_MAX);
	for (size_t i = 0; i < count; i++)
	{
		MUST(windows[i].window_s == 60 || windows[i].window_s == 3600 || windows[i].window_s == 86400);
		MUST(i == 0 || windows[i].window_s > windows[i - 1].window_s);
		MUST(!windows[i].unlimited || windows[i].limit == -1);
		check_number(windows[i].limit);
		check_number(windows[i].used);
		check_number(windows[i].left);
	}
	if (rf_rate_message_parse(response.body, response.body_len, &windows[0]))
	{
		MUST(windows[0].limit >= 0 && windows[0].limit <= INT32_MAX);
		MUST(!windows[0].unlimited && windows[0].window_s >= 60);
	}
	rf_response_free(&response);
	return 0;
}

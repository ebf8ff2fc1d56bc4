/* All three parsers of waits: never negative, never past 32 bits, and stable. */
#include "codec/retry_after.h"
#include "fuzz.h"

static void
check(bool understood, int64_t delay_s)
{
	MUST(!understood || (delay_s >= 0 && delay_s <= INT32_MAX));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = make_input(data, size);
	int64_t		now_s = 0;
	int64_t		delay_s = -7;
	int64_t		later_s = -7;
	char	   *text;
	bool		understood;

	for (int i = 0; i < 8; i++)
		now_s = (int64_t) (((uint64_t) now_s << 8) | take_byte(&input));
	check(rf_try_again_parse(input.data, input.len, &delay_s), delay_s);
	text = take_string(&input);

	understood = rf_retry_after_parse(text, now_s, &delay_s);
	check(understood, delay_s);
	if (understood && now_s < INT64_MAX)
	{
		/* A second later there is not more to wait. */
		MUST(rf_retry_after_parse(text, now_s + 1, &later_s));
		MUST(later_s <= delay_s);
	}
	check(rf_rate_reset_parse(text, now_s, &delay_s), delay_s);
	free(text);
	return 0;
}

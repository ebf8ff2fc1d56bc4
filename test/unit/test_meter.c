/* How many a second: exact for an even flow, nothing of what is long over. */
#include "core/meter.h"
#include "tap.h"

static uint64_t cells[RF_METER_CELLS];

static void
count(int64_t now_us, uint32_t n)
{
	uint64_t   *cell = &cells[rf_meter_cell(now_us)];

	*cell = rf_meter_add(*cell, now_us, n);
}

static void
test_flow(void)
{
	int64_t		now = 0;

	ok(rf_meter_per_second(cells, 0) == 0, "nothing was counted at the beginning of time");
	for (; now < 300 * INT64_C(1000000); now += 100000)
		count(now, 1);
	now -= 1;
	is_int((int64_t) (rf_meter_per_second(cells, now) * 100 + 0.5), 1000, "ten a second are ten a second");
	now += 30 * INT64_C(1000000);
	ok(rf_meter_per_second(cells, now) > 4.5 && rf_meter_per_second(cells, now) < 5.5,
	   "half a minute after the last they are half as many");
	is_int((int64_t) rf_meter_per_second(cells, now + 60 * INT64_C(1000000)), 0, "and a minute later none");
	count(now + 60 * INT64_C(1000000), 60);
	ok(rf_meter_per_second(cells, now + 60 * INT64_C(1000000)) <= 1, "a cell that is used again has forgotten its slice");
}

static void
test_bounds(void)
{
	uint64_t	cell = rf_meter_add(0, 7, UINT32_MAX);

	cell = rf_meter_add(cell, 7, 5);
	is_int((int64_t) (uint32_t) cell, UINT32_MAX, "a cell that is full stays full");
	is_int((int64_t) (uint32_t) rf_meter_add(cell, 7 + RF_METER_SLICE_US, 5), 5, "until its slice is over");
}

int
main(void)
{
	test_flow();
	test_bounds();
	return done_testing();
}

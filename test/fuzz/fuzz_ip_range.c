/* A list parses or is empty; what it contains is found; addresses of any bytes. */
#include "codec/ip_range.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = make_input(data, size);
	uint8_t		address[RF_IPV6_LEN];
	char	   *text;
	RfIpRangeList list;
	RfIpRangeStatus status;

	for (size_t i = 0; i < sizeof(address); i++)
		address[i] = take_byte(&input);
	text = take_string(&input);
	status = rf_ip_range_parse(&list, text);
	MUST(rf_ip_range_status_text(status) != NULL);
	MUST(status == RF_IP_RANGE_OK || (list.ranges == NULL && list.count == 0));
	MUST(list.count <= RF_IP_RANGE_MAX_ITEMS);
	for (size_t i = 0; i < list.count; i++)
	{
		const RfIpRange *range = &list.ranges[i];

		MUST(range->prefix <= range->len * 8);
		MUST(rf_ip_range_contains(&list, range->address, range->len));
	}
	(void) rf_ip_range_contains(&list, address, RF_IPV4_LEN);
	(void) rf_ip_range_contains(&list, address, RF_IPV6_LEN);
	(void) rf_ip_range_is_public(address, RF_IPV4_LEN);
	if ((address[0] & 0xe0) != 0x20)
		MUST(!rf_ip_range_is_public(address, RF_IPV6_LEN));
	rf_ip_range_free(&list);
	free(text);
	return 0;
}

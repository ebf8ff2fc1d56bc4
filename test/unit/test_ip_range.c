/*-------------------------------------------------------------------------
 *
 * test_ip_range.c
 *	  Which addresses are public, and lists of those that are allowed anyway.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "codec/ip_range.h"
#include "tap.h"

static size_t
to_bytes(const char *text, uint8_t *address)
{
	if (inet_pton(AF_INET, text, address) == 1)
		return RF_IPV4_LEN;
	return inet_pton(AF_INET6, text, address) == 1 ? RF_IPV6_LEN : 0;
}

static bool
is_public(const char *text)
{
	uint8_t		address[RF_IPV6_LEN];
	size_t		len = to_bytes(text, address);

	return len > 0 && rf_ip_range_is_public(address, len);
}

static bool
contains(const char *list_text, const char *text)
{
	RfIpRangeList list;
	uint8_t		address[RF_IPV6_LEN];
	size_t		len = to_bytes(text, address);
	bool		found;

	if (rf_ip_range_parse(&list, list_text) != RF_IP_RANGE_OK)
		return false;
	found = rf_ip_range_contains(&list, address, len);
	rf_ip_range_free(&list);
	return found;
}

static RfIpRangeStatus
parse(const char *text)
{
	RfIpRangeList list;
	RfIpRangeStatus status = rf_ip_range_parse(&list, text);

	if (status != RF_IP_RANGE_OK && (list.ranges != NULL || list.count != 0))
		status = RF_IP_RANGE_NO_MEMORY;
	rf_ip_range_free(&list);
	return status;
}

static void
check_public(void)
{
	static const char *const private_addresses[] = {
		"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255",
		"100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255",
		"169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.1",
		"192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255",
		"198.18.0.0", "198.19.255.255", "198.51.100.7", "203.0.113.7",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8",
		"64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:1::1",
		"2001:1ff::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1",
		"fc00::1", "fdff::1", "fe80::1", "fec0::1", "ff02::1"
	};
	static const char *const public_addresses[] = {
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255",
		"100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255",
		"169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255",
		"192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
		"198.20.0.0", "223.255.255.255", "2001:200::1", "2001:4860:4860::8888",
		"2606:4700::1111", "2a00:1450::1", "3ffe::1"
	};

	for (size_t i = 0; i < sizeof(private_addresses) / sizeof(char *); i++)
		ok(!is_public(private_addresses[i]), "%s is not public", private_addresses[i]);
	for (size_t i = 0; i < sizeof(public_addresses) / sizeof(char *); i++)
		ok(is_public(public_addresses[i]), "%s is public", public_addresses[i]);
}

static void
check_lists(void)
{
	char		many[RF_IP_RANGE_MAX_ITEMS * 8 + 16] = "1.1.1.1";

	ok(contains("127.0.0.1", "127.0.0.1"), "an address contains itself");
	ok(!contains("127.0.0.1", "127.0.0.2"), "an address contains no other");
	ok(contains(" 10.0.0.0/8 ,\t::1 ", "::1"), "white space around items is passed over");
	ok(contains("10.1.2.3/8", "10.255.0.1"), "bits behind the prefix are passed over");
	ok(contains("172.16.0.0/12", "172.31.255.255"), "a prefix may end inside a byte");
	ok(!contains("172.16.0.0/12", "172.32.0.0"), "and ends there");
	ok(contains("0.0.0.0/0", "203.0.113.9"), "prefix 0 contains every address");
	ok(!contains("0.0.0.0/0", "::1"), "of its own family");
	ok(!contains("127.0.0.0/8", "::ffff:127.0.0.1"), "a wrapped address is another address");
	ok(contains("::ffff:127.0.0.0/104", "::ffff:127.0.0.1"), "which can be named");
	ok(contains("fc00::/7", "fdab::1"), "blocks of IPv6 work alike");
	ok(!contains(NULL, "127.0.0.1"), "no list contains nothing");
	ok(!contains("  ", "127.0.0.1"), "nor does a blank one");

	ok(parse(NULL) == RF_IP_RANGE_OK, "no list is the empty list");
	ok(parse("") == RF_IP_RANGE_OK, "so is the empty text");
	ok(parse("localhost") == RF_IP_RANGE_BAD_ADDRESS, "names are refused");
	ok(parse("127.1") == RF_IP_RANGE_BAD_ADDRESS, "short forms are refused");
	ok(parse("::1,") == RF_IP_RANGE_BAD_ADDRESS, "an empty item is refused");
	ok(parse("::1%lo") == RF_IP_RANGE_BAD_ADDRESS, "zones are refused");
	ok(parse("::1/129") == RF_IP_RANGE_BAD_PREFIX, "a prefix past the address is refused");
	ok(parse("10.0.0.0/33") == RF_IP_RANGE_BAD_PREFIX, "for IPv4 too");
	ok(parse("10.0.0.0/") == RF_IP_RANGE_BAD_PREFIX, "an empty prefix is refused");
	ok(parse("10.0.0.0/+8") == RF_IP_RANGE_BAD_PREFIX, "a sign is refused");
	ok(parse("10.0.0.0/08 9") == RF_IP_RANGE_BAD_PREFIX, "so is what follows a number");
	ok(parse("10.0.0.0/4294967304") == RF_IP_RANGE_BAD_PREFIX, "and what would wrap around");

	for (int i = 1; i < RF_IP_RANGE_MAX_ITEMS; i++)
		strcat(many, ",1.1.1.1");
	ok(parse(many) == RF_IP_RANGE_OK, "a list may be long");
	strcat(many, ",1.1.1.1");
	ok(parse(many) == RF_IP_RANGE_TOO_MANY, "but not endless");
	ok(strcmp(rf_ip_range_status_text(RF_IP_RANGE_BAD_PREFIX),
			  "not a valid prefix length") == 0, "a status has a text");
}

int
main(void)
{
	check_public();
	check_lists();
	return done_testing();
}

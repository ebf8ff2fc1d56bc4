/*-------------------------------------------------------------------------
 *
 * ip_range.c
 *	  Lists of IP addresses and CIDR blocks, and which addresses are public.
 *
 * For IPv4 the special blocks of the registry are refused.  For IPv6 it is the
 * other way round: only 2000::/3 has been given out as global unicast, so
 * everything else (loopback, unique local, link local, multicast, and the
 * forms that wrap an IPv4 address) is not public, nor are the special blocks
 * inside 2000::/3.  An IPv4 address wrapped in an IPv6 one is not compared
 * with IPv4 ranges: whoever wants such an address allowed must say so.
 *
 * IDENTIFICATION
 *	  src/codec/ip_range.c
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "codec/ip_range.h"

/* The longest item: an IPv6 address with a dotted tail, and "/128". */
#define ITEM_MAX_LEN	64

static RfIpRangeStatus parse_items(RfIpRangeList *list, const char *text);
static RfIpRangeStatus parse_item(const char *text, size_t len, RfIpRange *range);
static bool parse_prefix(const char *text, unsigned max, unsigned *prefix);
static bool is_inside(const RfIpRange *range, const uint8_t *address, size_t len);
static bool is_blank(char c);

static const RfIpRange special[] = {
	{{0}, RF_IPV4_LEN, 8},		/* this network */
	{{10}, RF_IPV4_LEN, 8},		/* private */
	{{100, 64}, RF_IPV4_LEN, 10},	/* carrier-grade translation */
	{{127}, RF_IPV4_LEN, 8},	/* loopback */
	{{169, 254}, RF_IPV4_LEN, 16},	/* link local, clouds' metadata */
	{{172, 16}, RF_IPV4_LEN, 12},	/* private */
	{{192, 0, 0}, RF_IPV4_LEN, 24}, /* protocol assignments */
	{{192, 0, 2}, RF_IPV4_LEN, 24}, /* documentation */
	{{192, 88, 99}, RF_IPV4_LEN, 24},	/* 6to4 relays */
	{{192, 168}, RF_IPV4_LEN, 16},	/* private */
	{{198, 18}, RF_IPV4_LEN, 15},	/* benchmarks */
	{{198, 51, 100}, RF_IPV4_LEN, 24},	/* documentation */
	{{203, 0, 113}, RF_IPV4_LEN, 24},	/* documentation */
	{{224}, RF_IPV4_LEN, 3},	/* multicast, reserved, broadcast */
	{{0x20, 0x01}, RF_IPV6_LEN, 23},	/* protocol assignments, Teredo */
	{{0x20, 0x01, 0x0d, 0xb8}, RF_IPV6_LEN, 32},	/* documentation */
	{{0x20, 0x02}, RF_IPV6_LEN, 16},	/* 6to4 */
	{{0x3f, 0xff}, RF_IPV6_LEN, 20} /* documentation */
};

static const RfIpRange global_unicast = {{0x20}, RF_IPV6_LEN, 3};

RfIpRangeStatus
rf_ip_range_parse(RfIpRangeList *list, const char *text)
{
	size_t		items = 1;
	RfIpRangeStatus status;

	list->ranges = NULL;
	list->count = 0;
	if (text == NULL)
		return RF_IP_RANGE_OK;
	while (is_blank(*text))
		text++;
	if (*text == '\0')
		return RF_IP_RANGE_OK;

	for (const char *p = text; *p != '\0'; p++)
		items += *p == ',' ? 1 : 0;
	if (items > RF_IP_RANGE_MAX_ITEMS)
		return RF_IP_RANGE_TOO_MANY;
	list->ranges = calloc(items, sizeof(RfIpRange));
	if (list->ranges == NULL)
		return RF_IP_RANGE_NO_MEMORY;

	status = parse_items(list, text);
	if (status != RF_IP_RANGE_OK)
		rf_ip_range_free(list);
	return status;
}

const char *
rf_ip_range_status_text(RfIpRangeStatus status)
{
	switch (status)
	{
		case RF_IP_RANGE_OK:
			return "ok";
		case RF_IP_RANGE_BAD_ADDRESS:
			return "not an IP address";
		case RF_IP_RANGE_BAD_PREFIX:
			return "not a valid prefix length";
		case RF_IP_RANGE_TOO_MANY:
			return "too many addresses";
		case RF_IP_RANGE_NO_MEMORY:
			return "out of memory";
	}
	return "unknown";			/* keep compiler quiet */
}

void
rf_ip_range_free(RfIpRangeList *list)
{
	free(list->ranges);
	list->ranges = NULL;
	list->count = 0;
}

bool
rf_ip_range_contains(const RfIpRangeList *list, const uint8_t *address,
					 size_t len)
{
	for (size_t i = 0; i < list->count; i++)
	{
		if (is_inside(&list->ranges[i], address, len))
			return true;
	}
	return false;
}

bool
rf_ip_range_is_public(const uint8_t *address, size_t len)
{
	if (len != RF_IPV4_LEN && !is_inside(&global_unicast, address, len))
		return false;
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
	{
		if (is_inside(&special[i], address, len))
			return false;
	}
	return true;
}

static RfIpRangeStatus
parse_items(RfIpRangeList *list, const char *text)
{
	for (;;)
	{
		size_t		whole = strcspn(text, ",");
		size_t		len = whole;
		const char *item = text;
		RfIpRangeStatus status;

		while (len > 0 && is_blank(*item))
		{
			item++;
			len--;
		}
		while (len > 0 && is_blank(item[len - 1]))
			len--;
		status = parse_item(item, len, &list->ranges[list->count]);
		if (status != RF_IP_RANGE_OK)
			return status;
		list->count++;
		if (text[whole] == '\0')
			return RF_IP_RANGE_OK;
		text += whole + 1;
	}
}

static RfIpRangeStatus
parse_item(const char *text, size_t len, RfIpRange *range)
{
	char		item[ITEM_MAX_LEN + 1];
	char	   *slash;

	if (len > ITEM_MAX_LEN)
		return RF_IP_RANGE_BAD_ADDRESS;
	memcpy(item, text, len);
	item[len] = '\0';
	slash = strchr(item, '/');
	if (slash != NULL)
		*slash = '\0';

	if (inet_pton(AF_INET, item, range->address) == 1)
		range->len = RF_IPV4_LEN;
	else if (inet_pton(AF_INET6, item, range->address) == 1)
		range->len = RF_IPV6_LEN;
	else
		return RF_IP_RANGE_BAD_ADDRESS;

	range->prefix = (unsigned) range->len * 8;
	if (slash != NULL && !parse_prefix(slash + 1, range->prefix, &range->prefix))
		return RF_IP_RANGE_BAD_PREFIX;
	return RF_IP_RANGE_OK;
}

/* One to three digits and nothing else. */
static bool
parse_prefix(const char *text, unsigned max, unsigned *prefix)
{
	unsigned	value = 0;
	size_t		len = strlen(text);

	if (len == 0 || len > 3)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned) (text[i] - '0');
	}
	*prefix = value;
	return value <= max;
}

static bool
is_inside(const RfIpRange *range, const uint8_t *address, size_t len)
{
	size_t		whole = range->prefix / 8;
	unsigned	rest = range->prefix % 8;
	unsigned	mask = 0xff00u >> rest;

	if (range->len != len || memcmp(range->address, address, whole) != 0)
		return false;
	return rest == 0 ||
		((range->address[whole] ^ address[whole]) & mask & 0xffu) == 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*-------------------------------------------------------------------------
 *
 * ip_range.h
 *	  Lists of IP addresses and CIDR blocks, and which addresses are public.
 *
 * Addresses are handed over as the bytes of a sockaddr: 4 of them for IPv4,
 * 16 for IPv6, in network order.  Pure; memory is malloc'd.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_IP_RANGE_H
#define ROLEFERRY_IP_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RF_IPV4_LEN			4
#define RF_IPV6_LEN			16

#define RF_IP_RANGE_MAX_ITEMS 256

typedef struct RfIpRange
{
	uint8_t		address[RF_IPV6_LEN];	/* the first len bytes count */
	size_t		len;			/* RF_IPV4_LEN or RF_IPV6_LEN */
	unsigned	prefix;			/* leading bits that must agree */
} RfIpRange;

typedef struct RfIpRangeList
{
	RfIpRange  *ranges;
	size_t		count;
} RfIpRangeList;

typedef enum RfIpRangeStatus
{
	RF_IP_RANGE_OK,
	RF_IP_RANGE_BAD_ADDRESS,
	RF_IP_RANGE_BAD_PREFIX,
	RF_IP_RANGE_TOO_MANY,
	RF_IP_RANGE_NO_MEMORY
} RfIpRangeStatus;

/*
 * "127.0.0.1, 10.0.0.0/8, fc00::/7".  NULL and blank text are the empty list;
 * an empty item between commas is a bad address.  Bits behind the prefix are
 * passed over.  On failure the list is empty.
 */
extern RfIpRangeStatus rf_ip_range_parse(RfIpRangeList *list, const char *text);

extern const char *rf_ip_range_status_text(RfIpRangeStatus status);

/* Frees the contents, not the struct. */
extern void rf_ip_range_free(RfIpRangeList *list);

extern bool rf_ip_range_contains(const RfIpRangeList *list,
								 const uint8_t *address, size_t len);

/* Reachable from the whole internet, as far as the registries say. */
extern bool rf_ip_range_is_public(const uint8_t *address, size_t len);

#endif							/* ROLEFERRY_IP_RANGE_H */

/*-------------------------------------------------------------------------
 *
 * rate_headers.h
 *	  What a provider says about its rate windows.
 *
 * Apollo's headers: x-rate-limit-W, x-W-usage and x-W-requests-left, with W one
 * of minute, hourly and 24-hour (older pages of its documentation: daily).  They
 * come with every answer but 401 and 403.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RATE_HEADERS_H
#define ROLEFERRY_RATE_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/request.h"

#define RF_RATE_WINDOWS_MAX 3

/* Numbers that were not given, or not understood, are -1. */
typedef struct RfRateSeen
{
	int64_t		window_s;		/* length: 60, 3600 or 86400 */
	bool		unlimited;		/* there is no limit for this window; the
								 * other numbers say nothing then */
	int64_t		limit;			/* requests in a window */
	int64_t		used;
	int64_t		left;
} RfRateSeen;

/*
 * Fills in a row for each window that any header speaks of, the shortest
 * first; returns how many.  Numbers are 0 to INT32_MAX, larger ones are
 * saturated.
 */
extern size_t rf_rate_headers_read(const RfResponse *response,
								   RfRateSeen windows[RF_RATE_WINDOWS_MAX]);

/*
 * The words of a refusal: "... is 600 times per hour ...", with minute, hour
 * or day.  Sets window_s and limit.  False: not found.
 */
extern bool rf_rate_message_parse(const char *text, size_t len,
								  RfRateSeen *window);

#endif							/* ROLEFERRY_RATE_HEADERS_H */

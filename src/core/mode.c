/*-------------------------------------------------------------------------
 *
 * mode.c
 *	  May anything leave, and how?
 *
 * IDENTIFICATION
 *	  src/core/mode.c
 *
 *-------------------------------------------------------------------------
 */
#include <stddef.h>
#include <string.h>

#include "core/mode.h"

static const char *const texts[] = {"live", "sandbox", "capture", "off"};

#define NMODES (sizeof(texts) / sizeof(texts[0]))

RfMode
rf_mode_stricter(RfMode a, RfMode b)
{
	return a > b ? a : b;
}

RfMode
rf_mode_of_new_job(RfMode chosen, RfMode server)
{
	return server == RF_MODE_OFF ? chosen : rf_mode_stricter(chosen, server);
}

RfModeVerdict
rf_mode_decide(RfMode mode, bool can_test)
{
	switch (mode)
	{
		case RF_MODE_LIVE:
			return RF_MODE_SENDS;
		case RF_MODE_SANDBOX:
			return can_test ? RF_MODE_TESTS : RF_MODE_REFUSES;
		case RF_MODE_CAPTURE:
			return RF_MODE_KEEPS;
		case RF_MODE_OFF:
			break;
	}
	return RF_MODE_WAITS;
}

const char *
rf_mode_text(RfMode mode)
{
	return texts[(size_t) mode < NMODES ? mode : RF_MODE_OFF];
}

RfMode
rf_mode_of_text(const char *text)
{
	for (size_t i = 0; text != NULL && i < NMODES; i++)
	{
		if (strcmp(texts[i], text) == 0)
			return (RfMode) i;
	}
	return RF_MODE_LIVE;
}

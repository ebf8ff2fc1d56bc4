/*-------------------------------------------------------------------------
 *
 * server_mode.c
 *	  roleferry.mode: the server's, the session's, and what new jobs carry.
 *
 * IDENTIFICATION
 *	  src/shmem/server_mode.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errors.h"
#include "settings.h"
#include "shmem/server_mode.h"
#include "shmem/shared.h"

static RfMode chosen(void);

static RfMode mode_floor = RF_MODE_LIVE;

RfMode
rf_server_mode(void)
{
	return rf_shared != NULL ? (RfMode) pg_atomic_read_u32(&rf_shared->mode) : (RfMode) rf_mode;
}

RfMode
rf_session_mode(void)
{
	return rf_mode_stricter(chosen(), rf_server_mode());
}

RfMode
rf_mode_for_new_job(void)
{
	RfMode		own = chosen();

	if (own == RF_MODE_OFF)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("roleferry.mode is \"off\" in this session: nothing can be enqueued"),
				 errhint("\"capture\" takes jobs and sends nothing.")));
	return rf_mode_of_new_job(own, rf_server_mode());
}

RfMode
rf_mode_to_follow(void)
{
	RfMode		mode = rf_mode_of_new_job(chosen(), rf_server_mode());

	return mode == RF_MODE_OFF ? RF_MODE_CAPTURE : mode;
}

void
rf_mode_require_live(void)
{
	RfMode		mode = rf_session_mode();

	if (mode != RF_MODE_LIVE)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("roleferry.mode is \"%s\": no provider is asked", rf_mode_text(mode)),
				 rf_server_mode() == mode ? errdetail("It is the server's.") : 0));
}

void
rf_mode_set_floor(RfMode mode)
{
	mode_floor = mode;
}

/* By whoever may choose for this session; live: nobody has. */
static RfMode
chosen(void)
{
	return rf_mode_stricter(rf_mode_is_own ? (RfMode) rf_mode : RF_MODE_LIVE, mode_floor);
}
